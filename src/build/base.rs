//! The operating system underneath: an image, a root file system or Debian packages come in, checked layers go out.

use std::io::Read;

use oci::registry::Manifest;
use oci::{Digest, Epoch, ImagePath, LayerWriter, Tree};
use serde::{Deserialize, Serialize};

use super::BuildError;
use super::inputs::BaseInputs;
use super::standin;
use super::workshop::{Output, StoredLayer, Workshop};
use crate::arch::Arch;
use crate::inputs::{Origin, decompress};
use crate::lock::LockedBase;

/// A base that is what its definition says; its blobs are in the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Base {
    /// For people: `Amazon Linux 2023`.
    pub title: String,
    /// `registry/repository@sha256:…` of an image, the address of a root file system, or the definition's name.
    pub reference: String,
    /// What the base was made from, when that is one thing.
    pub digest: Option<Digest>,
    /// The layers, lowest first.
    pub layers: Vec<StoredLayer>,
    /// An image's configuration, whose history is kept.
    pub config: Option<Digest>,
}

impl Output for Base {
    fn blobs(&self) -> Vec<Digest> {
        self.layers
            .iter()
            .map(|layer| layer.digest.0)
            .chain(self.config)
            .collect()
    }
}

/// A base that is something else than its definition says.
#[derive(Debug, thiserror::Error)]
pub enum BaseFault {
    /// Another operating system, or another release.
    #[error(
        "{base} is not what its definition says: {key} in /etc/os-release is {got:?}, expected {expected:?}"
    )]
    OsRelease {
        /// The definition.
        base: String,
        /// The key.
        key: String,
        /// What the definition says.
        expected: String,
        /// What the base says.
        got: String,
    },
    /// Another C library.
    #[error(
        "{base} is not what its definition says: its C library is glibc {got}, expected {expected}"
    )]
    Glibc {
        /// The definition.
        base: String,
        /// What the definition says.
        expected: String,
        /// What the base has.
        got: String,
    },
    /// The base lacks something that every base has.
    #[error("{base} is not a usable base: {what}")]
    Unusable {
        /// The definition.
        base: String,
        /// What is missing.
        what: String,
    },
}

impl BaseFault {
    /// What the user can do.
    pub fn hint(&self) -> String {
        let (Self::OsRelease { base, .. } | Self::Glibc { base, .. } | Self::Unusable { base, .. }) =
            self;
        format!("correct images/{base}.yaml and run `imgbuild lock`")
    }
}

impl Base {
    /// Makes the base's layers and checks what is in them; once per set of inputs.
    pub fn make(
        inputs: &BaseInputs,
        arch: Arch,
        epoch: Epoch,
        workshop: &Workshop,
    ) -> Result<Self, BuildError> {
        let identity = (
            "base 2",
            LayerWriter::FORMAT,
            inputs.locked(),
            inputs.digests(),
            arch,
            epoch.seconds(),
        );
        let key = Digest::of(&serde_json::to_vec(&identity).expect("a key is plain data"));
        workshop.once(&key, &format!("base {}", inputs.locked().name), || {
            Self::make_anew(inputs, arch, epoch, workshop)
        })
    }

    fn make_anew(
        inputs: &BaseInputs,
        arch: Arch,
        epoch: Epoch,
        workshop: &Workshop,
    ) -> Result<Self, BuildError> {
        let scratch = workshop.scratch()?;
        let locked = inputs.locked();
        let title = locked.title.clone();
        let (root, reference, digest) = match inputs {
            BaseInputs::System { fetched, .. } => {
                let reference = match &fetched.artifact.origins[0] {
                    Origin::Oci { reference, .. } => reference.clone(),
                    other => other.to_string(),
                };
                if let Ok(manifest) = Manifest::parse(&fs_err::read(&fetched.path)?) {
                    let layers = workshop.layers_of(&manifest)?;
                    check(
                        &oci::root::root_tree(&layers, scratch.path())?,
                        locked,
                        arch,
                    )?;
                    let layers = layers.iter().map(StoredLayer::from).collect();
                    let config = Some(manifest.config.digest);
                    let digest = Some(fetched.artifact.sha256);
                    return Ok(Self {
                        title,
                        reference,
                        digest,
                        layers,
                        config,
                    });
                }
                let tar = scratch.path().join("rootfs.tar");
                decompress(&fetched.path, &tar)?;
                let mut root = Tree::from_tar(&tar)?;
                root.dereference_hardlinks()?;
                (root, reference, Some(fetched.artifact.sha256))
            }
            BaseInputs::Packages { packages, .. } => (
                standin::assemble(packages, scratch.path())?,
                locked.name.clone(),
                None,
            ),
        };
        check(&root, locked, arch)?;
        let layer = workshop.keep_layer(|folder| {
            LayerWriter::new(folder, epoch, workshop.jobs())
                .keep_times()
                .write(&root)
        })?;
        let layers = vec![layer];
        Ok(Self {
            title,
            reference,
            digest,
            layers,
            config: None,
        })
    }
}

