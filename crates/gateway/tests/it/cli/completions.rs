//! `completions`: a script for each shell, made from the command line itself.

use std::path::Path;

use crate::setup::tidegate;

#[test]
fn each_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let told = tidegate(Path::new("."), &["completions", shell]);
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{shell}");
        for word in ["explain", "check", "reload"] {
            assert!(told.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(tidegate(Path::new("."), &["completions", "abacus"]).code, Some(2));
}
