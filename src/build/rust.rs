//! The Rust compiler of the host, which compiles the runtime interface client.

use std::path::PathBuf;

use super::BuildError;
use super::step::Tool;
use crate::arch::Arch;
use crate::process::{Process, ProcessError};

/// A Rust toolchain with the image's target.
pub struct Rust {
    sysroot: PathBuf,
    identity: String,
    /// `x86_64-unknown-linux-gnu`.
    pub target: String,
}

/// Asks `rustc` on the PATH.
pub fn find(arch: Arch) -> Result<Rust, BuildError> {
    let ask = |argument: &[&str]| -> Result<String, ProcessError> {
        let printed = Process::inheriting("rustc")
            .package("rustc")
            .args(argument)
            .run()?;
        Ok(String::from_utf8_lossy(&printed.stdout).trim().to_owned())
    };
    let target = format!("{}-unknown-linux-gnu", arch.machine());
    Ok(Rust {
        sysroot: ask(&["--print", "sysroot"])?.into(),
        identity: ask(&["-vV"])?,
        target,
    })
}

impl Rust {
    /// As a tool of a step.
    pub fn tool(&self) -> Tool<'_> {
        Tool {
            name: "rust",
            folder: &self.sysroot,
            identity: self.identity.clone(),
        }
    }
}
