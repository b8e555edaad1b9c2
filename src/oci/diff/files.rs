//! Two root file systems, path by path: kind, mode, owner, time, attributes and content.

use std::cmp::Ordering;
use std::io::{self, Read};

use serde::Serialize;

use super::{Change, DiffError, Unpacked, bytecode, program};
use crate::ImagePath;
use crate::entry::{Content, Entry, Kind, Special};
use crate::tree::Tree;

/// What is another thing at a path.
#[derive(Clone, Debug, Serialize)]
pub struct FileChange {
    /// From the root, with a slash in front; bytes that are no text are escaped.
    pub path: String,
    /// Whether it is, or was, a directory.
    pub is_dir: bool,
    /// The layers that it comes from, counted from 0 at the bottom; `None`: not there.
    pub layers: [Option<usize>; 2],
    /// Its fields; empty for what was added or removed.
    pub changes: Vec<Change>,
    /// For bytecode: its source, which differs, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
}

impl FileChange {
    /// Whether only the second image has it.
    pub fn is_added(&self) -> bool {
        self.layers[0].is_none() && self.changes.is_empty()
    }

    /// Whether only the first image has it.
    pub fn is_removed(&self) -> bool {
        self.layers[1].is_none() && self.changes.is_empty()
    }
}

pub(super) fn between(old: &Unpacked, new: &Unpacked) -> Result<Vec<FileChange>, DiffError> {
    let mut changes = Vec::new();
    let (mut a, mut b) = (old.root.iter().peekable(), new.root.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return Ok(changes),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let was = a.next_if(|_| order != Ordering::Greater);
        let is = b.next_if(|_| order != Ordering::Less);
        let Some((path, some)) = was.or(is) else {
            return Ok(changes);
        };
        let mut change = FileChange {
            path: path.absolute(),
            is_dir: some.is_dir(),
            // What no layer lists itself was made for what is inside.
            layers: [
                was.map(|_| old.layer_of(path).unwrap_or_default()),
                is.map(|_| new.layer_of(path).unwrap_or_default()),
            ],
            changes: Vec::new(),
            follows: None,
        };
        if let (Some((_, was)), Some((_, is))) = (was, is) {
            change.changes = fields(was, is);
            if let (Kind::File(was), Kind::File(is)) = (&was.kind, &is.kind) {
                content(path, [was, is], [&old.root, &new.root], &mut change)?;
            }
            if change.changes.is_empty() && change.follows.is_none() {
                continue;
            }
        }
        changes.push(change);
    }
}

/// What differs of two entries, without the content of files.
pub(super) fn fields(old: &Entry, new: &Entry) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut field = |name: &str, old: String, new: String| {
        if old != new {
            changes.push(Change::new(name, old, new));
        }
    };
    field("kind", kind(&old.kind), kind(&new.kind));
    field(
        "mode",
        format!("{:04o}", old.mode),
        format!("{:04o}", new.mode),
    );
    let owner = |entry: &Entry| format!("{}:{}", entry.uid, entry.gid);
    field("owner", owner(old), owner(new));
    field("time", time(old.mtime), time(new.mtime));
    if let (Kind::File(old), Kind::File(new)) = (&old.kind, &new.kind) {
        field("size", old.len().to_string(), new.len().to_string());
    }
    for name in old.xattrs.keys().chain(
        new.xattrs
            .keys()
            .filter(|name| !old.xattrs.contains_key(*name)),
    ) {
        let value = |entry: &Entry| {
            let bytes = entry.xattrs.get(name);
            bytes.map(|bytes| bytes.escape_ascii().to_string())
        };
        if value(old) != value(new) {
            changes.push(Change {
                field: format!("attribute {name}"),
                old: value(old),
                new: value(new),
            });
        }
    }
    changes
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::File(_) => "file".to_owned(),
        Kind::Dir => "directory".to_owned(),
        Kind::Symlink(target) => format!("link to {}", target.escape_ascii()),
        Kind::Hardlink(target) => format!("hard link to {}", target.absolute()),
        Kind::Special(Special::CharDevice(a, b)) => format!("character device {a},{b}"),
        Kind::Special(Special::BlockDevice(a, b)) => format!("block device {a},{b}"),
        Kind::Special(Special::Fifo) => "pipe".to_owned(),
    }
}

fn time(seconds: Option<i64>) -> String {
    let shown = seconds.map(|seconds| match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{seconds} s"),
    });
    shown.unwrap_or_else(|| "none".to_owned())
}

fn content(
    path: &ImagePath,
    pair: [&Content; 2],
    roots: [&Tree; 2],
    change: &mut FileChange,
) -> io::Result<()> {
    let Some(at) = first_difference(pair)? else {
        return Ok(());
    };
    if let Some(source) = bytecode::source_of(path) {
        let sources = roots.map(|root| root.content(&source).ok());
        let same = match sources {
            [Some(old), Some(new)] => first_difference([old, new])?.is_none(),
            _ => false,
        };
        if !same {
            change.follows = Some(source.absolute());
            return Ok(());
        }
        change.changes.extend(bytecode::between(pair, at)?);
        return Ok(());
    }
    let programs = program::between(pair, at)?;
    let described = !programs.is_empty();
    change.changes.extend(programs);
    if !described {
        change.changes.push(content_from(pair, at)?);
    }
    Ok(())
}

/// The bytes of both from the first that differs.
pub(super) fn content_from(pair: [&Content; 2], at: u64) -> io::Result<Change> {
    let [old, new] = pair.map(|content| excerpt(content, at));
    Ok(Change::new(format!("content from byte {at}"), old?, new?))
}

fn excerpt(content: &Content, at: u64) -> io::Result<String> {
    const SHOWN: u64 = 24;
    let mut reader = content.open()?;
    io::copy(&mut (&mut reader).take(at), &mut io::sink())?;
    let mut bytes = Vec::new();
    reader.take(SHOWN).read_to_end(&mut bytes)?;
    Ok(match bytes.is_empty() {
        true => "the end".to_owned(),
        false => format!("\"{}\"", bytes.escape_ascii()),
    })
}

/// The offset of the first byte that differs.
pub(super) fn first_difference(pair: [&Content; 2]) -> io::Result<Option<u64>> {
    let [old, new] = pair;
    // The same bytes on this machine.
    if old == new {
        return Ok(None);
    }
    first_difference_of(old.open()?, new.open()?)
}

/// The same of any two readers.
pub(super) fn first_difference_of(
    mut old: impl Read,
    mut new: impl Read,
) -> io::Result<Option<u64>> {
    const CHUNK: usize = 64 << 10;
    let (mut a, mut b) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
    let mut from = 0;
    loop {
        a.clear();
        b.clear();
        (&mut old).take(CHUNK as u64).read_to_end(&mut a)?;
        (&mut new).take(CHUNK as u64).read_to_end(&mut b)?;
        if a != b {
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            return Ok(Some(from + same as u64));
        }
        if a.is_empty() {
            return Ok(None);
        }
        from += a.len() as u64;
    }
}
