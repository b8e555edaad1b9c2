//! Pairs of images with one planted difference each: it is named, and nothing else is.

use std::path::{Path, PathBuf};

use super::*;
use crate::source::{Access, ImageSource, Location};
use crate::{
    Entry, Epoch, ImageBuilder, ImagePath, LayerWriter, Layout, Platform, RunConfig, Tree,
};

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    for (name, content) in [
        ("lib/a.py", "a = 1\n"),
        (
            "lib/__pycache__/a.cpython-313.pyc",
            "0123456789abcdefthe code of a",
        ),
        ("lib/b.py", "b = 1\n"),
    ] {
        tree.insert(path(name), Entry::file(content, 0o644))
            .unwrap();
    }
    tree
}

struct Made {
    dir: tempfile::TempDir,
    names: Vec<PathBuf>,
}

impl Made {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            names: Vec::new(),
        }
    }

    /// A layout of a base and a layer with the tree.
    fn image(&mut self, tree: &Tree, run: RunConfig, note: &str) {
        let blobs = self.dir.path().join("blobs");
        let epoch = Epoch::new(1000).unwrap();
        let mut base = Tree::new();
        base.insert(path("etc/name"), Entry::file("base", 0o644))
            .unwrap();
        let writer = LayerWriter::new(&blobs, epoch, 1).keep_times();
        let image = ImageBuilder::new(Platform::linux("amd64"), epoch)
            .base_layer(writer.write(&base).unwrap(), "base")
            .layer(writer.write(tree).unwrap(), "own")
            .run(run)
            .annotation("note", note)
            .build()
            .unwrap();
        let layout = self.dir.path().join(format!("layout{}", self.names.len()));
        Layout::write(&layout, &image, "tag").unwrap();
        self.names.push(layout);
    }

    fn difference(&self) -> Result<Difference, DiffError> {
        let scratch = self.dir.path().join("scratch");
        fs_err::create_dir_all(&scratch).unwrap();
        let [old, new] = [0, 1].map(|i| unpacked(&self.names[i], &scratch));
        Difference::between(&old?, &new?)
    }
}

fn unpacked(layout: &Path, scratch: &Path) -> Result<Unpacked, DiffError> {
    let location = Location::parse(&layout.display().to_string(), None).unwrap();
    let access = Access {
        scratch,
        connect: &|_| unreachable!("nothing is in a registry"),
    };
    Unpacked::new(&ImageSource::open(&location, &access)?, None, scratch)
}

fn changed(change: impl FnOnce(&mut Tree)) -> Difference {
    let mut made = Made::new();
    made.image(&tree(), RunConfig::default(), "x");
    let mut other = tree();
    change(&mut other);
    made.image(&other, RunConfig::default(), "x");
    made.difference().unwrap()
}

/// The paths with their fields, and the last line of the cause.
fn shown(difference: &Difference) -> (Vec<String>, &str) {
    let file = |file: &FileChange| {
        let fields: Vec<String> = file
            .changes
            .iter()
            .map(|change| {
                let value =
                    |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
                format!(
                    "{}: {} → {}",
                    change.field,
                    value(&change.old),
                    value(&change.new)
                )
            })
            .collect();
        let kind = match (file.is_added(), file.is_removed()) {
            (true, _) => "added".to_owned(),
            (_, true) => "removed".to_owned(),
            _ => fields.join("; "),
        };
        let follows = file
            .follows
            .as_ref()
            .map(|source| format!(" follows {source}"))
            .unwrap_or_default();
        format!("{} {kind}{follows}", file.path)
    };
    let files = difference.files.iter().map(file).collect();
    (files, difference.cause.last().map_or("", String::as_str))
}

#[test]
fn the_same_image_has_no_difference() {
    let difference = changed(|_| {});
    assert!(difference.is_empty());
    assert_eq!(shown(&difference), (vec![], ""));
}

#[test]
fn one_thing_changed_is_one_thing_named() {
    let content = changed(|tree| {
        tree.get_mut(&path("lib/b.py")).unwrap().kind = Entry::file("b = 2\n", 0o644).kind
    });
    let expected = "/lib/b.py content from byte 4: \"1\\n\" → \"2\\n\"";
    assert_eq!(
        shown(&content),
        (
            vec![expected.to_owned()],
            "/lib/b.py: content from byte 4: \"1\\n\" became \"2\\n\""
        )
    );
    assert_eq!(content.layers.len(), 1);
    assert_eq!(content.files[0].layers, [Some(1), Some(1)]);
    assert_eq!(content.config, [], "diffIDs belong to the layers");
    let mode = changed(|tree| tree.get_mut(&path("lib/b.py")).unwrap().mode = 0o755);
    assert_eq!(
        shown(&mode),
        (
            vec!["/lib/b.py mode: 0644 → 0755".to_owned()],
            "/lib/b.py: mode: 0644 became 0755"
        )
    );
    let owner = changed(|tree| tree.get_mut(&path("lib/b.py")).unwrap().uid = 7);
    assert_eq!(shown(&owner).0, ["/lib/b.py owner: 0:0 → 7:0"]);
    let time = changed(|tree| tree.get_mut(&path("lib/b.py")).unwrap().mtime = Some(60));
    assert_eq!(
        shown(&time).0,
        ["/lib/b.py time: 1970-01-01T00:16:40Z → 1970-01-01T00:01:00Z"]
    );
    let gone = changed(|tree| drop(tree.remove(&path("lib/b.py"))));
    assert_eq!(
        shown(&gone),
        (
            vec!["/lib/b.py removed".to_owned()],
            "where the first has /lib/b.py, the second has the end of the tar"
        )
    );
    let link = changed(|tree| {
        tree.remove(&path("lib/b.py"));
        tree.insert(path("lib/b.py"), Entry::symlink("a.py"))
            .unwrap();
    });
    assert_eq!(
        shown(&link).0,
        ["/lib/b.py kind: file → link to a.py; mode: 0644 → 0777"]
    );
}

