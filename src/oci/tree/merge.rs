//! Layers on top of each other: what a container's root file system contains.

use super::{MAX_LINKS, Tree, TreeError, Whiteout};
use crate::ImagePath;
use crate::entry::{Entry, Kind};

impl Tree {
    /// Puts a layer on this root file system: first it removes what the layer removes, then it adds the layer's
    /// entries. As in container runtimes,
    /// - a removal never affects the layer's own entries, whatever their order in the layer's tar;
    /// - a directory in the layer replaces a link or file below, a directory on a directory keeps what is inside;
    /// - a path through a link of the layers below, without an entry of its own for the directory, is followed
    ///   inside the root.
    ///
    /// Hard links become files with the same content.
    pub fn with_layer(mut self, layer: Tree) -> Result<Tree, TreeError> {
        if !layer.whiteouts.is_empty() {
            self.replace_with_dirs(&layer)?;
        }
        for whiteout in &layer.whiteouts {
            self.apply_whiteout(whiteout);
        }
        let mut hardlinks = Vec::new();
        for (path, entry) in &layer.entries {
            if let Kind::Hardlink(target) = &entry.kind {
                let end = layer.end_of_link(target);
                hardlinks.push((path.clone(), target.clone(), end));
            }
        }
        let leads_elsewhere = |dir| self.get(dir).is_some_and(|there| !there.is_dir());
        if hardlinks.is_empty()
            && layer.len() > self.len()
            && !layer.implied.iter().any(leads_elsewhere)
        {
            return Ok(self.below(layer));
        }
        // Moved, not copied: the layer may be as large as the root.
        let mut entries = layer.entries.into_iter().peekable();
        while let Some((path, entry)) = entries.next() {
            if matches!(entry.kind, Kind::Hardlink(_)) {
                continue;
            }
            let at = self.followed(&path)?;
            if entry.is_dir() && layer.implied.contains(&path) {
                // What comes next is inside.
                let inside = entries.peek().map_or(&path, |(next, _)| next);
                self.imply_dir(at, inside)?;
            } else {
                self.insert(at, *entry)?;
            }
        }
        for (path, target, end) in hardlinks {
            let at = self.followed(&path)?;
            let source = end.and_then(|end| self.linked(&end));
            let source = source.ok_or(TreeError::BrokenHardlink { path, target })?;
            self.insert(at, source)?;
        }
        Ok(self)
    }

    /// This tree below a larger layer, whose entries stay where they are in memory. Its removals were applied, and each of
    /// its directories is an entry of its own, or is none but a directory here: then nothing in it goes through a link
    /// of this tree.
    fn below(self, mut layer: Tree) -> Tree {
        layer.whiteouts.clear();
        let implied = std::mem::take(&mut layer.implied);
        let covered = |path: &ImagePath, layer: &Tree| {
            let mut at = path.parent();
            while let Some(dir) = at {
                match layer.get(&dir) {
                    Some(entry) if !entry.is_dir() => return true,
                    Some(_) | None => at = dir.parent(),
                }
            }
            layer.get(path).is_some() && !implied.contains(path)
        };
        let covered_here: Vec<bool> = self
            .entries
            .keys()
            .map(|path| covered(path, &layer))
            .collect();
        for ((path, entry), is_covered) in self.entries.into_iter().zip(covered_here) {
            if !is_covered {
                if self.implied.contains(&path) {
                    layer.implied.insert(path.clone());
                }
                layer.entries.insert(path, entry);
            }
        }
        layer
    }

    /// What a directory of the layer's own takes the place of is gone before anything is removed from inside it: a
    /// link there does not lead the removal elsewhere.
    fn replace_with_dirs(&mut self, layer: &Tree) -> Result<(), TreeError> {
        for (path, entry) in &layer.entries {
            if entry.is_dir()
                && !layer.implied.contains(path)
                && let Ok(at) = self.followed(path)
                && self.get(&at).is_some_and(|there| !there.is_dir())
            {
                self.insert(at, Entry::clone(entry))?;
            }
        }
        Ok(())
    }

