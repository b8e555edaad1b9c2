//! Base definitions: the operating system under a runtime, and what must be true of it.

use std::collections::BTreeMap;
use std::path::Path;

use oci::Digest;
use serde::{Deserialize, Serialize};

use super::yaml::{self, SchemaError, Version};

/// `images/<name>.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseDefinition {
    /// The file's name: `al2023`.
    pub name: String,
    /// For people: `Amazon Linux 2023`.
    pub title: String,
    /// Keys of `/etc/os-release` that a base must carry with exactly these values.
    pub os_release: BTreeMap<String, String>,
    /// The C library that the base has: what the interpreter is compiled for.
    pub glibc: Version,
    /// The base that takes its place when it cannot be reached.
    #[serde(default)]
    pub stand_in: Option<String>,
    /// The image in a registry.
    #[serde(default)]
    pub image: Option<RegistryImage>,
    /// The published root file system.
    #[serde(default)]
    pub rootfs: Option<Rootfs>,
    /// The Debian packages to put it together from.
    #[serde(default)]
    pub packages: Option<Packages>,
}

/// A base in a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryImage {
    /// The base's version.
    pub version: Version,
    /// `registry/repository@sha256:…`, of an image or of an index.
    pub reference: String,
}

/// A base as a compressed tar, one per architecture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// The base's version.
    pub version: Version,
    /// For x86_64.
    pub amd64: RootfsFile,
    /// For aarch64.
    pub arm64: RootfsFile,
}

/// Where a root file system lies.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootfsFile {
    /// Its address.
    pub url: String,
    /// Its bytes.
    pub sha256: Digest,
}

/// A base that is put together from Debian packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// The suite: `bookworm`.
    pub suite: String,
    /// What people ask for; the lock holds everything these need.
    pub names: Vec<String>,
}

impl BaseDefinition {
    /// Reads and checks a base definition.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SchemaError> {
        let base: Self = yaml::parse(path, text, &[])?;
        if base.image.is_none() && base.rootfs.is_none() && base.packages.is_none() {
            let hint = "give at least one of image, rootfs and packages";
            return Err(SchemaError::at(
                path,
                text,
                "name",
                "the base comes from nowhere",
                hint,
            ));
        }
        Ok(base)
    }
}
