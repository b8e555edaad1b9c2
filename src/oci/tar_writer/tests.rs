use std::collections::BTreeMap;

use super::*;
use crate::Digest;

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

fn epoch() -> Epoch {
    Epoch::new(1_700_000_000).unwrap()
}

fn tar_of(tree: &Tree) -> Vec<u8> {
    write_tar(tree, Times::Epoch(epoch()), Vec::new()).unwrap()
}

/// The tree of a tar, as read by this crate.
fn tree_of(bytes: &[u8]) -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.tar");
    fs_err::write(&file, bytes).unwrap();
    let tree = Tree::from_tar(&file).unwrap();
    (dir, tree)
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    let mut ping = Entry::file("elf", 0o4755);
    ping.uid = 3_000_000;
    ping.gid = 7;
    ping.xattrs = BTreeMap::from([
        ("user.b".to_owned(), b"2\n".to_vec()),
        ("security.capability".to_owned(), vec![1, 0, 0, 2]),
    ])
    .into();
    for (at, entry) in [
        ("usr/bin/ping", ping),
        ("usr/bin/sh", Entry::symlink("bash")),
        ("usr/bin/bash", Entry::file("#!", 0o755)),
        ("usr-local", Entry::dir(0o1777)),
        ("etc/motd", Entry::file("hello\n", 0o644)),
    ] {
        tree.insert(path(at), entry).unwrap();
    }
    for len in [99, 100, 101, 155, 200, 255] {
        tree.insert(
            path(&format!("n/{}", "n".repeat(len - 2))),
            Entry::dir(0o755),
        )
        .unwrap();
        let deep = format!("{}/{}", "p".repeat(len / 2), "f".repeat(len - len / 2 - 1));
        tree.insert(path(&deep), Entry::file("x", 0o600)).unwrap();
        tree.insert(path(&format!("l{len}")), Entry::symlink("t".repeat(len)))
            .unwrap();
    }
    let deep = vec!["d".repeat(30); 20].join("/");
    tree.insert(path(&deep), Entry::file("deep", 0o644))
        .unwrap();
    tree
}

#[test]
fn what_is_written_is_read_back() {
    let tree = sample();
    let bytes = tar_of(&tree);
    let (_dir, back) = tree_of(&bytes);
    assert_eq!(back.listing(), tree.listing());
    for (path, entry) in back.iter() {
        assert_eq!(entry.mtime, Some(1_700_000_000), "{path}");
        if let Kind::File(content) = &entry.kind {
            let expected = tree.content(path).unwrap().read(1 << 20).unwrap();
            assert_eq!(content.read(1 << 20).unwrap(), expected, "{path}");
        }
    }
    assert_eq!(tar_of(&back), bytes, "and written again it is the same");
}

#[test]
fn the_bytes_are_the_ones_that_diff_ids_are_made_with() {
    assert_eq!(
        Digest::of(&tar_of(&sample())).to_string(),
        "sha256:ef7b512c3ff69f51a0d6d73ba9fb24074ba5e88f3b57fbc33c0f2b3cae6bbd6d",
        "the tar format changed: every layer gets another digest"
    );
}

#[test]
fn every_directory_comes_before_what_is_inside_it() {
    let bytes = tar_of(&sample());
    let mut archive = tar::Archive::new(&*bytes);
    let mut seen = std::collections::BTreeSet::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(header.username_bytes(), Some(&b""[..]));
        assert_eq!(header.groupname_bytes(), Some(&b""[..]));
        assert!(header.as_ustar().is_some());
        let path = entry.path().unwrap().into_owned();
        if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            assert!(seen.contains(parent), "{}", path.display());
        }
        seen.insert(path);
    }
    assert_eq!(seen.len(), sample().len());
    assert!(bytes.ends_with(&[0; 1024]));
}

#[test]
fn whiteouts_are_written_and_read() {
    let mut tree = sample();
    for whiteout in [
        Whiteout::Path(path("etc/gone")),
        Whiteout::Path(path("opt")),
        Whiteout::Inside(path("usr-local")),
        Whiteout::Everything,
    ] {
        tree.white_out(whiteout).unwrap();
    }
    let (_dir, back) = tree_of(&tar_of(&tree));
    assert_eq!(back.listing(), tree.listing());
}

