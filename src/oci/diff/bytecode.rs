//! Python's compiled modules: which source one belongs to, and how two of the same source differ.

use std::io::{self, Read};

use super::Change;
use super::files::content_from;
use crate::ImagePath;
use crate::entry::Content;

/// Magic number, flags, and a hash of the source or its time and size.
const HEADER: usize = 16;

/// `DIR/NAME.py` of `DIR/__pycache__/NAME.cpython-313.opt-1.pyc`.
pub(super) fn source_of(path: &ImagePath) -> Option<ImagePath> {
    let name = path.file_name().strip_suffix(b".pyc")?;
    let folder = path
        .parent()
        .filter(|folder| folder.file_name() == b"__pycache__")?;
    let stem = name.split(|c| *c == b'.').next()?;
    let file = [stem, b".py"].concat();
    match folder.parent() {
        Some(parent) => parent.join(file).ok(),
        None => ImagePath::new(file).ok(),
    }
}

/// The fields of the header that differ, and whether the code does; `at` is the first byte that differs.
pub(super) fn between(pair: [&Content; 2], at: u64) -> io::Result<Vec<Change>> {
    let [old, new] = [header(pair[0])?, header(pair[1])?];
    let mut changes = Vec::new();
    for (name, range) in [
        ("magic number", 0..4),
        ("flags", 4..8),
        ("source's hash or time", 8..HEADER),
    ] {
        let [old, new] = [&old, &new].map(|header| header.get(range.clone()).unwrap_or_default());
        if old != new {
            let [old, new] = [old, new].map(hex);
            changes.push(Change::new(format!("bytecode's {name}"), old, new));
        }
    }
    // Behind a header that differs the code may be the same: the interpreter would take either.
    if at >= HEADER as u64 {
        let mut code = content_from(pair, at)?;
        code.field = format!("bytecode of the same source, from byte {at}");
        changes.push(code);
    }
    Ok(changes)
}

fn header(content: &Content) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    content
        .open()?
        .take(HEADER as u64)
        .read_to_end(&mut header)?;
    Ok(header)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_bytecode() {
        for (path, source) in [
            ("lib/__pycache__/os.cpython-313.pyc", Some("lib/os.py")),
            (
                "lib/__pycache__/os.cpython-313.opt-1.pyc",
                Some("lib/os.py"),
            ),
            ("__pycache__/a.cpython-313.pyc", Some("a.py")),
            ("lib/os.pyc", None),
            ("lib/__pycache__/os.txt", None),
        ] {
            let found = source_of(&path.parse().unwrap());
            assert_eq!(
                found,
                source.map(|source| source.parse().unwrap()),
                "{path}"
            );
        }
    }
}
