//! The two machine types that Lambda runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A machine type, by the name that images use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86_64.
    Amd64,
    /// aarch64.
    Arm64,
}

/// A text that names no machine type.
#[derive(Debug, thiserror::Error)]
#[error("unknown architecture {0:?}: use amd64 (x86_64) or arm64 (aarch64)")]
pub struct UnknownArch(String);

impl Arch {
    /// The machine that this program runs on.
    pub fn host() -> Result<Self, UnknownArch> {
        std::env::consts::ARCH.parse()
    }

    /// The kernel's and the compilers' name: `x86_64`.
    pub fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The name in image configurations and in Debian: `amd64`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        match text {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(UnknownArch(text.to_owned())),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}
