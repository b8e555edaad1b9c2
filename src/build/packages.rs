//! Programs of Debian packages that a step runs: LLVM's own compiler and object reader for a JIT, the Rust compiler for
//! the runtime interface client. Packages come in, one folder goes out; the script `packaged` runs what is in it.

use std::io;
use std::path::PathBuf;

use oci::{Digest, Entry, ImagePath, Tree};

use super::BuildError;
use super::step::Tool;
use super::workshop::Workshop;
use crate::inputs::{Fetched, read_deb};

/// The packages' files in one folder, with every library that they need, down to the C library.
pub struct Packages {
    name: &'static str,
    folder: PathBuf,
    identity: String,
}

impl Packages {
    /// Unpacks the packages, or finds them unpacked. Steps see them at `/imgbuild/NAME`.
    pub fn unpack<'a>(
        name: &'static str,
        packages: impl IntoIterator<Item = &'a Fetched>,
        workshop: &Workshop,
    ) -> Result<Self, BuildError> {
        let packages: Vec<&Fetched> = packages.into_iter().collect();
        let digests: Vec<_> = packages
            .iter()
            .map(|package| package.artifact.sha256)
            .collect();
        let identity = Digest::of(&serde_json::to_vec(&digests).expect("digests are plain data"));
        let store = workshop.store;
        let folder = store.directory(&format!("{name}-{}", &identity.hex()[..16]), |folder| {
            store
                .progress()
                .note(&format!("unpacking the packages of {name}"));
            let scratch = workshop.scratch()?;
            let mut root = Tree::new();
            for (number, package) in packages.iter().enumerate() {
                let deb = read_deb(&package.path, scratch.path(), &number.to_string())?;
                root = root.with_layer(deb.data)?;
            }
            // An absolute link, and the root is not this folder: QEMU would look for the loader among this machine's files.
            let loader: ImagePath = "lib64/ld-linux-x86-64.so.2".parse().expect("a path");
            if root.get(&loader).is_some() {
                let target = "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
                root.insert(loader, Entry::symlink(target))?;
            }
            root.extract(folder)?;
            Ok::<_, BuildError>(())
        })?;
        Ok(Self {
            name,
            folder,
            identity: identity.to_string(),
        })
    }

    /// A file of the packages.
    pub fn file(&self, place: &str) -> io::Result<Vec<u8>> {
        fs_err::read(self.folder.join(place))
    }

    /// As a tool of a step.
    pub fn tool(&self) -> Tool<'_> {
        Tool {
            name: self.name,
            folder: &self.folder,
            identity: self.identity.clone(),
        }
    }
}
