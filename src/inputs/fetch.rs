//! Fetching: comes in [`Input`]s, goes out one verified file in the store for each.
//!
//! An input's artifacts stand best first, and one that differs in version from the first is a fallback. The rules:
//!
//! 1. An artifact of the first one's version that is in the store or in a mirror is taken as it is, without network.
//! 2. A fallback that is there is taken without network if it was what the input came down to within the last 24 hours
//!    (`resolved/` in the store remembers), unless `refresh` is set. So a rebuild touches no network, and a better
//!    artifact that becomes reachable is used a day later at the latest, or at once with `refresh`.
//! 3. Otherwise the artifacts are tried in order, each in the store, the mirrors, then at its origins in order. The
//!    first with the right bytes wins: a fallback is used only after everything better has failed just now.
//! 4. Offline, what is there wins, best first. Without `fallbacks`, artifacts of another version do not exist.
//!
//! A host, and a tool like pip, that could not be reached is not asked again by the same [`Fetcher`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_err as fs;
use oci::Digest;
use oci::registry::Network;
use serde::{Deserialize, Serialize};

use super::mirror::Mirrors;
use super::origins::{Origins, Reason};
use super::unavailable::{Attempt, FetchError, Unavailable};
use super::{Artifact, Input, Origin, Store, StoreError, image};
use crate::arch::Arch;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Folders with files named by their sha256 (also under `sha256/` or `blobs/sha256/`) or by their usual name.
    pub mirrors: Vec<PathBuf>,
    /// Use the store and the mirrors only.
    pub offline: bool,
    /// Ask for better artifacts even if the store remembers that there were none.
    pub refresh: bool,
    /// Whether an artifact of another version than the first may serve.
    pub fallbacks: bool,
    /// How long a fallback is taken from the store without asking for anything better.
    pub fallback_age: Duration,
    /// How many inputs travel at once.
    pub transfers: usize,
    /// The network between here and the servers.
    pub network: Network,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            offline: false,
            refresh: false,
            fallbacks: true,
            fallback_age: Duration::from_secs(24 * 3600),
            transfers: 4,
            network: Network::default(),
        }
    }
}

/// Where a fetched file came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was there already.
    Store,
    /// A file of a mirror folder.
    Mirror(PathBuf),
    /// One of the artifact's origins.
    Origin(Origin),
}

/// The place that gave the bytes when they came into the store, whichever build that was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A file of a mirror folder, by its name there.
    Mirror(String),
    /// One of the artifact's origins.
    Origin(Origin),
}

/// An input that is in the store.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which input.
    pub name: String,
    /// Which of its artifacts, as an index.
    pub index: usize,
    /// That artifact.
    pub artifact: Artifact,
    /// The file. For an image: its manifest, whose blobs are in the store too.
    pub path: PathBuf,
    /// Where it came from.
    pub source: Source,
    /// Where it first came from; the store remembers it for what was there already.
    pub place: Option<Place>,
    /// Whether the version is another than the input's first.
    pub fallback: bool,
}

/// Fetches inputs into a store.
pub struct Fetcher<'s> {
    store: &'s Store,
    options: FetchOptions,
    mirrors: Mirrors,
    origins: Origins<'s>,
}

/// What `resolved/` remembers; its age is the file's.
#[derive(Serialize, Deserialize)]
struct Resolution {
    name: String,
    version: String,
    sha256: Digest,
}

impl<'s> Fetcher<'s> {
    /// Touches nothing yet.
    pub fn new(store: &'s Store, options: FetchOptions) -> Self {
        Self {
            store,
            mirrors: Mirrors::new(options.mirrors.clone()),
            origins: Origins::new(store, &options.network),
            options,
        }
    }

