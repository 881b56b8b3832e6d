//! Every example is a configuration that `tidegate check` accepts, as it stands, and whose tests hold.

use std::path::Path;
use std::process::Command;

const EXAMPLES: [&str; 15] = [
    "examples/aggregate/gateway.yaml",
    "examples/cache/gateway.yaml",
    "examples/canary/gateway.yaml",
    "examples/contract/gateway.yaml",
    "examples/grpc/gateway.yaml",
    "examples/guard/gateway.yaml",
    "examples/hosts/gateway.yaml",
    "examples/limits/gateway.yaml",
    "examples/login/gateway.yaml",
    "examples/minimal/gateway.yaml",
    "examples/partner-xml/gateway.yaml",
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

#[test]
fn the_tests_of_every_example_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for example in EXAMPLES {
        let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["test", "--json"])
            .arg(root.join(example))
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&ran.stderr);
        let told: serde_json::Value =
            serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{example}: {error}: {words}"));
        assert_eq!(told["failed"], 0, "{example}: {told:#}");
        assert!(told["tests"].as_u64() >= Some(2), "{example} has hardly any test");
    }
}