    fn apply_whiteout(&mut self, whiteout: &Whiteout) {
        match whiteout {
            // What cannot be reached is not there to be removed.
            Whiteout::Path(path) => {
                if let Ok(at) = self.followed(path) {
                    self.remove(&at);
                }
            }
            Whiteout::Inside(dir) => {
                let at = match self.resolve_or_root(dir) {
                    Ok(Some(at)) => at,
                    Ok(None) => return self.apply_whiteout(&Whiteout::Everything),
                    Err(_) => return,
                };
                let inside: Vec<ImagePath> = self
                    .subtree(&at)
                    .filter(|(path, _)| path.parent().as_ref() == Some(&at))
                    .map(|(path, _)| path.clone())
                    .collect();
                for path in inside {
                    self.remove(&path);
                }
            }
            Whiteout::Everything => {
                self.entries.clear();
                self.implied.clear();
            }
        }
    }

    /// `path` with the links on the way to its last component followed inside this tree.
    fn followed(&self, path: &ImagePath) -> Result<ImagePath, TreeError> {
        let Some(parent) = path.parent() else {
            return Ok(path.clone());
        };
        match self.get(&parent) {
            Some(entry) if entry.is_dir() => Ok(path.clone()),
            Some(Entry {
                kind: Kind::Symlink(_),
                ..
            }) => inside(self.resolve_or_root(&parent)?, path),
            Some(entry) => Err(TreeError::ParentNotDir {
                path: path.clone(),
                found: entry.kind.name(),
                parent,
            }),
            // The parent itself may be reached through a link, or be missing everywhere.
            None => {
                let parent = self.followed(&parent)?;
                let end = self.resolve_or_root(&parent);
                inside(end.unwrap_or(Some(parent)), path)
            }
        }
    }

    /// Makes sure that there is a directory, or a link to one, for what is `inside` it.
    fn imply_dir(&mut self, at: ImagePath, inside: &ImagePath) -> Result<(), TreeError> {
        match self.get(&at) {
            None => self.insert(at, Entry::dir(0o755)),
            Some(entry) if entry.is_dir() => Ok(()),
            Some(Entry {
                kind: Kind::Symlink(_),
                ..
            }) if self.leads_to_dir(&at) => Ok(()),
            Some(entry) => Err(TreeError::ParentNotDir {
                found: entry.kind.name(),
                path: inside.clone(),
                parent: at,
            }),
        }
    }

    fn leads_to_dir(&self, link: &ImagePath) -> bool {
        self.resolve_or_root(link).is_ok_and(|there| {
            there.is_none_or(|there| self.get(&there).is_some_and(Entry::is_dir))
        })
    }

    /// Where a chain of hard links ends that begins at `target`: in this layer, or in the layers below; `None` in a ring.
    fn end_of_link(&self, target: &ImagePath) -> Option<ImagePath> {
        let mut at = target;
        for _ in 0..MAX_LINKS {
            match self.get(at).map(|entry| &entry.kind) {
                Some(Kind::Hardlink(next)) => at = next,
                _ => return Some(at.clone()),
            }
        }
        None
    }

    /// The entry that a hard link stands for, once the layer's other entries are in this tree.
    fn linked(&self, target: &ImagePath) -> Option<Entry> {
        let entry = self.get(&self.followed(target).ok()?)?;
        (!entry.is_dir()).then(|| entry.clone())
    }
}

