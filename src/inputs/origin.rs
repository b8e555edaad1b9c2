//! Where an input may come from. An input is its sha256; an origin is only a place to ask.

use std::fmt;
use std::path::PathBuf;

use oci::Digest;
use oci::registry::without_login;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;

/// One thing that a build needs: a source tarball, a wheel, a base image.
///
/// The artifacts stand in the order to try. The first is what the recipe asks for; one with another `version` is a
/// *fallback*, one with the same version but other bytes (a crate that carries the same source) is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What people call it: `cpython`, `openssl`, `boto3`.
    pub name: String,
    /// The acceptable contents, best first; never empty.
    pub artifacts: Vec<Artifact>,
}

/// Exact bytes, and the places that have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The upstream version that these bytes hold.
    pub version: String,
    /// What identifies the bytes. For an `oci` origin: the manifest's digest.
    pub sha256: Digest,
    /// In bytes, where known: bounds the download.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The folder inside the archive that holds the source; the archive's single top folder when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdir: Option<String>,
    /// In the order to try; never empty.
    pub origins: Vec<Origin>,
}

/// One place that has an artifact's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// An https (or http) address, resumed with Range.
    Url(String),
    /// An image in a registry, by digest: `registry/repository@sha256:…`.
    Oci {
        /// Where, and which bytes: those of an image's manifest, or of an index.
        reference: String,
        /// Which image of an index.
        arch: Arch,
    },
    /// A Python wheel, through pip.
    Wheel {
        /// The distribution's name.
        name: String,
        /// Its exact version.
        version: String,
        /// The file's name, which carries the platform tags.
        filename: String,
    },
    /// A Rust crate, through cargo.
    Crate {
        /// The crate's name.
        name: String,
        /// Its exact version, with any `+` part.
        version: String,
    },
    /// An upstream tarball from a Debian source package, through apt.
    DebianSource {
        /// The source package.
        package: String,
        /// Its exact Debian version.
        version: String,
        /// The suite that lists it: `trixie`.
        suite: String,
        /// The file to take from it.
        file: String,
    },
    /// A Debian binary package, through apt.
    DebianPackage {
        /// The binary package.
        package: String,
        /// Its exact Debian version.
        version: String,
        /// The source package that it is made of.
        source: String,
        /// The suite that lists it.
        suite: String,
        /// Debian's name of the architecture: `amd64`, `arm64`, `all`.
        arch: String,
    },
    /// A file on this machine.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(&url_without_login(url)),
            Self::Oci { reference, arch } => write!(f, "image {reference} ({arch})"),
            Self::Wheel { name, version, .. } => write!(f, "wheel {name} {version}"),
            Self::Crate { name, version } => write!(f, "crate {name} {version}"),
            Self::DebianSource {
                package,
                version,
                suite,
                ..
            } => write!(f, "Debian source {package} {version} ({suite})"),
            Self::DebianPackage {
                package,
                version,
                suite,
                arch,
                ..
            } => {
                write!(f, "Debian package {package}:{arch} {version} ({suite})")
            }
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}
/// A URL without the login that it may have.
pub fn url_without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", without_login(host))
}
