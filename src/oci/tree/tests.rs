use super::*;

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

fn tree(entries: &[(&str, Entry)]) -> Tree {
    let mut tree = Tree::new();
    for (at, entry) in entries {
        tree.insert(path(at), entry.clone()).unwrap();
    }
    tree
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn missing_parents_become_directories() {
    let tree = tree(&[("a/b/c", Entry::file("x", 0o644))]);
    assert_eq!(paths(&tree), ["a", "a/b", "a/b/c"]);
    assert_eq!(tree.get(&path("a/b")), Some(&Entry::dir(0o755)));
}

#[test]
fn nothing_goes_below_a_file_or_a_link() {
    let mut tree = tree(&[
        ("lib", Entry::symlink("usr/lib")),
        ("f", Entry::file("", 0o644)),
    ]);
    for at in ["lib/x", "f/x", "lib/x/y"] {
        let error = tree.insert(path(at), Entry::dir(0o755)).expect_err(at);
        assert!(matches!(error, TreeError::ParentNotDir { .. }), "{error}");
    }
}

#[test]
fn a_file_replaces_a_directory_with_all_inside() {
    let mut tree = tree(&[
        ("d/a/b", Entry::file("", 0o644)),
        ("d-e", Entry::dir(0o755)),
    ]);
    tree.insert(path("d"), Entry::file("x", 0o644)).unwrap();
    assert_eq!(paths(&tree), ["d", "d-e"]);
    tree.insert(path("d"), Entry::dir(0o700)).unwrap();
    tree.insert(path("d/z"), Entry::file("", 0o644)).unwrap();
    tree.insert(path("d"), Entry::dir(0o711)).unwrap();
    assert_eq!(paths(&tree), ["d", "d/z", "d-e"]);
    assert_eq!(tree.get(&path("d")).unwrap().mode, 0o711);
}

#[test]
fn a_file_in_a_directory_s_place_takes_its_removals_with_it() {
    let mut tree = Tree::new();
    for gone in [
        Whiteout::Path(path("d")),
        Whiteout::Path(path("d/x")),
        Whiteout::Inside(path("d")),
        Whiteout::Path(path("d-e/x")),
    ] {
        tree.white_out(gone).unwrap();
    }
    tree.insert(path("d"), Entry::file("", 0o644)).unwrap();
    let left: Vec<_> = tree.whiteouts().cloned().collect();
    let expected = ["d", "d-e/x"].map(|gone| Whiteout::Path(path(gone)));
    assert_eq!(left, expected);
}

#[test]
fn links_are_followed_inside_the_tree() {
    let tree = tree(&[
        ("usr/lib/os-release", Entry::file("ID=amzn", 0o644)),
        ("etc/os-release", Entry::symlink("../usr/lib/os-release")),
        ("lib", Entry::symlink("/usr/lib")),
        ("etc/absolute", Entry::symlink("/usr/lib/os-release")),
        ("up", Entry::symlink("../../../../etc")),
        ("loop", Entry::symlink("loop")),
        ("dangling", Entry::symlink("/nowhere")),
        ("root", Entry::symlink("/")),
    ]);
    for at in [
        "etc/os-release",
        "lib/os-release",
        "etc/absolute",
        "up/os-release",
        "root/lib/os-release",
    ] {
        assert_eq!(tree.read(&path(at)).unwrap(), b"ID=amzn", "{at}");
    }
    assert!(matches!(
        tree.read(&path("loop")),
        Err(TreeError::LinkLoop(_))
    ));
    for at in ["dangling", "root", "nothing", "etc/os-release/x"] {
        assert!(
            matches!(tree.read(&path(at)), Err(TreeError::NotFound(_))),
            "{at}"
        );
    }
    assert!(matches!(
        tree.read(&path("usr")),
        Err(TreeError::NotAFile { .. })
    ));
}

#[test]
fn grafting_moves_everything_and_keeps_links_links() {
    let mut target = tree(&[
        ("lib", Entry::symlink("usr/lib")),
        ("var", Entry::dir(0o711)),
    ]);
    let mut part = tree(&[("lang/bin/python", Entry::file("elf", 0o755))]);
    part.white_out(Whiteout::Path(path("lang/old"))).unwrap();
    target.graft(Some(&path("var")), part.clone()).unwrap();
    assert_eq!(
        paths(&target),
        [
            "lib",
            "var",
            "var/lang",
            "var/lang/bin",
            "var/lang/bin/python"
        ]
    );
    assert_eq!(target.get(&path("var")).unwrap().mode, 0o711);
    assert_eq!(
        target.whiteouts().collect::<Vec<_>>(),
        [&Whiteout::Path(path("var/lang/old"))]
    );
    let error = target
        .graft(None, tree(&[("lib/x", Entry::file("", 0o644))]))
        .unwrap_err();
    assert!(matches!(error, TreeError::ParentNotDir { .. }), "{error}");
    assert!(matches!(
        target.get(&path("lib")).unwrap().kind,
        Kind::Symlink(_)
    ));
}

#[test]
fn hard_links_become_files() {
    let mut tree = tree(&[("z", Entry::file("data", 0o600))]);
    for (link, target) in [("a", "b"), ("b", "z")] {
        let mut entry = Entry::dir(0o644);
        entry.kind = Kind::Hardlink(path(target));
        tree.insert(path(link), entry).unwrap();
    }
    assert_eq!(tree.read(&path("a")).unwrap(), b"data");
    tree.dereference_hardlinks().unwrap();
    assert_eq!(tree.get(&path("a")), tree.get(&path("z")));
    assert_eq!(tree.get(&path("b")), tree.get(&path("z")));
}
