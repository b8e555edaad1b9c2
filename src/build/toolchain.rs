//! The compiler: zig's wheel, unpacked once per machine.

use std::io;
use std::path::PathBuf;

use super::BuildError;
use super::step::Tool;
use super::workshop::Workshop;
use crate::arch::Arch;
use crate::inputs::{Fetched, unpack};

/// The compiler and the target it compiles for.
pub struct Toolchain {
    folder: PathBuf,
    identity: String,
    /// `x86_64-linux-gnu`.
    pub target: String,
    /// The newest glibc whose symbols may be used.
    pub glibc: String,
}

impl Toolchain {
    /// Unpacks the wheel, or finds it unpacked.
    pub fn unpack(
        wheel: &Fetched,
        arch: Arch,
        glibc: &str,
        workshop: &Workshop,
    ) -> Result<Self, BuildError> {
        let sha256 = &wheel.artifact.sha256;
        let folder =
            workshop
                .store
                .directory(&format!("zig-{}", &sha256.hex()[..16]), |folder| {
                    workshop
                        .store
                        .progress()
                        .note(&format!("unpacking zig {}", wheel.artifact.version));
                    unpack(&wheel.path, Some("ziglang"), folder).map_err(BuildError::from)
                })?;
        let target = format!("{}-linux-gnu", arch.machine());
        Ok(Self {
            folder,
            identity: sha256.to_string(),
            target,
            glibc: glibc.to_owned(),
        })
    }

    /// A file of the compiler's wheel.
    pub fn file(&self, place: &str) -> io::Result<Vec<u8>> {
        fs_err::read(self.folder.join(place))
    }

    /// As a tool of a step.
    pub fn tool(&self) -> Tool<'_> {
        Tool {
            name: "zig",
            folder: &self.folder,
            identity: self.identity.clone(),
        }
    }
}
