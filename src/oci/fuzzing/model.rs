//! A root file system as folders within folders, changed step by step as a container runtime does it on a disk. Slow, and
//! simple enough to be believed: what [`Tree::with_layer`] is compared with.

use std::collections::BTreeMap;

use crate::ImagePath;
use crate::entry::{Entry, Kind};
use crate::tree::{Tree, Whiteout};

#[derive(Clone)]
enum Node {
    Folder(Entry, BTreeMap<Vec<u8>, Node>),
    Other(Entry),
}

/// A root file system.
#[derive(Clone, Default)]
pub struct Root(BTreeMap<Vec<u8>, Node>);

/// What to do about a folder that is not there.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    Make,
    Fail,
}

type Place = Vec<Vec<u8>>;

impl Root {
    /// The layer on top; nothing if it does not fit.
    pub fn with_layer(mut self, layer: &Tree) -> Option<Self> {
        let is_implied = |path: &ImagePath| layer.is_implied(path);
        // Before anything is removed, so that a link that gives way to a folder leads no removal elsewhere.
        let dirs = layer
            .iter()
            .filter(|(path, entry)| entry.is_dir() && !is_implied(path));
        let removes = layer.whiteouts().next().is_some();
        for (path, entry) in dirs.filter(|_| removes) {
            if let Some(place) = self.place(path, Missing::Fail)
                && let Some(Node::Other(_)) = self.at(&place)
            {
                self.put(&place, entry)?;
            }
        }
        for whiteout in layer.whiteouts() {
            match whiteout {
                Whiteout::Everything => self.0.clear(),
                Whiteout::Path(path) => {
                    if let Some(place) = self.place(path, Missing::Fail) {
                        self.folder(&place[..place.len() - 1])?
                            .remove(place.last()?);
                    }
                }
                Whiteout::Inside(path) => {
                    let parts: Vec<&[u8]> = path.components().collect();
                    if let Some(place) = self.walk(&parts, Missing::Fail) {
                        self.folder(&place)?.clear();
                    }
                }
            }
        }
        let mut links = Vec::new();
        for (path, entry) in layer.iter() {
            if is_implied(path) {
                let parts: Vec<&[u8]> = path.components().collect();
                self.walk(&parts, Missing::Make)?;
            } else if let Kind::Hardlink(target) = &entry.kind {
                let mut end = target;
                let mut steps = 0;
                while let Some(Kind::Hardlink(next)) = layer.get(end).map(|entry| &entry.kind) {
                    end = next;
                    steps += 1;
                    if steps >= 40 {
                        return None;
                    }
                }
                links.push((path, end));
            } else {
                let place = self.place(path, Missing::Make)?;
                self.put(&place, entry)?;
            }
        }
        for (path, target) in links {
            let place = self.place(path, Missing::Make)?;
            let from = self.place(target, Missing::Fail)?;
            let Node::Other(entry) = self.at(&from)?.clone() else {
                return None;
            };
            self.put(&place, &entry)?;
        }
        Some(self)
    }

    /// Where a path really is: the links on the way to its last component are followed.
    fn place(&mut self, path: &ImagePath, missing: Missing) -> Option<Place> {
        let parts: Vec<&[u8]> = path.components().collect();
        let (name, folders) = parts.split_last()?;
        let mut place = self.walk(folders, missing)?;
        place.push(name.to_vec());
        Some(place)
    }

    /// The folder at the end of a path, all links followed.
    fn walk(&mut self, parts: &[&[u8]], missing: Missing) -> Option<Place> {
        // Folders are made for what a path says, not for what a link on its way says.
        let mut todo: Vec<(Vec<u8>, bool)> = parts
            .iter()
            .rev()
            .map(|part| (part.to_vec(), false))
            .collect();
        let (mut done, mut links) = (Place::new(), 0);
        while let Some((part, of_link)) = todo.pop() {
            match &*part {
                b"" | b"." => continue,
                b".." => {
                    done.pop();
                    continue;
                }
                _ => {}
            }
            done.push(part);
            match self.at(&done) {
                Some(Node::Folder(..)) => {}
                Some(Node::Other(entry)) => {
                    let Kind::Symlink(target) = entry.kind.clone() else {
                        return None;
                    };
                    links += 1;
                    if links > 40 {
                        return None;
                    }
                    done.pop();
                    if target.starts_with(b"/") {
                        done.clear();
                    }
                    let parts = target.split(|b| *b == b'/').rev();
                    todo.extend(parts.map(|part| (part.to_vec(), true)));
                }
                None if missing == Missing::Make && !of_link => {
                    self.put(&done, &Entry::dir(0o755))?;
                }
                None => return None,
            }
        }
        Some(done)
    }

    fn at(&self, place: &[Vec<u8>]) -> Option<&Node> {
        let (name, folders) = place.split_last()?;
        let mut folder = &self.0;
        for part in folders {
            let Node::Folder(_, inside) = folder.get(part)? else {
                return None;
            };
            folder = inside;
        }
        folder.get(name)
    }

    fn folder(&mut self, place: &[Vec<u8>]) -> Option<&mut BTreeMap<Vec<u8>, Node>> {
        let mut folder = &mut self.0;
        for part in place {
            let Node::Folder(_, inside) = folder.get_mut(part)? else {
                return None;
            };
            folder = inside;
        }
        Some(folder)
    }

    fn put(&mut self, place: &[Vec<u8>], entry: &Entry) -> Option<()> {
        let (name, folders) = place.split_last()?;
        let folder = self.folder(folders)?;
        let node = match (folder.remove(name), entry.is_dir()) {
            (Some(Node::Folder(_, inside)), true) => Node::Folder(entry.clone(), inside),
            (_, true) => Node::Folder(entry.clone(), BTreeMap::new()),
            (_, false) => Node::Other(entry.clone()),
        };
        folder.insert(name.clone(), node);
        Some(())
    }

    /// One line per entry.
    pub fn lines(&self) -> Vec<String> {
        fn add(lines: &mut Vec<String>, folder: &BTreeMap<Vec<u8>, Node>, below: &str) {
            for (name, node) in folder {
                let path = format!("{below}{}", String::from_utf8_lossy(name));
                let (Node::Folder(entry, _) | Node::Other(entry)) = node;
                lines.push(line(&path, entry));
                if let Node::Folder(_, inside) = node {
                    add(lines, inside, &format!("{path}/"));
                }
            }
        }
        let mut lines = Vec::new();
        add(&mut lines, &self.0, "");
        lines.sort();
        lines
    }
}

/// The same of a tree.
pub fn lines(tree: &Tree) -> Vec<String> {
    let mut lines: Vec<String> = tree
        .iter()
        .map(|(path, entry)| line(&path.to_string(), entry))
        .collect();
    lines.sort();
    lines
}

fn line(path: &str, entry: &Entry) -> String {
    format!("{path} {entry:?}")
}
