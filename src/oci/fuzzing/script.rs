//! Bytes → layers: every text of bytes is a list of layers, and small changes of the bytes are small changes of them.

use crate::ImagePath;
use crate::entry::{Entry, Kind};
use crate::tree::{Tree, Whiteout};

/// Few names, so that layers meet.
const NAMES: [&str; 6] = ["a", "b", "c", "lib", "a-b", "usr"];
const TARGETS: [&str; 8] = [
    "a", "/b", "../c", "usr/lib", "/a/b", "..", "lib/../a", "nowhere",
];
/// Ends a layer.
const NEXT: u8 = 7;

struct Script<'b>(std::slice::Iter<'b, u8>);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    fn path(&mut self) -> ImagePath {
        let depth = 1 + self.byte() % 3;
        let parts: Vec<&str> = (0..depth).map(|_| self.choose(&NAMES)).collect();
        parts.join("/").parse().expect("it is a path")
    }
}

/// The layers, lowest first. What a layer cannot hold is left out.
pub fn layers(bytes: &[u8]) -> Vec<Tree> {
    let mut script = Script(bytes.iter());
    let mut layers = vec![Tree::new()];
    while let Some(operation) = script.0.next().map(|byte| byte & 7) {
        if operation == NEXT {
            layers.push(Tree::new());
            continue;
        }
        let layer = layers.last_mut().expect("there is one");
        let path = script.path();
        let whiteout = match operation {
            4 => Whiteout::Path(path),
            5 if path.file_name() == b"usr" => Whiteout::Everything,
            5 => Whiteout::Inside(path),
            _ => {
                let entry = entry(operation, &mut script);
                // As a reader does it, the target of a hard link is not replaced.
                let is_target =
                    |(_, there): (_, &Entry)| there.kind == Kind::Hardlink(path.clone());
                if !layer.iter().any(is_target) && entry.kind != Kind::Hardlink(path.clone()) {
                    let _ = layer.insert(path, entry);
                }
                continue;
            }
        };
        let _ = layer.white_out(whiteout);
    }
    layers
}

fn entry(operation: u8, script: &mut Script) -> Entry {
    let mut entry = match operation {
        0 => Entry::dir(0o700),
        1 => Entry::symlink(script.choose(&TARGETS)),
        2 => {
            let mut entry = Entry::dir(0o644);
            entry.kind = Kind::Hardlink(script.path());
            entry
        }
        _ => Entry::file(vec![script.byte(); usize::from(operation)], 0o644),
    };
    let owner = script.byte();
    entry.uid = u32::from(owner & 3) << 20;
    if owner & 4 != 0 {
        entry
            .xattrs
            .insert("user.a".to_owned(), vec![owner, b'\n', b'=']);
    }
    entry
}
