//! Profiles: what programs do inside an interpreter, written by `imgbuild train` and read by every build. One per series
//! of CPython lies in `recipes/profiles` as `cpython-3.13.profdata.xz`, with a header beside it that says what it is of.

use std::io::Read;
use std::path::Path;

use liblzma::bufread::XzDecoder;
use oci::Digest;
use serde::Deserialize;

use super::yaml::{self, Version};
use super::{Text, minor_of};

/// `cpython-3.13.yaml`: what the profile beside it was made of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileHeader {
    /// CPython's version.
    pub python: Version,
    /// The compiler's version; another one counts branches differently.
    pub zig: Version,
    /// Of the compressed profile.
    pub sha256: Digest,
}

/// A profile that a build can use.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What it is of.
    pub header: ProfileHeader,
    /// As clang's `-fprofile-use` reads it.
    pub profdata: Vec<u8>,
    /// What is not quite right, when it is of another patch release.
    pub stale: Option<String>,
}

/// Why an interpreter is compiled without a profile, or with one that fits worse.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Nobody has trained this series.
    #[error("there is no profile of Python {0}")]
    Missing(String),
    /// Made with another compiler.
    #[error("the profile {path} was made with zig {made}, and this is zig {compiler}")]
    Compiler {
        /// The header.
        path: String,
        /// The profile's compiler.
        made: String,
        /// This build's.
        compiler: String,
    },
    /// The header cannot be read, or the profile is not the one it describes.
    #[error("the profile {path} is damaged: {reason}")]
    Damaged {
        /// The header or the profile.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// The largest profile that is taken, in bytes.
const MAX_BYTES: u64 = 256 << 20;

impl ProfileHeader {
    /// The header as it is written to disk.
    pub fn to_text(&self) -> String {
        let Self {
            python,
            zig,
            sha256,
        } = self;
        format!(
            "# Written by `imgbuild train`.\npython: \"{python}\"\nzig: \"{zig}\"\nsha256: {sha256}\n"
        )
    }
}

impl Profile {
    /// The files' name without extension.
    pub fn stem(version: &str) -> String {
        format!("cpython-{}", minor_of(version))
    }

    /// Checks a profile for CPython `version`, compiled by `compiler`. `compressed` is the file that the header describes.
    pub fn parse(
        header: &Text,
        compressed: &[u8],
        version: &str,
        compiler: &str,
    ) -> Result<Self, Unusable> {
        let path = || header.path.display().to_string();
        let damaged = |reason: String| Unusable::Damaged {
            path: path(),
            reason,
        };
        let said: ProfileHeader =
            yaml::parse(&header.path, &header.text, &[]).map_err(|e| damaged(e.to_string()))?;
        let found = Digest::of(compressed);
        if found != said.sha256 {
            return Err(damaged(format!("expected {}, got {found}", said.sha256)));
        }
        if said.zig.0 != compiler {
            return Err(Unusable::Compiler {
                path: path(),
                made: said.zig.0,
                compiler: compiler.to_owned(),
            });
        }
        let mut profdata = Vec::new();
        XzDecoder::new(compressed)
            .take(MAX_BYTES)
            .read_to_end(&mut profdata)
            .map_err(|e| damaged(e.to_string()))?;
        let stale = (said.python.0 != version).then(|| {
            format!(
                "the profile {} is of CPython {}, and this is {version}: what changed in between is compiled without it",
                path(),
                said.python
            )
        });
        Ok(Self {
            header: said,
            profdata,
            stale,
        })
    }

    /// Where the profile of a header lies.
    pub fn beside(header: &Path) -> std::path::PathBuf {
        header.with_extension("profdata.xz")
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "cpython {} {}", self.header.python, self.header.sha256)
    }
}
