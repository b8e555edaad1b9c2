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
    /// The functions that run while an interpreter starts, one per line.
    pub start: String,
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
            start,
        } = self;
        let start: String = start.lines().map(|name| format!("  {name}\n")).collect();
        format!(
            "# Written by `imgbuild train`.\npython: \"{python}\"\nzig: \"{zig}\"\nsha256: {sha256}\n\
             # What runs at a start lies together in the interpreter.\nstart: |\n{start}"
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Library;

    /// A recipe's folder with the built-in profile, and `change` done to its header.
    fn library(change: impl Fn(String) -> String) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let profiles = folder.path().join("profiles");
        fs_err::create_dir(&profiles).unwrap();
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/profiles");
        for name in ["cpython-3.13.yaml", "cpython-3.13.profdata.xz"] {
            fs_err::copy(built_in.join(name), profiles.join(name)).unwrap();
        }
        let header = profiles.join("cpython-3.13.yaml");
        let text = change(fs_err::read_to_string(&header).unwrap());
        fs_err::write(&header, text).unwrap();
        let recipe = folder.path().join("python3.13.yaml");
        (folder, recipe)
    }

    fn found(change: impl Fn(String) -> String) -> Result<Profile, String> {
        let (folder, recipe) = library(change);
        Library::new("/nonexistent")
            .profile(&recipe, "3.13.5", "0.17.1")
            .map_err(|e| e.to_string().replace(folder.path().to_str().unwrap(), "."))
    }

    #[test]
    fn the_built_in_profile_is_of_the_version_that_can_be_reached() {
        let profile = Library::new("/nonexistent")
            .profile(Path::new("recipes/python3.13.yaml"), "3.13.5", "0.17.1")
            .unwrap();
        assert_eq!(profile.stale, None);
        let text = fs_err::read_to_string("recipes/profiles/cpython-3.13.yaml").unwrap();
        assert_eq!(profile.header.to_text(), text);
        // The magic number of LLVM's indexed profiles.
        assert_eq!(profile.profdata[..8], *b"\xfflprofi\x81");
    }

    #[test]
    fn another_patch_release_is_said_and_used() {
        let (_folder, recipe) = library(|text| text);
        let library = Library::new("/nonexistent");
        let profile = library.profile(&recipe, "3.13.16", "0.17.1").unwrap();
        let stale = profile.stale.unwrap();
        assert!(
            stale.contains("is of CPython 3.13.5, and this is 3.13.16"),
            "{stale}"
        );
    }

    #[test]
    fn what_does_not_fit_is_not_used() {
        let zig = found(|text| text.replace("0.17.1", "0.16.0")).unwrap_err();
        assert_eq!(
            zig,
            "the profile ./profiles/cpython-3.13.yaml was made with zig 0.16.0, and this is zig 0.17.1"
        );
        let zeros = format!("sha256: sha256:{}\nstart: main\n", "0".repeat(64));
        let other = found(|text| text.split("sha256: ").next().unwrap().to_owned() + &zeros);
        let other = other.unwrap_err();
        assert!(
            other.contains("cpython-3.13.yaml is damaged: expected sha256:000"),
            "{other}"
        );
        let header = found(|_| "python: 3.13".to_owned()).unwrap_err();
        assert!(header.contains("is damaged"), "{header}");
        let missing = Library::new("/nonexistent")
            .profile(Path::new("recipes/python3.12.yaml"), "3.12.15", "0.17.1")
            .unwrap_err();
        assert_eq!(missing.to_string(), "there is no profile of Python 3.12");
    }
}