/// Compares a root file system with the definition it was asked for by.
fn check(root: &Tree, locked: &LockedBase, arch: Arch) -> Result<(), BaseFault> {
    let base = || locked.name.clone();
    let unusable = |what: &str| BaseFault::Unusable {
        base: base(),
        what: what.to_owned(),
    };
    let os_release = root
        .read(&path("etc/os-release"))
        .map_err(|_| unusable("it has no /etc/os-release"))?;
    let os_release = String::from_utf8_lossy(&os_release);
    for (key, expected) in &locked.os_release {
        let line = os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let got = line.unwrap_or("absent").trim_matches(['"', '\'']);
        if got != expected {
            return Err(BaseFault::OsRelease {
                base: base(),
                key: key.clone(),
                expected: expected.clone(),
                got: got.to_owned(),
            });
        }
    }
    let machine = arch.machine();
    let places = [
        "lib64/libc.so.6".to_owned(),
        "usr/lib64/libc.so.6".to_owned(),
        format!("usr/lib/{machine}-linux-gnu/libc.so.6"),
    ];
    let library = places
        .iter()
        .find_map(|place| root.resolve(&path(place)).ok());
    let library = library.ok_or_else(|| unusable("it has no C library for this machine type"))?;
    let got = glibc_version(root, &library)
        .ok_or_else(|| unusable("its C library does not say its version"))?;
    if got != locked.glibc {
        return Err(BaseFault::Glibc {
            base: base(),
            expected: locked.glibc.clone(),
            got,
        });
    }
    Ok(())
}

/// The version in glibc's own banner: `GNU C Library (…) stable release version 2.34.`
fn glibc_version(root: &Tree, library: &ImagePath) -> Option<String> {
    const BANNER: &[u8] = b" release version ";
    let mut bytes = Vec::new();
    root.content(library)
        .ok()?
        .open()
        .ok()?
        .read_to_end(&mut bytes)
        .ok()?;
    let at = bytes
        .windows(BANNER.len())
        .position(|window| window == BANNER)?
        + BANNER.len();
    let version: Vec<u8> = bytes[at..]
        .iter()
        .copied()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .collect();
    Some(
        String::from_utf8(version)
            .ok()?
            .trim_end_matches('.')
            .to_owned(),
    )
}

fn path(text: &str) -> ImagePath {
    text.parse().expect("a constant path is well formed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::Entry;

    fn locked() -> LockedBase {
        let os_release = [("ID", "amzn"), ("VERSION_ID", "2023")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let (name, title, glibc) = ("al2023".to_owned(), String::new(), "2.34".to_owned());
        LockedBase {
            name,
            title,
            os_release,
            glibc,
            system: Default::default(),
            wanted: None,
            packages: Default::default(),
        }
    }

    fn root(os_release: &str, banner: &str) -> Tree {
        let mut tree = Tree::new();
        let file = |text: &str| Entry::file(text.to_owned(), 0o644);
        tree.insert(path("usr/lib/os-release"), file(os_release))
            .unwrap();
        tree.insert(
            path("etc/os-release"),
            Entry::symlink("../usr/lib/os-release"),
        )
        .unwrap();
        tree.insert(path("usr/lib64/libc.so.6"), file(banner))
            .unwrap();
        tree.insert(path("lib64"), Entry::symlink("usr/lib64"))
            .unwrap();
        tree
    }

    #[test]
    fn only_the_base_of_the_definition_is_taken() {
        let amazon =
            "NAME=\"Amazon Linux\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"\n";
        let banner = |version: &str| {
            format!("\0GNU C Library (GNU libc) stable release version {version}.\nCopyright")
        };
        let verdict = |os: &str, libc: &str| {
            check(&root(os, libc), &locked(), Arch::Amd64).map_err(|e| e.to_string())
        };
        assert_eq!(verdict(amazon, &banner("2.34")), Ok(()));
        let wrong = verdict(amazon, &banner("2.26")).unwrap_err();
        assert!(
            wrong.ends_with("its C library is glibc 2.26, expected 2.34"),
            "{wrong}"
        );
        let wrong = verdict(&amazon.replace("2023", "2"), &banner("2.34")).unwrap_err();
        assert!(
            wrong.ends_with("VERSION_ID in /etc/os-release is \"2\", expected \"2023\""),
            "{wrong}"
        );
        assert!(
            verdict(amazon, "no banner")
                .unwrap_err()
                .contains("does not say its version")
        );
    }
}
