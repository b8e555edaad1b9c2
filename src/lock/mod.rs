//! Recipe → Lock: everything a build reads, by digest. A build looks at the lock and at nothing else; a lock that was
//! made from another recipe is refused, never ignored.

mod changes;
mod resolve;
mod wheels;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::arch::Arch;
use crate::inputs::Input;
use crate::recipe::{Packages, Recipe};

pub use changes::{InputChange, changes};
pub(crate) use resolve::parse_catalogue;
pub use resolve::{Asked, ResolveError, Resolver};
pub use wheels::newest_wheels;

/// Names everything in this program that decides an image's bytes beside the lock; recipes/README.md says what. A release
/// that changes any of it adds a number, and goes on to build the old ones as they were.
pub const COMPAT: u32 = 1;
/// The numbers that can be built.
const KNOWN: std::ops::RangeInclusive<u32> = 1..=COMPAT;
/// The last line: a digest of all lines above.
const CHECKSUM: &str = "checksum: ";

/// `recipes/<name>.lock`, written by `imgbuild lock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The format; see [`COMPAT`].
    pub compat: u32,
    /// Seconds since 1970: the image's time unless SOURCE_DATE_EPOCH says another.
    pub created: u64,
    /// The recipe's keys that decide which inputs are needed, as they were when this was written.
    pub recipe: BTreeMap<String, String>,
    /// The compiler, by the machine it runs on.
    pub toolchain: BTreeMap<Arch, Input>,
    /// The Rust compiler's packages, by the machine it runs on.
    pub rust: BTreeMap<Arch, Vec<Input>>,
    /// Rust's standard library, by the machine it is for.
    pub rust_std: BTreeMap<Arch, Input>,
    /// The LLVM that makes a JIT's code and profiles, by the machine it runs on.
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
    /// What the definition asks apt for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Packages>,
    /// Debian packages to put the base together from, by architecture: what is wanted, and what that needs.
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
    /// Written by another program, whose images this one cannot build.
    #[error("{} has the compat number {found}, and this program builds {}", path.display(), known())]
    Compat {
        /// The lock.
        path: PathBuf,
        /// Its number.
        found: u32,
    },
    /// Not as it was written.
    #[error("{} was edited or cut: it is not what its checksum was made of", .0.display())]
    Edited(PathBuf),
    /// The recipe says something else now.
    #[error("{} was made from another recipe: {}", path.display(), changes.join(", "))]
    Stale {
        /// The lock.
        path: PathBuf,
        /// `key: was "old", is "new"`.
        changes: Vec<String>,
    },
    /// What the lock was made of says something else now.
    #[error("{} is not what would be locked today: {}", path.display(), changes.join(", "))]
    Drifted {
        /// The lock.
        path: PathBuf,
        /// `input was this, is that`.
        changes: Vec<String>,
    },
    /// An image was built from another one.
    #[error("{image} was not built from {}: its lock is {found}", path.display())]
    Other {
        /// The lock.
        path: PathBuf,
        /// The image.
        image: String,
        /// The image's lock.
        found: String,
    },
}

fn known() -> String {
    match KNOWN.start() == KNOWN.end() {
        true => format!("{COMPAT} only"),
        false => format!("{} to {COMPAT}", KNOWN.start()),
    }
}

impl LockError {
    /// The command that mends it.
    pub fn hint(&self) -> String {
        let (path, before) = match self {
            Self::Missing(path) | Self::Stale { path, .. } | Self::Drifted { path, .. } => {
                (path, "")
            }
            Self::Malformed { path, .. } => (path, "restore the file, or "),
            Self::Edited(path) => (
                path,
                "undo the edit: the recipe and sources.yaml are what people write; or ",
            ),
            Self::Compat { path, .. } => (
                path,
                "use the imgbuild that wrote it; or, for other image digests, ",
            ),
            Self::Other { path, .. } => {
                return format!(
                    "run `imgbuild build --locked {}`",
                    path.with_extension("yaml").display()
                );
            }
        };
        format!(
            "{before}run `imgbuild lock {}`",
            path.with_extension("yaml").display()
        )
    }
}

impl Lock {
    /// Reads a lock and compares it with the recipe it belongs to.
    pub fn parse(path: &Path, text: &str, recipe: &Recipe) -> Result<Self, LockError> {
        let lock = Self::read(path, text)?;
        lock.check_recipe(path, recipe)?;
        Ok(lock)
    }

    /// Reads a lock, whichever recipe it was made from.
    pub fn read(path: &Path, text: &str) -> Result<Self, LockError> {
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
        let compat = u32::try_from(compat).unwrap_or(u32::MAX);
        if !KNOWN.contains(&compat) {
            return Err(LockError::Compat {
                path: path.into(),
                found: compat,
            });
        }
        let (body, checksum) = text
            .rfind(CHECKSUM)
            .map_or((text, ""), |at| text.split_at(at));
        if checksum != checksum_line(body) {
            return Err(LockError::Edited(path.into()));
        }
        let value: serde_yaml::Value =
            serde_yaml::from_str(body).map_err(|e| malformed(e.to_string()))?;
        serde_yaml::with::singleton_map_recursive::deserialize(value)
            .map_err(|e| malformed(e.to_string()))
    }

    fn check_recipe(&self, path: &Path, recipe: &Recipe) -> Result<(), LockError> {
        let (was, is) = (&self.recipe, deciding_keys(recipe));
        let changed = |key: &&String| was.get(*key) != is.get(*key);
        let keys: std::collections::BTreeSet<&String> =
            was.keys().chain(is.keys()).filter(changed).collect();
        if keys.is_empty() {
            return Ok(());
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
        let mut text = String::from_utf8(text).expect("YAML is text");
        text.push_str(&checksum_line(&text));
        text
    }

    /// Refuses a lock that is not the one that its recipe would get without asking anybody: `again` is that one.
    pub fn check(&self, path: &Path, again: &Self) -> Result<(), LockError> {
        let inputs = changes(self, again).into_iter();
        let mut changes: Vec<String> = inputs.map(|change| change.to_string()).collect();
        changes.extend(changes::fields(self, again));
        if changes.is_empty() && self != again {
            changes.push("the order of its parts".to_owned());
        }
        match changes.is_empty() {
            true => Ok(()),
            false => Err(LockError::Drifted {
                path: path.into(),
                changes,
            }),
        }
    }

    /// A digest of the whole lock, for the image's labels.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }
}

fn checksum_line(body: &str) -> String {
    format!("{CHECKSUM}{}\n", Digest::of(body.as_bytes()))
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
