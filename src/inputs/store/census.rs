//! What is in a store: goes out one [`Entry`] for each thing that can be removed by itself.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use oci::Digest;
use serde::Serialize;

use super::Store;

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A blob that came from elsewhere.
    Input,
    /// A blob that a step put out.
    Output,
    /// What a step put out, by its key.
    Step,
    /// A folder made from blobs.
    Unpacked,
    /// What an input came down to.
    Resolved,
    /// Where a blob came from.
    Origin,
    /// apt's lists of a suite.
    Lists,
    /// What a step said.
    Log,
    /// An unfinished transfer.
    Partial,
    /// Nothing that a store makes.
    Stray,
}

/// A thing in the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is for.
    pub kind: Kind,
    /// Its path inside the store.
    pub path: PathBuf,
    /// The length of its files.
    pub bytes: u64,
    /// When it was last used; when it was last written, for kinds that do not note their use.
    pub used: SystemTime,
    /// Of a blob.
    pub digest: Option<Digest>,
    /// The blobs that it needs to be worth anything.
    pub needs: Vec<Digest>,
}

impl Store {
    /// Everything in this store, temporary things and locks aside; by path.
    pub fn census(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut outputs = BTreeSet::new();
        for (folder, kind) in [("steps", Kind::Step), ("resolved", Kind::Resolved)] {
            for mut entry in self.entries(folder, kind)? {
                entry.needs = named_in(&self.root.join(&entry.path));
                if kind == Kind::Step {
                    outputs.extend(entry.needs.iter().copied());
                }
                entries.push(entry);
            }
        }
        for mut entry in self.entries("blobs/sha256", Kind::Stray)? {
            let name = entry.path.file_name().and_then(|name| name.to_str());
            entry.digest = name.and_then(|name| format!("sha256:{name}").parse().ok());
            entry.kind = match entry.digest {
                Some(digest) if outputs.contains(&digest) => Kind::Output,
                Some(_) => Kind::Input,
                None => Kind::Stray,
            };
            entries.push(entry);
        }
        for (folder, kind) in [
            ("origins", Kind::Origin),
            ("unpacked", Kind::Unpacked),
            ("apt", Kind::Lists),
            ("logs", Kind::Log),
            ("partial", Kind::Partial),
        ] {
            entries.extend(self.entries(folder, kind)?);
        }
        // Every step wrote there once.
        entries.extend(self.entry(Path::new("zig"), Kind::Stray));
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn entries(&self, folder: &str, kind: Kind) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let folder_on_disk = self.root.join(folder);
        if !folder_on_disk.is_dir() {
            return Ok(found);
        }
        for entry in fs::read_dir(folder_on_disk)? {
            let path = Path::new(folder).join(entry?.file_name());
            let is_marker = path.extension().is_some_and(|end| end == "complete");
            if kind != Kind::Unpacked || !is_marker {
                found.extend(self.entry(&path, kind));
            }
        }
        Ok(found)
    }

    /// None if it is gone.
    fn entry(&self, path: &Path, kind: Kind) -> Option<Entry> {
        let whole = self.root.join(path);
        let stamp = match kind {
            Kind::Unpacked => marker(&whole),
            _ => whole.clone(),
        };
        let used = [stamp, whole.clone()]
            .iter()
            .find_map(|path| fs::symlink_metadata(path).ok()?.modified().ok())?;
        Some(Entry {
            kind,
            path: path.to_owned(),
            bytes: size(&whole).unwrap_or(0),
            used,
            digest: None,
            needs: Vec::new(),
        })
    }
}

/// The file beside an unpacked folder that says that it is whole.
pub(super) fn marker(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".complete");
    name.into()
}

/// Of all files below.
fn size(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        // What vanishes while it is counted takes no space.
        sum += size(&entry?.path()).unwrap_or(0);
    }
    Ok(sum)
}

/// The digests in a record.
fn named_in(record: &Path) -> Vec<Digest> {
    fn collect(value: &serde_json::Value, found: &mut Vec<Digest>) {
        match value {
            serde_json::Value::String(text) => found.extend(text.parse::<Digest>()),
            serde_json::Value::Array(values) => values.iter().for_each(|v| collect(v, found)),
            // A diffID is the digest of no blob.
            serde_json::Value::Object(fields) => fields
                .iter()
                .filter(|(name, _)| *name != "diff_id")
                .for_each(|(_, value)| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let value = fs::read(record).map(|bytes| serde_json::from_slice(&bytes));
    if let Ok(Ok(value)) = value {
        collect(&value, &mut found);
    }
    found
}