/// The last component of `path` inside a directory; `None` is the root.
fn inside(dir: Option<ImagePath>, path: &ImagePath) -> Result<ImagePath, TreeError> {
    Ok(match dir {
        Some(dir) => dir.join(path.file_name())?,
        None => ImagePath::new(path.file_name())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        text.parse().unwrap()
    }

    /// `d` a directory, `f=text` a file, `l->target` a link, `h=>target` a hard link, `-p` and `-p/*` whiteouts.
    /// Entries with `~` in front are not put down with [`Tree::insert`], so their parents are implied.
    fn layer(entries: &[&str]) -> Tree {
        let mut tree = Tree::new();
        for text in entries {
            if let Some(gone) = text.strip_prefix('-') {
                let whiteout = match gone.strip_suffix("/*") {
                    Some("") => Whiteout::Everything,
                    Some(dir) => Whiteout::Inside(path(dir)),
                    None => Whiteout::Path(path(gone)),
                };
                tree.white_out(whiteout).unwrap();
            } else if let Some((at, target)) = text.split_once("->") {
                tree.insert(path(at), Entry::symlink(target)).unwrap();
            } else if let Some((at, target)) = text.split_once("=>") {
                let mut entry = Entry::dir(0o644);
                entry.kind = Kind::Hardlink(path(target));
                tree.insert(path(at), entry).unwrap();
            } else if let Some((at, content)) = text.split_once('=') {
                tree.insert(path(at), Entry::file(content, 0o644)).unwrap();
            } else {
                tree.insert(path(text), Entry::dir(0o700)).unwrap();
            }
        }
        tree
    }

    fn merged(layers: &[&[&str]]) -> Result<String, TreeError> {
        let mut root = Tree::new();
        for entries in layers {
            root = root.with_layer(layer(entries))?;
        }
        let mut text = Vec::new();
        for (path, entry) in root.iter() {
            text.push(match &entry.kind {
                Kind::File(content) => {
                    format!("{path}={}", String::from_utf8(content.read(99)?).unwrap())
                }
                Kind::Symlink(target) => format!("{path}->{}", String::from_utf8_lossy(target)),
                Kind::Dir => path.to_string(),
                kind => panic!("{path} is {kind:?}"),
            });
        }
        assert_eq!(root.whiteouts().count(), 0);
        Ok(text.join(" "))
    }

    #[test]
    fn layers_on_layers() {
        for (name, layers, expected) in [
            ("added", &[&["a=1"][..], &["b=2"]][..], "a=1 b=2"),
            ("replaced", &[&["a=1"], &["a=2"]], "a=2"),
            ("file on dir", &[&["a/b=1"], &["a=2"]], "a=2"),
            ("dir on file", &[&["a=1"], &["a", "a/b=2"]], "a a/b=2"),
            (
                "dir on dir",
                &[&["a/b=1"], &["a", "a/c=2"]],
                "a a/b=1 a/c=2",
            ),
            ("removed", &[&["a=1", "b=1"], &["-a"]], "b=1"),
            ("removed dir", &[&["a/b/c=1", "a-b=1"], &["-a"]], "a-b=1"),
            ("removed and missing", &[&["a=1"], &["-b/c"]], "a=1 b"),
            (
                "removed and added",
                &[&["a/b=1"], &["-a", "a/c=2"]],
                "a a/c=2",
            ),
            (
                "opaque",
                &[&["a/b/c=1", "d=1"], &["-a/*", "a/e=2"]],
                "a a/e=2 d=1",
            ),
            ("opaque root", &[&["a/b=1", "d=1"], &["-/*", "e=2"]], "e=2"),
            ("added again", &[&["a=1"], &["-a"], &["a=3"]], "a=3"),
            ("own removal", &[&["-a", "a=1"]], "a=1"),
            (
                "through a link",
                &[&["usr/lib/x=1", "lib->usr/lib"], &["lib/y=2"]],
                "lib->usr/lib usr usr/lib usr/lib/x=1 usr/lib/y=2",
            ),
            (
                "through two links, deep",
                &[&["a/b/c", "l->/a", "a/m->b"], &["l/m/c/n/y=2"]],
                "a a/b a/b/c a/b/c/n a/b/c/n/y=2 a/m->b l->/a",
            ),
            (
                "a directory replaces a link",
                &[&["usr/lib/x=1", "lib->usr/lib"], &["lib", "lib/y=2"]],
                "lib lib/y=2 usr usr/lib usr/lib/x=1",
            ),
            (
                "removal through a link",
                &[&["usr/lib/x=1", "lib->usr/lib"], &["-lib/x"]],
                "lib->usr/lib usr usr/lib",
            ),
            (
                "removal of a link keeps its target",
                &[&["t/x=1", "l->t"], &["-l"]],
                "t t/x=1",
            ),
            (
                "hard links, forwards and chained",
                &[&["a=>b", "b=>c", "c=1"]],
                "a=1 b=1 c=1",
            ),
            (
                "a hard link into a lower layer outlives its target",
                &[&["c=1"], &["a=>c"], &["-c"]],
                "a=1",
            ),
            (
                "through a link to the root",
                &[&["a=1", "l->/", "m->.."], &["l/b=2", "m/c/d=3"], &["-l/a"]],
                "b=2 c c/d=3 l->/ m->..",
            ),
            (
                "a chain of hard links into a lower layer",
                &[&["c=1"], &["a=>b", "b=>c"]],
                "a=1 b=1 c=1",
            ),
            (
                "removal inside a directory that takes a link's place",
                &[&["usr/x=1", "lib->usr"], &["lib", "-lib/x"]],
                "lib usr usr/x=1",
            ),
            (
                "opaque in a directory that takes a link's place",
                &[&["usr/x=1", "lib->usr"], &["lib", "-lib/*"]],
                "lib usr usr/x=1",
            ),
            (
                "opaque through a link",
                &[&["usr/x=1", "lib->usr"], &["-lib/*"]],
                "lib->usr usr",
            ),
            (
                "a hard link keeps the old content when its target is replaced later",
                &[&["c=1", "a=>c"], &["c=2"]],
                "a=1 c=2",
            ),
        ] {
            assert_eq!(merged(layers).expect(name), expected, "{name}");
        }
    }

    #[test]
    fn a_larger_layer_takes_the_root_below_itself() {
        for (root, upper, expected) in [
            (
                &["a", "a/b=1"][..],
                &["a=2", "c=1", "d=1"][..],
                "a=2 c=1 d=1",
            ),
            (&["a=1"], &["a", "a/b=2"], "a a/b=2"),
            (&["a", "a/b=1"], &["a", "a/c=2", "d=1"], "a a/b=1 a/c=2 d=1"),
            (
                &["a/b/c=1"],
                &["a", "a/b=2", "d=1", "e=1"],
                "a a/b=2 d=1 e=1",
            ),
            (
                &["usr", "usr/x=1", "lib->usr"],
                &["lib", "lib/y=2", "z=1", "w=1"],
                "lib lib/y=2 usr usr/x=1 w=1 z=1",
            ),
            (
                &["t=1", "l->t"],
                &["-l", "a=1", "b=1", "c=1"],
                "a=1 b=1 c=1 t=1",
            ),
            (
                &["a", "a/x=1"],
                &["-a/*", "a", "a/y=1", "b=1"],
                "a a/y=1 b=1",
            ),
            (
                &["a", "a/b=1"],
                &["a/c=2", "d/e=1"],
                "a a/b=1 a/c=2 d d/e=1",
            ),
            (
                &["usr", "usr/x=1", "lib->usr"],
                &["lib", "lib/y/z=2", "w=1"],
                "lib lib/y lib/y/z=2 usr usr/x=1 w=1",
            ),
            // Only by the other way is something put where a link leads.
            (
                &["usr", "lib->usr"],
                &["lib/y=1", "lib/z=2"],
                "lib->usr usr usr/y=1 usr/z=2",
            ),
        ] {
            assert!(layer(upper).len() > layer(root).len());
            assert_eq!(merged(&[root, upper]).unwrap(), expected);
            // A root that is larger still goes the other way.
            let padding = ["~0=", "~1=", "~2=", "~3=", "~4="];
            let padded = [root, &padding].concat();
            let onto = merged(&[&padded, upper]).unwrap();
            assert_eq!(onto, format!("{expected} {}", padding.join(" ")));
        }
    }

    #[test]
    fn what_no_runtime_can_do_is_an_error() {
        for (name, layers) in [
            ("below a file", &[&["a=1"][..], &["a/b=1"]][..]),
            ("below a link to a file", &[&["f=1", "a->f"], &["a/b=1"]]),
            (
                "below a link that leads out of a file",
                &[&["f=1", "d", "a->f/../d"], &["a/b=1"]],
            ),
            ("below a dangling link", &[&["a->nowhere"], &["a/b=1"]]),
            ("hard link to nothing", &[&["a=>b"]]),
            ("hard link to a directory", &[&["b", "a=>b"]]),
            ("hard link to itself", &[&["a=>a"]]),
            ("hard links in a ring", &[&["a=>b", "b=>a"]]),
        ] {
            assert!(merged(layers).is_err(), "{name}");
        }
    }

    #[test]
    fn implied_directories_keep_the_mode_below() {
        let root = layer(&["tmp"]).with_layer(layer(&["tmp/x=1"])).unwrap();
        assert_eq!(root.get(&path("tmp")).unwrap().mode, 0o700);
    }
}
