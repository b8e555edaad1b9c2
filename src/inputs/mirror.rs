//! Mirror folders: files that somebody copied to where no network is. Their names are hints; their bytes decide.

use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::Digest;

use super::fetch::Source;
use super::origins::Reason;
use super::unavailable::Attempt;
use super::{Artifact, Origin, Store, StoreError};

/// The folders given with `--mirror`, in order.
pub(super) struct Mirrors(Vec<PathBuf>);

impl Mirrors {
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Self(folders)
    }

    /// Copies the artifact into the store if a mirror has it; a file of the right name with other bytes is an attempt.
    pub(super) fn find(
        &self,
        store: &Store,
        artifact: &Artifact,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Option<(PathBuf, Source)>, StoreError> {
        let mut names = hex_names(&artifact.sha256);
        names.extend(artifact.origins.iter().filter_map(usual_name));
        for file in self.files(&names) {
            match copy(store, &file, &artifact.sha256) {
                Ok(path) => return Ok(Some((path, Source::Mirror(file)))),
                Err(error @ StoreError::Mismatch { .. }) => attempts.push(Attempt {
                    version: artifact.version.clone(),
                    place: format!("mirror file {}", file.display()),
                    reason: Reason::Store(error),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Copies a blob into the store if a mirror has it by its sha256.
    pub(super) fn find_blob(
        &self,
        store: &Store,
        digest: &Digest,
    ) -> Result<Option<PathBuf>, StoreError> {
        for file in self.files(&hex_names(digest)) {
            match copy(store, &file, digest) {
                Err(StoreError::Mismatch { .. }) => {}
                other => return other.map(Some),
            }
        }
        Ok(None)
    }

    fn files(&self, names: &[String]) -> impl Iterator<Item = PathBuf> {
        self.0
            .iter()
            .flat_map(|folder| names.iter().map(|name| folder.join(name)))
            .filter(|file| file.is_file())
    }
}

fn copy(store: &Store, file: &Path, expected: &Digest) -> Result<PathBuf, StoreError> {
    let mut writer = store.writer()?;
    std::io::copy(&mut fs::File::open(file)?, &mut writer)?;
    writer.finish_as(expected)
}

fn hex_names(digest: &Digest) -> Vec<String> {
    let hex = digest.hex();
    vec![
        hex.clone(),
        format!("sha256/{hex}"),
        format!("blobs/sha256/{hex}"),
    ]
}

/// What the file is called where the origin keeps it; one path component, whatever the lock says.
pub(super) fn usual_name(origin: &Origin) -> Option<String> {
    let name = match origin {
        Origin::Url(url) => url.split(['?', '#']).next()?.rsplit('/').next()?.to_owned(),
        Origin::Oci { .. } => return None,
        Origin::Wheel { filename, .. } => filename.clone(),
        Origin::Crate { name, version } => format!("{name}-{version}.crate"),
        Origin::DebianSource { file, .. } => file.clone(),
        Origin::DebianPackage {
            package,
            version,
            arch,
            ..
        } => format!("{package}_{}_{arch}.deb", without_epoch(version)),
        Origin::File(path) => path.file_name()?.to_str()?.to_owned(),
    };
    (!name.is_empty() && name != ".." && !name.contains('/')).then_some(name)
}

fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names() {
        let deb = Origin::DebianPackage {
            package: "libc6".into(),
            version: "1:2.36-9".into(),
            source: "glibc".into(),
            suite: "bookworm".into(),
            arch: "amd64".into(),
        };
        let url = |text: &str| usual_name(&Origin::Url(text.into()));
        assert_eq!(usual_name(&deb).unwrap(), "libc6_2.36-9_amd64.deb");
        assert_eq!(url("https://h/a/b.tar.xz?x=/y").unwrap(), "b.tar.xz");
        assert_eq!(url("https://h/a/"), None);
        assert_eq!(url("https://h/a/.."), None);
    }
}
