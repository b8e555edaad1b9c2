//! Recipe → Lock: everything a build reads, by digest. A build looks at the lock and at nothing else; a lock that was
//! made from another recipe is refused, never ignored.

mod resolve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::inputs::Input;
use crate::recipe::Recipe;

pub use resolve::{ResolveError, Resolver};

/// Names everything in this program that decides an image's bytes beside the lock: layer format, scripts, defaults.
pub const COMPAT: u32 = 1;

/// `recipes/<name>.lock`, written by `imgbuild lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The format; see [`COMPAT`].
    pub compat: u32,
    /// Seconds since 1970: the time of every file in the image unless SOURCE_DATE_EPOCH says another.
    pub epoch: u64,
    /// The recipe's keys that decide which inputs are needed, as they were when this was written.
    pub recipe: BTreeMap<String, String>,
    /// The compiler, by the machine it runs on.
    pub toolchain: BTreeMap<Arch, Input>,
    /// The Rust compiler's packages, by the machine it runs on.
    pub rust: BTreeMap<Arch, Vec<Input>>,
    /// Rust's standard library, by the machine it is for.
    pub rust_std: BTreeMap<Arch, Input>,
    /// The LLVM that makes a JIT's code, by the machine it runs on; nothing for a Python that has no JIT.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub llvm: BTreeMap<Arch, Vec<Input>>,
    /// The interpreter's source.
    pub cpython: Input,
    /// The C libraries that are linked into the interpreter.
    pub libraries: Vec<Input>,
    /// pip, and setuptools where a Python has it from the start.
    pub installers: Vec<Input>,
    /// boto3 and everything it needs.
    pub sdk: Vec<Input>,
    /// The operating system underneath.
    pub base: LockedBase,
    /// What takes the base's place when it cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<LockedBase>,
}

/// A base definition's facts and inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBase {
    /// The definition's name.
    pub name: String,
    /// For people.
    pub title: String,
    /// What `/etc/os-release` must say.
    pub os_release: BTreeMap<String, String>,
    /// The C library it must have.
    pub glibc: String,
    /// An image or a root file system, by architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub system: BTreeMap<Arch, Input>,
    /// Debian packages to put the base together from, by architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<Arch, Vec<Input>>,
}

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// Not a lock.
    #[error("{} is not a lock that this program wrote: {reason}", path.display())]
    Malformed {
        /// The lock.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// Written by a newer or older program.
    #[error("{} has the format {found}, and this program writes {COMPAT}", path.display())]
    Compat {
        /// The lock.
        path: PathBuf,
        /// Its format number.
        found: u32,
    },
    /// The recipe says something else now.
    #[error("{} was made from another recipe: {}", path.display(), changes.join(", "))]
    Stale {
        /// The lock.
        path: PathBuf,
        /// `key: was "old", is "new"`.
        changes: Vec<String>,
    },
}

impl LockError {
    /// The command that mends it.
    pub fn hint(&self) -> String {
        let path = match self {
            Self::Missing(path)
            | Self::Malformed { path, .. }
            | Self::Compat { path, .. }
            | Self::Stale { path, .. } => path,
        };
        format!(
            "run `imgbuild lock {}`",
            path.with_extension("yaml").display()
        )
    }
}

impl Lock {
    /// Reads a lock and compares it with the recipe it belongs to.
    pub fn parse(path: &Path, text: &str, recipe: &Recipe) -> Result<Self, LockError> {
        let malformed = |reason: String| LockError::Malformed {
            path: path.into(),
            reason,
        };
        let value: serde_yaml::Value =
            serde_yaml::from_str(text).map_err(|e| malformed(e.to_string()))?;
        let compat = value
            .get("compat")
            .and_then(|compat| compat.as_u64())
            .ok_or_else(|| malformed("no compat number".into()))?;
        if compat != u64::from(COMPAT) {
            return Err(LockError::Compat {
                path: path.into(),
                found: u32::try_from(compat).unwrap_or(u32::MAX),
            });
        }
        let lock: Self = serde_yaml::with::singleton_map_recursive::deserialize(value)
            .map_err(|e| malformed(e.to_string()))?;
        let (was, is) = (&lock.recipe, deciding_keys(recipe));
        let changed = |key: &&String| was.get(*key) != is.get(*key);
        let keys: std::collections::BTreeSet<&String> =
            was.keys().chain(is.keys()).filter(changed).collect();
        if keys.is_empty() {
            return Ok(lock);
        }
        let show = |value: Option<&String>| {
            value.map_or("absent".to_owned(), |value| format!("{value:?}"))
        };
        let changes = keys
            .iter()
            .map(|key| {
                format!(
                    "{key} was {}, is {}",
                    show(was.get(*key)),
                    show(is.get(*key))
                )
            })
            .collect();
        Err(LockError::Stale {
            path: path.into(),
            changes,
        })
    }

    /// The lock as it is written to disk.
    pub fn to_text(&self) -> String {
        let mut text = Vec::from(
            &b"# Written by `imgbuild lock`. Do not edit: run the command again instead.\n"[..],
        );
        let mut serializer = serde_yaml::Serializer::new(&mut text);
        serde_yaml::with::singleton_map_recursive::serialize(self, &mut serializer)
            .expect("a lock is plain maps, lists and texts");
        drop(serializer);
        String::from_utf8(text).expect("YAML is text")
    }

    /// A digest of the whole lock, for the image's labels.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }
}

/// The keys of a recipe that decide which inputs a build needs.
pub fn deciding_keys(recipe: &Recipe) -> BTreeMap<String, String> {
    [
        ("base", &recipe.base),
        ("python.version", &recipe.python.version.0),
        ("sdk.boto3", &recipe.sdk.boto3.0),
    ]
    .map(|(key, value)| (key.to_owned(), value.clone()))
    .into()
}
