//! LLVM's own compiler and object reader, which make the machine code that a JIT puts together: zig has no reader.

use std::path::PathBuf;

use oci::Digest;

use super::BuildError;
use super::step::Tool;
use super::workshop::Workshop;
use crate::inputs::Fetched;
use crate::process::Process;

/// The packages' files in one folder, with every library that they need, down to the C library.
pub struct Llvm {
    folder: PathBuf,
    identity: String,
}

impl Llvm {
    /// Unpacks the packages, or finds them unpacked.
    pub fn unpack(packages: &[Fetched], workshop: &Workshop) -> Result<Self, BuildError> {
        let digests: Vec<_> = packages
            .iter()
            .map(|package| package.artifact.sha256)
            .collect();
        let identity = Digest::of(&serde_json::to_vec(&digests).expect("digests are plain data"));
        let store = workshop.store;
        let folder = store.directory(&format!("llvm-{}", &identity.hex()[..16]), |folder| {
            store.progress().note("unpacking LLVM");
            for package in packages {
                Process::cleared("dpkg-deb")
                    .package("dpkg")
                    .arg("--extract")
                    .args([&package.path, folder])
                    .run()?;
            }
            Ok::<_, BuildError>(())
        })?;
        Ok(Self {
            folder,
            identity: identity.to_string(),
        })
    }

    /// As a tool of a step.
    pub fn tool(&self) -> Tool<'_> {
        Tool {
            name: "llvm",
            folder: &self.folder,
            identity: self.identity.clone(),
        }
    }
}
