//! A zip → a tree, by the rules of the reader of tars. The files' bytes go into one file, one behind the other.

use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use oci::tree::TreeError;
use oci::{Bomb, Content, Entry, ImagePath, Kind, Limits, Tree};
use zip::ZipArchive;

use super::{Stop, refused};

/// Longest target of a symbolic link, as PATH_MAX.
const MAX_TARGET: u64 = 4096;

impl From<zip::result::ZipError> for Stop {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Io(error.into())
    }
}

/// Reads the archive; `content` is made, and must stay while the tree is used. Of entries with the same name the last
/// one counts.
pub(super) fn tree(archive: &Path, content: &Path) -> Result<Tree, Stop> {
    let file = fs::File::open(archive)?;
    let limits = Limits::current();
    let limit = limits.unpacked(file.metadata()?.len());
    let mut zip = ZipArchive::new(BufReader::with_capacity(1 << 16, file))?;
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(content)?);
    let content: Arc<Path> = content.into();
    let (mut tree, mut offset) = (Tree::new(), 0u64);
    if zip.len() as u64 > limits.entries {
        return Err(Stop::Refused(
            String::new(),
            "has more entries than the limit (--max-entries)",
        ));
    }
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.into_owned();
        let Some(path) = ImagePath::rooted(name.as_bytes()).map_err(TreeError::from)? else {
            continue;
        };
        let mode = entry.unix_mode().unwrap_or(0o644);
        let made = match mode & 0o170_000 {
            _ if entry.is_dir() => Entry::dir(0o755),
            0o120_000 => {
                let mut target = Vec::new();
                entry
                    .by_ref()
                    .take(MAX_TARGET + 1)
                    .read_to_end(&mut target)?;
                if target.is_empty() || target.contains(&0) || target.len() as u64 > MAX_TARGET {
                    return Err(refused(&path, "is a link without a usable target"));
                }
                Entry::symlink(target)
            }
            0 | 0o100_000 => {
                let len = entry.size();
                if offset.saturating_add(len) > limit {
                    return Err(Stop::Io(io::Error::other(Bomb(limit))));
                }
                // One byte more than announced, to notice it.
                let copied = io::copy(&mut entry.by_ref().take(len.saturating_add(1)), &mut out)?;
                if copied != len {
                    return Err(refused(&path, "has another size than announced"));
                }
                let bytes = Content::File {
                    path: content.clone(),
                    offset,
                    len,
                };
                offset += len;
                Entry::file(bytes, mode & 0o777)
            }
            _ => return Err(refused(&path, "is a device or another special file")),
        };
        if made.kind == Kind::Dir || !name.ends_with('/') {
            tree.insert(path, made)?;
        }
    }
    out.flush()?;
    Ok(tree)
}
