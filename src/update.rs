//! What is newer than a lock: the catalogue of sources and the recipes come in, the same texts with newer versions go out,
//! and what nobody could be asked about. Asks apt, cargo and pip, each through its own client; writes nothing.

mod catalogue;
mod version;

use oci::Digest;

use crate::inputs::{Artifact, DebianPackages, Input, Origin, Reason, Store, crate_file};
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

/// What an origin has instead of an artifact.
struct Found {
    artifact: Artifact,
    /// Whether the bytes are others, not only the place.
    is_newer: bool,
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

    /// The newest source of the suite, or of its security updates.
    fn debian(
        &self,
        name: &str,
        (artifact, known): (&Artifact, &[Artifact]),
        origin: &Origin,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Found>, UpdateError> {
        let Origin::DebianSource {
            package,
            version,
            suite,
            file,
        } = origin
        else {
            return Ok(None);
        };
        let failed = |source| UpdateError::Apt {
            name: name.to_owned(),
            source: Box::new(source),
        };
        let mut newest = self.apt.newest_source(suite, package).map_err(failed)?;
        if !suite.ends_with("-security") {
            let security = self
                .apt
                .newest_source(&format!("{suite}-security"), package)
                .map_err(failed)?;
            if let Some(security) = security.filter(|security| {
                newest
                    .as_ref()
                    .is_none_or(|newest| is_newer(&security.version, &newest.version))
            }) {
                newest = Some(security);
            }
        }
        let Some(newest) = newest else {
            notes.push(Note {
                name: name.to_owned(),
                why: format!("Debian {suite} has no {package} any more"),
            });
            return Ok(None);
        };
        if !is_newer(&newest.version, version) {
            return Ok(None);
        }
        let origin_now = Origin::DebianSource {
            package: package.clone(),
            version: newest.version.clone(),
            suite: newest.suite.clone(),
            file: newest.file.clone(),
        };
        let mut now = artifact.clone();
        if newest.file == *file && newest.sha256 == artifact.sha256 {
            replace_origin(&mut now, origin, origin_now);
            return Ok(Some(Found {
                artifact: now,
                is_newer: false,
            }));
        }
        let Some(upstream) = renamed(&artifact.version, file, &newest.file) else {
            let why = format!(
                "Debian {} has {} in {}, whose version inside has to be looked up",
                newest.suite, package, newest.file
            );
            notes.push(Note {
                name: name.to_owned(),
                why,
            });
            return Ok(None);
        };
        // Also what takes the place of another version of the list: the wanted one may have come to Debian.
        if !known
            .iter()
            .any(|known| is_patch(&known.version, &upstream))
        {
            let why = format!(
                "Debian {} has {upstream}: not a patch release of {}",
                newest.suite, artifact.version
            );
            notes.push(Note {
                name: name.to_owned(),
                why,
            });
            return Ok(None);
        }
        replace_origin(&mut now, origin, origin_now);
        for origin in &mut now.origins {
            if let Origin::Url(url) = origin {
                *url = url.replace(&artifact.version, &upstream);
            }
        }
        (now.version, now.sha256, now.size) = (upstream, newest.sha256, Some(newest.size));
        Ok(Some(Found {
            artifact: now,
            is_newer: true,
        }))
    }

    /// The newest patch release of a crate, if its version tells which source it carries.
    fn crate_(
        &self,
        name: &str,
        artifact: &Artifact,
        origin: &Origin,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Found>, UpdateError> {
        let Origin::Crate {
            name: package,
            version,
        } = origin
        else {
            return Ok(None);
        };
        let dir = self
            .store
            .temporary()
            .map_err(|source| UpdateError::Cargo {
                name: name.to_owned(),
                source: Box::new(source.into()),
            })?;
        let base = version.split('+').next().unwrap_or(version);
        let newest = crate_file(package, &format!("~{base}"), dir.path());
        let (newest, file) = newest.map_err(|source| UpdateError::Cargo {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        if !is_newer(&newest, version) {
            return Ok(None);
        }
        let inside = |version: &str| version.split_once('+').map(|(_, inside)| inside.to_owned());
        let upstream = match (inside(version), inside(&newest)) {
            (Some(was), Some(is)) => renamed(&artifact.version, &was, &is),
            _ => None,
        };
        let Some(upstream) = upstream.filter(|upstream| is_patch(&artifact.version, upstream))
        else {
            let why = format!(
                "the crate {package} {newest} is there, whose version inside has to be looked up"
            );
            notes.push(Note {
                name: name.to_owned(),
                why,
            });
            return Ok(None);
        };
        let mut now = artifact.clone();
        let read = fs_err::File::open(&file).and_then(Digest::of_reader);
        let (sha256, size) = read.map_err(|source| UpdateError::Cargo {
            name: name.to_owned(),
            source: Box::new(Reason::File(source)),
        })?;
        let is_newer = upstream != artifact.version;
        (now.version, now.sha256, now.size) = (upstream, sha256, Some(size));
        replace_origin(
            &mut now,
            origin,
            Origin::Crate {
                name: package.clone(),
                version: newest,
            },
        );
        Ok(Some(Found {
            artifact: now,
            is_newer,
        }))
    }

    /// The newest wheel for the oldest Python that uses it. The compiler's are not asked for: it belongs to the compat
    /// number.
    fn wheel(&self, name: &str, artifact: &Artifact) -> Result<Option<Found>, UpdateError> {
        let requirement = format!("{name}>={}", artifact.version);
        let wheels = newest_wheels(&self.python, &["--no-deps"], &requirement)?;
        let found = wheels
            .into_iter()
            .find(|input| input.name == name)
            .map(|input: Input| input.artifacts);
        let newest = found.and_then(|artifacts| artifacts.into_iter().next());
        let newest = newest.filter(|newest| is_newer(&newest.version, &artifact.version));
        Ok(newest.map(|artifact| Found {
            artifact,
            is_newer: true,
        }))
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

fn replace_origin(artifact: &mut Artifact, old: &Origin, new: Origin) {
    for origin in &mut artifact.origins {
        if origin == old {
            *origin = new.clone();
        }
    }
}

/// `version`, changed as `old` became `new`, two names that have it in the same place.
fn renamed(version: &str, old: &str, new: &str) -> Option<String> {
    let (before, after) = old.split_once(version)?;
    let inside = new.strip_prefix(before)?.strip_suffix(after)?;
    let is_version = inside.chars().all(|c| c.is_ascii_digit() || c == '.');
    (is_version && !inside.is_empty()).then(|| inside.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_follows_the_name_that_holds_it() {
        for (version, old, new, expected) in [
            (
                "3.5.7",
                "openssl_3.5.7.orig.tar.gz",
                "openssl_3.5.9.orig.tar.gz",
                Some("3.5.9"),
            ),
            ("1.5.7", "zstd.1.5.7", "zstd.1.5.8", Some("1.5.8")),
            ("3.5.5", "3.5.5", "3.5.6", Some("3.5.6")),
            (
                "1.5.7",
                "libzstd_1.5.7+dfsg.orig.tar.xz",
                "libzstd_1.5.8+dfsg.orig.tar.xz",
                Some("1.5.8"),
            ),
            (
                "20250104-3.1",
                "libedit_3.1-20250104.orig.tar.gz",
                "libedit_3.1-20260104.orig.tar.gz",
                None,
            ),
            (
                "5.8.4",
                "xz-utils_5.8.4.orig.tar.xz",
                "xz-utils_5.8.5.orig.tar.gz",
                None,
            ),
            (
                "5.8.4",
                "xz-utils_5.8.4.orig.tar.xz",
                "xz-utils_5.9~rc1.orig.tar.xz",
                None,
            ),
        ] {
            assert_eq!(
                renamed(version, old, new).as_deref(),
                expected,
                "{old} {new}"
            );
        }
    }
}
