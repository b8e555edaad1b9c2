//! The crate `ric` is linked without an interpreter, whose functions no target calls.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--unresolved-symbols=ignore-all");
}
