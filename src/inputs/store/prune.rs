//! Making a store smaller: comes in what may go, goes out what went. What a living process has used since it opened the
//! store stays, whatever the policy says.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use fs_err as fs;
use oci::Digest;
use oci::registry::{Index, Manifest};

use super::census::marker;
use super::{Entry, Kind, Store, lock};

/// A manifest is not longer than that.
const LONGEST_MANIFEST: u64 = 4 << 20;

/// What may go. Without any rule nothing does.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// What was not used for that long.
    pub older_than: Option<Duration>,
    /// The least recently used, until that many bytes are left.
    pub max_bytes: Option<u64>,
    /// Blobs that neither these digests lead to nor a step's record, records whose blobs are gone, folders that are not
    /// whole, unfinished transfers, and what no store makes.
    pub not_reached_from: Option<BTreeSet<Digest>>,
    /// Removes nothing.
    pub dry_run: bool,
}

/// What went.
#[derive(Debug, Default)]
pub struct Pruned {
    /// In the order in which it went.
    pub removed: Vec<Entry>,
    /// What the policy condemns and a living process uses.
    pub in_use: Vec<Entry>,
    /// The bytes that are left.
    pub left: u64,
}

impl Store {
    /// Removes what the policy condemns.
    pub fn prune(&self, policy: &Policy) -> io::Result<Pruned> {
        // Taken before anything is looked at: whatever is used from here on has a later time.
        let sessions = lock::sessions(&self.root)?;
        let alone = sessions.len() <= 1;
        let oldest = sessions.into_iter().min();
        let oldest = oldest.ok_or_else(|| io::Error::other("this process has no session"))?;
        let entries = self.census()?;
        let mut pruned = Pruned {
            left: entries.iter().map(|entry| entry.bytes).sum(),
            ..Pruned::default()
        };
        for entry in condemned(&self.root, entries, policy, pruned.left) {
            // These note no use, so any living process may be using them.
            let unknown = matches!(
                entry.kind,
                Kind::Lists | Kind::Log | Kind::Partial | Kind::Stray
            );
            let idle = entry.used < oldest && (alone || !unknown);
            if !idle || !(policy.dry_run || self.remove(&entry)?) {
                pruned.in_use.push(entry);
                continue;
            }
            pruned.left -= entry.bytes;
            pruned.removed.push(entry);
        }
        Ok(pruned)
    }

    /// Whether it was removed: one that was used in the meantime is not.
    fn remove(&self, entry: &Entry) -> io::Result<bool> {
        let path = self.root.join(&entry.path);
        let is_dir = path.is_dir();
        let stamp = match entry.kind {
            Kind::Unpacked if marker(&path).exists() => marker(&path),
            _ => path.clone(),
        };
        let scratch = is_dir
            .then(|| lock::Temporary::dir(&self.root))
            .transpose()?;
        {
            let _uses = self.no_uses()?;
            let unused = fs::symlink_metadata(&stamp)
                .and_then(|there| there.modified())
                .is_ok_and(|used| used == entry.used);
            if !unused {
                return Ok(false);
            }
            match &scratch {
                Some(scratch) => {
                    super::remove_file(&marker(&path))?;
                    fs::rename(&path, scratch.path().join("gone"))?;
                }
                None => super::remove_file(&path)?,
            }
        }
        Ok(true)
    }
}

/// What has to go, first what is worth least.
fn condemned(root: &Path, mut entries: Vec<Entry>, policy: &Policy, all: u64) -> Vec<Entry> {
    let mut gone = Vec::new();
    if let Some(reached) = &policy.not_reached_from {
        let reached = reachable(root, &entries, reached.clone());
        let there: BTreeSet<Digest> = entries.iter().filter_map(|entry| entry.digest).collect();
        let is_lost = |entry: &Entry| match entry.kind {
            Kind::Input | Kind::Output => !entry.digest.is_some_and(|it| reached.contains(&it)),
            Kind::Step | Kind::Resolved => {
                entry.needs.is_empty() || entry.needs.iter().any(|it| !there.contains(it))
            }
            Kind::Unpacked => !marker(&root.join(&entry.path)).is_file(),
            Kind::Partial | Kind::Stray => true,
            Kind::Origin => !there.iter().any(|it| {
                entry
                    .path
                    .file_stem()
                    .is_some_and(|name| name == it.hex().as_str())
            }),
            Kind::Lists | Kind::Log => false,
        };
        let (lost, kept) = entries.into_iter().partition(is_lost);
        (gone, entries) = (lost, kept);
    }
    entries.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
    let mut left = all - gone.iter().map(|entry| entry.bytes).sum::<u64>();
    for entry in entries {
        let unused = entry.used.elapsed().unwrap_or_default();
        let old = policy.older_than.is_some_and(|age| unused > age);
        let much = policy.max_bytes.is_some_and(|max| left > max);
        if old || much {
            left -= entry.bytes;
            gone.push(entry);
        }
    }
    gone
}

/// Roots, what records name, and what manifests among them name.
fn reachable(root: &Path, entries: &[Entry], mut reached: BTreeSet<Digest>) -> BTreeSet<Digest> {
    reached.extend(entries.iter().flat_map(|entry| entry.needs.iter().copied()));
    let mut fresh: Vec<Digest> = reached.iter().copied().collect();
    let small: BTreeSet<Digest> = entries
        .iter()
        .filter(|entry| entry.bytes <= LONGEST_MANIFEST)
        .filter_map(|entry| entry.digest)
        .collect();
    while let Some(digest) = fresh.pop() {
        if !small.contains(&digest) {
            continue;
        }
        let Ok(bytes) = fs::read(super::blob_path(root, &digest)) else {
            continue;
        };
        let mut named: Vec<Digest> = Vec::new();
        if let Ok(manifest) = Manifest::parse(&bytes) {
            named.extend(manifest.blobs().map(|blob| blob.digest));
        } else if let Ok(index) = Index::parse(&bytes) {
            named.extend(index.manifests.iter().map(|(entry, _)| entry.digest));
        }
        fresh.extend(named.into_iter().filter(|digest| reached.insert(*digest)));
    }
    reached
}

#[cfg(test)]
mod tests;
