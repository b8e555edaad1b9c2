//! Looking at everything in a store: comes out what was not what its name says, which is removed.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci::Digest;

use super::census::marker;
use super::{Entry, Kind, Store, lock, usage};

/// Something that was damaged.
#[derive(Debug)]
pub struct Damage {
    /// The thing.
    pub entry: Entry,
    /// What is wrong with it.
    pub fault: String,
}

impl Store {
    /// Reads every blob, record and unpacked folder, and removes what is damaged. Returns how many things were read.
    pub fn verify(&self) -> io::Result<(usize, Vec<Damage>)> {
        let mut damages = Vec::new();
        let mut read = 0;
        for entry in self.census()? {
            let path = self.root.join(&entry.path);
            let fault = match entry.kind {
                Kind::Input | Kind::Output | Kind::Step | Kind::Resolved => {
                    let Some(file) = usage::open(&path)? else {
                        continue;
                    };
                    let fault = file_fault(&entry, &file, &path)?;
                    if fault.is_some() && !self.evict(&path, &file)? {
                        continue;
                    }
                    fault
                }
                Kind::Unpacked => self.folder_fault(&path)?,
                _ => continue,
            };
            read += 1;
            damages.extend(fault.map(|fault| Damage { entry, fault }));
        }
        Ok((read, damages))
    }

    fn folder_fault(&self, path: &Path) -> io::Result<Option<String>> {
        let Ok(said) = fs::read_to_string(marker(path)) else {
            // It is being made, or its maker died: the next build makes it anew.
            return Ok(None);
        };
        if said.is_empty() {
            // Unpacked by a version that kept no account of what it unpacked.
            return Ok(None);
        }
        let got = listing(path);
        let fault = match &got {
            Ok(got) if said.trim_end() == got.to_string() => return Ok(None),
            Ok(_) => "its files are not those that were unpacked".to_owned(),
            Err(error) => error.to_string(),
        };
        let scratch = lock::Temporary::dir(&self.root)?;
        let _uses = self.no_uses()?;
        super::remove_file(&marker(path))?;
        fs::rename(path, scratch.path().join("gone"))?;
        Ok(Some(fault))
    }
}

fn file_fault(entry: &Entry, file: &fs::File, path: &Path) -> io::Result<Option<String>> {
    let Some(digest) = entry.digest else {
        let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&fs::read(path)?);
        return Ok(parsed.err().map(|error| error.to_string()));
    };
    let (got, size) = Digest::of_reader(file)?;
    Ok((got != digest).then(|| format!("its {size} bytes are {got}")))
}

/// The digest of a folder's names, modes, links and bytes.
pub(super) fn listing(folder: &Path) -> io::Result<Digest> {
    let mut lines = Vec::new();
    list(folder, &mut PathBuf::new(), &mut lines)?;
    lines.sort();
    Ok(Digest::of(&lines.concat()))
}

fn list(root: &Path, below: &mut PathBuf, lines: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(&below))? {
        let entry = entry?;
        below.push(entry.file_name());
        let metadata = entry.metadata()?;
        let path = root.join(&below);
        let what = if metadata.is_dir() {
            list(root, below, lines)?;
            "folder".to_owned()
        } else if metadata.is_symlink() {
            format!("link {:?}", fs::read_link(&path)?)
        } else if metadata.is_file() {
            let (digest, _) = Digest::of_reader(fs::File::open(&path)?)?;
            format!("file {:o} {digest}", metadata.permissions().mode())
        } else {
            "other".to_owned()
        };
        lines.push(format!("{below:?} {what}\n").into_bytes());
        below.pop();
    }
    Ok(())
}
