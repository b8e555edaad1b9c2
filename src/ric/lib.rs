//! The runtime interface client (RIC) and the local emulator, linked with CPython into one executable.
//!
//! The image build compiles this crate alone, offline, with one call, and links the archive with the interpreter's
//! objects:
//!
//! ```text
//! rustc --edition 2024 --crate-name ric --crate-type staticlib --cfg 'feature="executable"' \
//!     -C opt-level=s -C panic=abort -C codegen-units=1 -C lto=fat --target T src/ric/lib.rs -o libric.a
//! zig cc … libric.a -lunwind
//! ```
//!
//! Called as `python3.X` the program is python, called as `bootstrap` it is the runtime, called as `aws-lambda-rie` the
//! emulator: see [`entry`]. Without the feature there is no `main`, and the crate's own tests link without an interpreter.
#![deny(unsafe_code)]

pub mod builtin_module;
pub mod connection;
pub mod emulator;
pub mod entry;
pub mod ffi;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod invocation;
pub mod json;
pub mod parts;
pub mod paths;
pub mod posting;
pub mod runtime_api;
pub mod serve;
pub mod session;
pub mod streamed_response;
pub mod streaming;
pub mod system;
pub mod version;
