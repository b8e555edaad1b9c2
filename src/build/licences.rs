//! The licences of what link.sh puts into the executable beside CPython and the C libraries, which bring theirs along:
//! the runtime interface client, Rust's own library, and zig's runtime parts. They land in `/var/lang/share/licenses`.

use std::collections::BTreeMap;
use std::io;

use oci::Digest;

use super::packages::Packages;
use super::toolchain::Toolchain;
use crate::inputs::{Fetched, Origin};

/// Licence texts, by the name of what they are for.
pub struct Licences(BTreeMap<&'static str, Vec<u8>>);

impl Licences {
    /// Reads them from the unpacked compilers; `std` is the package with Rust's library.
    pub fn read(zig: &Toolchain, rust: &Packages, std: &Fetched) -> io::Result<Self> {
        let package = std.artifact.origins.iter().find_map(|origin| match origin {
            Origin::DebianPackage { package, .. } => Some(package.as_str()),
            _ => None,
        });
        let package = package.unwrap_or(&std.name);
        let of_std = format!("usr/share/doc/{package}/copyright");
        Ok(Self(BTreeMap::from([
            ("imgbuild", include_bytes!("../../LICENSE").to_vec()),
            ("rust", rust.file(&of_std)?),
            ("zig", zig.file("LICENSE")?),
            ("libunwind", zig.file("lib/libunwind/LICENSE.TXT")?),
            ("glibc", zig.file("lib/libc/glibc/LICENSES")?),
        ])))
    }

    /// Names all of them.
    pub fn digest(&self) -> Digest {
        let parts = self
            .0
            .iter()
            .flat_map(|(name, text)| [name.as_bytes(), b"\0", text, b"\0"]);
        Digest::of(&parts.collect::<Vec<_>>().concat())
    }

    /// Name and text of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.0.iter().map(|(name, text)| (*name, text.as_slice()))
    }
}