#[test]
fn bytecode_follows_its_source_or_is_told_apart() {
    let pyc = "lib/__pycache__/a.cpython-313.pyc";
    let code = changed(|tree| {
        tree.get_mut(&path(pyc)).unwrap().kind =
            Entry::file("0123456789abcdefthe c0de of a", 0).kind
    });
    let expected = "/lib/__pycache__/a.cpython-313.pyc bytecode of the same source, from byte 21: \"ode of a\" → \"0de of a\"";
    assert_eq!(shown(&code).0, [expected]);
    let header = changed(|tree| {
        tree.get_mut(&path(pyc)).unwrap().kind =
            Entry::file("0123X56789abcdefthe code of a", 0).kind
    });
    let expected = "/lib/__pycache__/a.cpython-313.pyc bytecode's flags: 34353637 → 58353637";
    assert_eq!(shown(&header).0, [expected]);
    let both = changed(|tree| {
        tree.get_mut(&path(pyc)).unwrap().kind =
            Entry::file("0123456789abcdefthe c0de of a", 0).kind;
        tree.get_mut(&path("lib/a.py")).unwrap().kind = Entry::file("a = 2\n", 0).kind;
    });
    assert_eq!(
        shown(&both).0[0],
        "/lib/__pycache__/a.cpython-313.pyc  follows /lib/a.py"
    );
}

#[test]
fn documents_are_the_cause_when_layers_are_the_same() {
    let mut made = Made::new();
    made.image(&tree(), RunConfig::default(), "x");
    let run = RunConfig {
        cmd: vec!["app.handler".to_owned()],
        ..RunConfig::default()
    };
    made.image(&tree(), run, "x");
    let difference = made.difference().unwrap();
    assert_eq!(
        shown(&difference),
        (vec![], "config.Cmd: absent became [\"app.handler\"]")
    );
    assert!(difference.layers.is_empty());
    let mut made = Made::new();
    made.image(&tree(), RunConfig::default(), "x");
    made.image(&tree(), RunConfig::default(), "y");
    let difference = made.difference().unwrap();
    assert_eq!(shown(&difference).1, "annotations.note: x became y");
    assert_eq!((difference.config, difference.manifest.len()), (vec![], 1));
}

#[test]
fn a_program_is_compared_as_one() {
    let path_of_program = std::env::current_exe().unwrap();
    let bytes = fs_err::read(path_of_program).unwrap();
    let mut made = Made::new();
    let mut one = tree();
    one.insert(path("bin/x"), Entry::file(bytes.clone(), 0o755))
        .unwrap();
    made.image(&one, RunConfig::default(), "x");
    let mut other = bytes;
    // The name of a needed library, and a byte of the code.
    let at = other
        .windows(10)
        .position(|window| window == b"libc.so.6\0")
        .unwrap();
    other[at + 8] = b'7';
    one.get_mut(&path("bin/x")).unwrap().kind = Entry::file(other, 0o755).kind;
    made.image(&one, RunConfig::default(), "x");
    let difference = made.difference().unwrap();
    let (files, _) = shown(&difference);
    assert_eq!(files.len(), 1, "{files:?}");
    for expected in [
        "needed library: libc.so.6 → -",
        "needed library: - → libc.so.7",
        "section .dynstr: ",
    ] {
        assert!(files[0].contains(expected), "{files:?}");
    }
    let place = format!("program from byte {}: .dynstr → .dynstr", at + 8);
    assert!(files[0].contains(&place), "{files:?}");
}

#[test]
fn a_flipped_byte_of_a_layer_is_found() {
    let mut made = Made::new();
    made.image(&tree(), RunConfig::default(), "x");
    made.image(&tree(), RunConfig::default(), "y");
    for blob in fs_err::read_dir(made.names[1].join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let good = fs_err::read(&blob).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs_err::remove_file(&blob).unwrap();
        fs_err::write(&blob, &bad).unwrap();
        fs_err::remove_dir_all(made.dir.path().join("scratch")).unwrap_or_default();
        let error = made.difference().map(drop).expect_err("a flipped byte");
        let name = blob.file_name().unwrap().to_string_lossy().into_owned();
        let mut said = error.to_string();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            said.push_str(&next.to_string());
            cause = next;
        }
        assert!(said.contains(&name) && error.hint().is_some(), "{said}");
        fs_err::write(&blob, &good).unwrap();
    }
}
