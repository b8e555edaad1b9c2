//! The compiler: zig's wheel, unpacked once per machine.

use std::io;
use std::path::PathBuf;

use super::BuildError;
use super::step::Tool;
use super::workshop::Workshop;
use crate::arch::Arch;
use crate::inputs::{Fetched, unpack};

/// The compiler and the target it compiles for.
#[derive(Clone)]
pub struct Toolchain {
    folder: PathBuf,
    identity: String,
    /// The machine it compiles for.
    pub arch: Arch,
    /// The machine it runs on.
    pub host: Arch,
    /// The newest glibc whose symbols may be used.
    pub glibc: String,
}

impl Toolchain {
    /// Unpacks the wheel, or finds it unpacked.
    pub fn unpack(
        wheel: &Fetched,
        arch: Arch,
        host: Arch,
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
        Ok(Self {
            folder,
            identity: sha256.to_string(),
            arch,
            host,
            glibc: glibc.to_owned(),
        })
    }

    /// A file of the compiler's wheel.
    pub fn file(&self, place: &str) -> io::Result<Vec<u8>> {
        fs_err::read(self.folder.join(place))
    }

    /// The same compiler for this machine.
    pub fn native(&self) -> Self {
        Self {
            arch: self.host,
            ..self.clone()
        }
    }

    /// Whether what it compiles does not run here.
    pub fn is_cross(&self) -> bool {
        self.arch != self.host
    }

    /// A step's title: says the machine when it is another one.
    pub fn title(&self, title: &str) -> String {
        if self.is_cross() {
            format!("{title} for {}", self.arch)
        } else {
            title.to_owned()
        }
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