    /// All inputs, several at a time, in the order given. One error names everything that is missing.
    pub fn fetch_all(&self, inputs: &[Input]) -> Result<Vec<Fetched>, FetchError> {
        let all: Vec<usize> = (0..inputs.len()).collect();
        let (together, alone): (Vec<usize>, Vec<usize>) = match self.options.offline {
            true => (Vec::new(), all),
            false => all.into_iter().partition(|i| is_package(&inputs[*i])),
        };
        let mut results = BTreeMap::new();
        let prefetched = std::thread::scope(|scope| {
            let prefetch = scope.spawn(|| self.prefetch(inputs, &together));
            self.fetch_some(inputs, &alone, &mut results);
            prefetch
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        self.fetch_some(inputs, &together, &mut results);
        let mut fetched = Vec::new();
        let mut unavailable = Vec::new();
        for result in results.into_values() {
            match result {
                Ok(mut one) => {
                    if one.source == Source::Store && prefetched.contains(&one.artifact.sha256) {
                        one.source = Source::Origin(one.artifact.origins[0].clone());
                        one.place = self.place(&one.artifact, &one.source)?;
                    }
                    fetched.push(one);
                }
                Err(FetchError::Unavailable(missing)) => unavailable.extend(missing.inputs),
                Err(error) => return Err(error),
            }
        }
        if unavailable.is_empty() {
            Ok(fetched)
        } else {
            Err(FetchError::unavailable(unavailable))
        }
    }

    fn fetch_some(
        &self,
        inputs: &[Input],
        chosen: &[usize],
        results: &mut BTreeMap<usize, Result<Fetched, FetchError>>,
    ) {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(results);
        std::thread::scope(|scope| {
            for _ in 0..self.options.transfers.clamp(1, chosen.len().max(1)) {
                scope.spawn(|| {
                    while let Some(&index) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.fetch(&inputs[index]);
                        results
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(index, result);
                    }
                });
            }
        });
    }

    fn prefetch(&self, inputs: &[Input], chosen: &[usize]) -> Result<BTreeSet<Digest>, StoreError> {
        let mut missing = Vec::new();
        for index in chosen {
            let artifact = &inputs[*index].artifacts[0];
            if self.at_hand(artifact, &mut Vec::new())?.is_none() {
                missing.push(artifact);
            }
        }
        self.origins.prefetch(&missing)
    }

    /// One input.
    pub fn fetch(&self, input: &Input) -> Result<Fetched, FetchError> {
        let wanted = &input
            .artifacts
            .first()
            .ok_or_else(|| FetchError::Empty(input.name.clone()))?
            .version;
        let mut attempts = Vec::new();
        let candidates: Vec<(usize, &Artifact)> = input
            .artifacts
            .iter()
            .enumerate()
            .filter(|(_, artifact)| self.options.fallbacks || artifact.version == *wanted)
            .collect();
        for &(index, artifact) in &candidates {
            let accepted = self.options.offline
                || artifact.version == *wanted
                || self.is_resolved(input, artifact)?;
            if accepted && let Some((path, source)) = self.at_hand(artifact, &mut attempts)? {
                return Ok(self.fetched(input, index, path, source)?);
            }
        }
        if !self.options.offline {
            for &(index, artifact) in &candidates {
                // The mirrors' other files have been reported above.
                let found = self.at_hand(artifact, &mut Vec::new())?;
                let Some((path, source)) = (match found {
                    Some(found) => Some(found),
                    None => self.ask(&input.name, artifact, &mut attempts)?,
                }) else {
                    continue;
                };
                if artifact.version != *wanted {
                    self.remember(input, artifact)?;
                }
                return Ok(self.fetched(input, index, path, source)?);
            }
        }
        Err(FetchError::unavailable(vec![Unavailable {
            name: input.name.clone(),
            version: wanted.clone(),
            offline: self.options.offline,
            attempts,
        }]))
    }

    /// The artifact from the store or a mirror.
    fn at_hand(
        &self,
        artifact: &Artifact,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Option<(PathBuf, Source)>, StoreError> {
        let found = match self.store.blob(&artifact.sha256)? {
            Some(path) => Some((path, Source::Store)),
            None => self.mirrors.find(self.store, artifact, attempts)?,
        };
        let arch = artifact.origins.iter().find_map(|origin| match origin {
            Origin::Oci { arch, .. } => Some(*arch),
            _ => None,
        });
        match (found, arch) {
            (Some((path, source)), Some(arch)) => {
                Ok(self.whole_image(&path, arch)?.map(|path| (path, source)))
            }
            (found, _) => Ok(found),
        }
    }

    /// The image's manifest when all blobs are at hand; `document` is the manifest or an index that leads to it.
    fn whole_image(&self, document: &Path, arch: Arch) -> Result<Option<PathBuf>, StoreError> {
        let mut document = document.to_owned();
        if let Ok(index) = oci::registry::Index::parse(&fs::read(&document)?) {
            let Some(chosen) = index.choose(&image::platform(arch)) else {
                return Ok(None);
            };
            match self.store.blob(&chosen.digest)? {
                Some(path) => document = path,
                None => return Ok(None),
            }
        }
        let Ok(manifest) = oci::registry::Manifest::parse(&fs::read(&document)?) else {
            return Ok(None);
        };
        for descriptor in manifest.blobs() {
            let there = self.store.blob(&descriptor.digest)?.is_some()
                || self
                    .mirrors
                    .find_blob(self.store, &descriptor.digest)?
                    .is_some();
            if !there {
                return Ok(None);
            }
        }
        Ok(Some(document))
    }

    /// The artifact from the first of its origins that has it.
    fn ask(
        &self,
        name: &str,
        artifact: &Artifact,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Option<(PathBuf, Source)>, StoreError> {
        for origin in &artifact.origins {
            match self.origins.fetch(name, artifact, origin) {
                Ok(path) => return Ok(Some((path, Source::Origin(origin.clone())))),
                Err(Reason::Store(error)) if !matches!(error, StoreError::Mismatch { .. }) => {
                    return Err(error);
                }
                Err(reason) => attempts.push(Attempt {
                    version: artifact.version.clone(),
                    place: origin.to_string(),
                    reason,
                }),
            }
        }
        Ok(None)
    }

    fn is_resolved(&self, input: &Input, artifact: &Artifact) -> Result<bool, StoreError> {
        if self.options.refresh {
            return Ok(false);
        }
        let key = key(input);
        let Some(resolution) = self.store.recall::<Resolution>("resolved", &key)? else {
            return Ok(false);
        };
        let written = fs::metadata(self.store.record_path("resolved", &key))?.modified()?;
        // A file from the future (the clock was set back) counts as new.
        let age = written.elapsed().unwrap_or_default();
        Ok(resolution.sha256 == artifact.sha256 && age < self.options.fallback_age)
    }

    fn fetched(
        &self,
        input: &Input,
        index: usize,
        path: PathBuf,
        source: Source,
    ) -> Result<Fetched, StoreError> {
        let artifact = input.artifacts[index].clone();
        Ok(Fetched {
            name: input.name.clone(),
            fallback: artifact.version != input.artifacts[0].version,
            index,
            place: self.place(&artifact, &source)?,
            artifact,
            path,
            source,
        })
    }

    /// Remembers the place that gave the bytes just now, or recalls it.
    fn place(&self, artifact: &Artifact, source: &Source) -> Result<Option<Place>, StoreError> {
        let place = match source {
            Source::Store => return self.store.recall("origins", &artifact.sha256),
            Source::Mirror(path) => {
                let name = path.file_name().unwrap_or_default();
                Place::Mirror(name.to_string_lossy().into_owned())
            }
            Source::Origin(origin) => Place::Origin(origin.clone()),
        };
        self.store.record("origins", &artifact.sha256, &place)?;
        Ok(Some(place))
    }

    fn remember(&self, input: &Input, artifact: &Artifact) -> Result<(), StoreError> {
        let resolution = Resolution {
            name: input.name.clone(),
            version: artifact.version.clone(),
            sha256: artifact.sha256,
        };
        self.store.record("resolved", &key(input), &resolution)
    }
}

/// Whether apt is the first to ask.
fn is_package(input: &Input) -> bool {
    let origin = input
        .artifacts
        .first()
        .and_then(|artifact| artifact.origins.first());
    matches!(origin, Some(Origin::DebianPackage { .. }))
}

fn key(input: &Input) -> Digest {
    Digest::of(&serde_json::to_vec(input).unwrap_or_default())
}

#[cfg(test)]
mod tests;