#[test]
fn times_are_kept_only_when_asked() {
    let mut tree = Tree::new();
    for (name, time) in [("old", 5), ("new", i64::MAX), ("negative", -5)] {
        let mut entry = Entry::dir(0o755);
        entry.mtime = Some(time);
        tree.insert(path(name), entry).unwrap();
    }
    tree.insert(path("none"), Entry::dir(0o755)).unwrap();
    let times = |times| {
        let (_dir, back) = tree_of(&write_tar(&tree, times, Vec::new()).unwrap());
        back.iter()
            .map(|(path, entry)| format!("{path} {}", entry.mtime.unwrap()))
            .collect::<Vec<_>>()
    };
    let epoch = Epoch::new(1000).unwrap();
    assert_eq!(
        times(Times::Own(epoch)),
        ["negative 0", "new 8589934591", "none 1000", "old 5"]
    );
    assert_eq!(
        times(Times::Epoch(epoch)),
        ["negative 1000", "new 1000", "none 1000", "old 1000"]
    );
}

#[test]
fn what_no_layer_may_hold_is_refused() {
    let mut hardlink = Entry::dir(0o644);
    hardlink.kind = Kind::Hardlink(path("a"));
    let mut fifo = Entry::dir(0o644);
    fifo.kind = Kind::Special(crate::entry::Special::Fifo);
    for (name, entry) in [
        ("h", hardlink),
        ("p", fifo),
        ("d/.wh.file", Entry::file("", 0o644)),
        (".wh..wh..opq", Entry::dir(0o755)),
    ] {
        let mut tree = Tree::new();
        tree.insert(path(name), entry).unwrap();
        let error = write_tar(&tree, Times::Epoch(epoch()), Vec::new()).expect_err(name);
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn content_that_changed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("f"), "12345").unwrap();
    let tree = Tree::from_dir(dir.path()).unwrap();
    fs_err::write(dir.path().join("f"), "123").unwrap();
    let error = write_tar(&tree, Times::Epoch(epoch()), Vec::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f: expected 5 bytes, got 3; it changed while it was read"
    );
    fs_err::remove_file(dir.path().join("f")).unwrap();
    let error = write_tar(&tree, Times::Epoch(epoch()), Vec::new()).unwrap_err();
    assert!(error.to_string().contains("the content of f"), "{error}");
}

#[test]
fn names_are_split_where_ustar_can() {
    let name = |len: usize, slash: usize| {
        let mut name = vec![b'n'; len];
        name[slash] = b'/';
        name
    };
    for (len, slash, expected) in [
        (100, 50, Some(0)),
        (101, 50, Some(50)),
        (256, 155, Some(155)),
        (256, 154, None),
        (257, 156, None),
        (101, 100, None),
        (120, 10, None),
        (120, 19, Some(19)),
    ] {
        let name = name(len, slash);
        let split = split_name(&name).map(|(prefix, _)| prefix.len());
        assert_eq!(split, expected, "{len} {slash}");
        if let Some((prefix, rest)) = split_name(&name) {
            assert!(prefix.len() <= 155 && rest.len() <= 100 && !rest.is_empty());
        }
    }
}

#[test]
fn a_record_counts_its_own_digits() {
    for (value, expected) in [
        ("a", "9 path=a\n"),
        ("ab", "11 path=ab\n"),
        (&"x".repeat(90), &*format!("99 path={}\n", "x".repeat(90))),
        (&"x".repeat(91), &*format!("101 path={}\n", "x".repeat(91))),
    ] {
        let record = record(b"path", value.as_bytes());
        assert_eq!(record, expected.as_bytes());
        assert!(expected.starts_with(&expected.len().to_string()));
    }
}

/// Small random trees, names and modes from a fixed sequence.
#[test]
fn random_trees_come_back() {
    let mut state = 42_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for round in 0..150 {
        let mut tree = Tree::new();
        for _ in 0..random(40) {
            let depth = 1 + random(6);
            let name: Vec<String> = (0..depth)
                .map(|_| match random(5) {
                    0 => "ü ".repeat(1 + random(60) as usize),
                    1 => format!("{}", random(4)),
                    2 => "\n=\\\"".to_owned(),
                    _ => "ab".repeat(1 + random(50) as usize),
                })
                .collect();
            let mode = random(0o10000) as u32;
            let mut entry = match random(4) {
                0 => Entry::dir(mode),
                1 => Entry::symlink("../x/".repeat(1 + random(60) as usize)),
                _ => Entry::file("content ".repeat(random(200) as usize), mode),
            };
            entry.uid = random(1 << 32) as u32;
            entry.gid = random(1 << 20) as u32;
            if random(4) == 0 {
                let value = (0..random(300)).map(|_| random(256) as u8).collect();
                entry.xattrs.insert("user.random".to_owned(), value);
            }
            // Below a file or link of an earlier step: not this time.
            let _ = tree.insert(path(&name.join("/")), entry);
        }
        let bytes = tar_of(&tree);
        let (_dir, back) = tree_of(&bytes);
        assert_eq!(back.listing(), tree.listing(), "round {round}");
        assert_eq!(tar_of(&back), bytes, "round {round}");
    }
}
