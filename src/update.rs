//! What is newer than a lock: the catalogue of sources and the recipes come in, the same texts with newer versions go out,
//! and what nobody could be asked about. Asks apt, cargo and pip, each through its own client; writes nothing.

mod catalogue;
mod origins;
mod version;

use crate::inputs::{DebianPackages, Origin, Reason, Store};
use crate::lock::{ResolveError, newest_wheels};
use crate::recipe::minor_of;
pub use catalogue::{Catalogue, CatalogueError};
pub use version::{is_newer, is_patch};

/// The parts that can be updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// CPython, within its series.
    pub python: bool,
    /// boto3 and what it needs.
    pub sdk: bool,
    /// The operating system's packages.
    pub base: bool,
    /// The C libraries, pip and setuptools.
    pub libraries: bool,
}

/// A source for which something newer could not be looked for, or was found and not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Its name in the catalogue.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Asks for newer versions.
pub struct Asker<'s> {
    store: &'s Store,
    apt: DebianPackages<'s>,
    python: String,
}

impl<'s> Asker<'s> {
    /// apt's lists lie in the store; `python` is the oldest series that uses the installers: `3.10`.
    pub fn new(store: &'s Store, python: &str) -> Self {
        Self {
            store,
            apt: DebianPackages::new(store),
            python: python.to_owned(),
        }
    }

    /// Brings the sources called `names` up to date in the catalogue.
    pub fn update(
        &self,
        catalogue: &mut Catalogue,
        names: &[String],
    ) -> Result<Vec<Note>, UpdateError> {
        let mut notes = Vec::new();
        for name in names {
            let Some(artifacts) = catalogue.artifacts(name) else {
                continue;
            };
            for (place, artifact) in artifacts.iter().enumerate() {
                for origin in &artifact.origins {
                    let found = match origin {
                        Origin::DebianSource { .. } => {
                            self.debian(name, (artifact, &artifacts), origin, &mut notes)?
                        }
                        Origin::Crate { .. } => self.crate_(name, artifact, origin, &mut notes)?,
                        Origin::Wheel { .. } => self.wheel(name, artifact)?,
                        _ => continue,
                    };
                    let Some(found) = found else { continue };
                    catalogue.replace(name, place, &found.artifact)?;
                    let is_best = is_newer(&found.artifact.version, &artifacts[0].version);
                    // CPython's version is the recipe's choice, of whatever the catalogue has.
                    if found.is_newer && is_best && !name.starts_with("cpython-") {
                        catalogue.move_first(name, place)?;
                    }
                }
            }
            let is_url = |origin: &Origin| matches!(origin, Origin::Url(_));
            if let ([origin, ..], true) = (
                &*artifacts[0].origins,
                artifacts[0].origins.iter().all(is_url),
            ) {
                let why = format!("a site cannot be asked for newer versions: look at {origin}");
                notes.push(Note {
                    name: name.clone(),
                    why,
                });
            }
        }
        notes.sort();
        notes.dedup();
        Ok(notes)
    }
}

/// boto3's newest version of the same major version, for a series of Python.
pub fn newest_boto3(python: &str, version: &str) -> Result<String, UpdateError> {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u64>().ok())
        .unwrap_or_default();
    let requirement = format!("boto3>={version},<{}", major + 1);
    let wheels = newest_wheels(python, &["--no-deps"], &requirement)?;
    let found = wheels.into_iter().find(|input| input.name == "boto3");
    Ok(found.map_or(version.to_owned(), |input| {
        input.artifacts[0].version.clone()
    }))
}

/// CPython's newest version of a series that the catalogue has.
pub fn newest_python(catalogue: &Catalogue, version: &str) -> String {
    let artifacts = catalogue.artifacts(&format!("cpython-{}", minor_of(version)));
    let versions = artifacts
        .into_iter()
        .flatten()
        .map(|artifact| artifact.version);
    versions.fold(version.to_owned(), |best, next| {
        match is_newer(&next, &best) {
            true => next,
            false => best,
        }
    })
}

/// Something newer that could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// apt did not answer.
    #[error("cannot ask apt for a newer {name}")]
    Apt {
        /// The source.
        name: String,
        /// Why.
        #[source]
        source: Box<Reason>,
    },
    /// cargo did not answer.
    #[error("cannot ask cargo for a newer {name}")]
    Cargo {
        /// The source.
        name: String,
        /// Why.
        #[source]
        source: Box<Reason>,
    },
    /// pip did not answer.
    #[error(transparent)]
    Pip(#[from] ResolveError),
    /// The catalogue cannot be edited.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl UpdateError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Apt { source, .. } | Self::Cargo { source, .. } => source.hint().or_else(|| {
                Some("nothing was changed; look at the network, or update only --sdk, --base or --python".to_owned())
            }),
            Self::Pip(error) => error.hint(),
            Self::Catalogue(error) => Some(error.hint().to_owned()),
        }
    }
}
