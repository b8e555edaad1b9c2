//! One origin → what its registry has that is newer, through apt, cargo or pip.

use oci::Digest;

use super::{Asker, Note, UpdateError, is_newer, is_patch};
use crate::inputs::{Artifact, Input, Origin, Reason, crate_file};
use crate::lock::newest_wheels;

/// What an origin has instead of an artifact.
pub(super) struct Found {
    pub(super) artifact: Artifact,
    /// Whether the bytes are others, not only the place.
    pub(super) is_newer: bool,
}

impl Asker<'_> {
    /// The newest source of the suite, or of its security updates.
    pub(super) fn debian(
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
    pub(super) fn crate_(
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
    pub(super) fn wheel(
        &self,
        name: &str,
        artifact: &Artifact,
    ) -> Result<Option<Found>, UpdateError> {
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
