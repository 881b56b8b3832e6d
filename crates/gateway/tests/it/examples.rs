//! Every example is a configuration that `tidegate check` accepts, as it stands.

use std::path::Path;
use std::process::Command;

const EXAMPLES: [&str; 12] = [
    "examples/cache/gateway.yaml",
    "examples/canary/gateway.yaml",
    "examples/contract/gateway.yaml",
    "examples/grpc/gateway.yaml",
    "examples/hosts/gateway.yaml",
    "examples/limits/gateway.yaml",
    "examples/login/gateway.yaml",
    "examples/minimal/gateway.yaml",
    "examples/shop/gateway.yaml",
    "examples/spa/gateway.yaml",
    "examples/split-files/gateway.yaml",
    "examples/websocket/gateway.yaml",
];

#[test]
fn every_example_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for example in EXAMPLES {
        let checked = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("check")
            .arg(root.join(example))
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{example}: {words}");
        assert!(!words.contains("warning"), "{example}: {words}");
    }
}
