//! Hands the compiler's version to the `.dispatch` section.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "a build script asks the compiler that cargo names in RUSTC")]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.map(|o| String::from_utf8_lossy(&o.stdout).trim().replace(['"', '\\'], ""));
    println!("cargo::rustc-env=DISPATCH_RUSTC={}", version.unwrap_or_else(|| "unknown".to_owned()));
}
