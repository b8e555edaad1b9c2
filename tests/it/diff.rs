//! `imgbuild diff`: images in every place where an image can be, the same or with one planted difference.

use std::path::{Path, PathBuf};

use imgbuild::arch::Arch;
use imgbuild::papers::{Component, Kind, Papers, Subject};
use oci::{Entry, Epoch, ImageBuilder, LayerWriter, Layout, Platform, RunConfig, Tree};
use serde_json::{Value, json};

use crate::registries::real_registry::RealRegistry;
use crate::support::{imgbuild, program, run};

/// A layout with one layer of two files; `change` makes it another.
fn layout(dir: &Path, name: &str, change: impl FnOnce(&mut Tree)) -> PathBuf {
    labelled(dir, name, "one", change)
}

/// The same with a label.
fn labelled(dir: &Path, name: &str, label: &str, change: impl FnOnce(&mut Tree)) -> PathBuf {
    let epoch = Epoch::new(1_790_000_000).unwrap();
    let mut tree = Tree::new();
    for (path, text) in [
        ("opt/a.txt", "one\ntwo\n"),
        (
            "var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\nVersion: 1\n",
        ),
    ] {
        tree.insert(path.parse().unwrap(), Entry::file(text, 0o644))
            .unwrap();
    }
    change(&mut tree);
    let layer = LayerWriter::new(&dir.join("blobs"), epoch, 1)
        .write(&tree)
        .unwrap();
    let builder = ImageBuilder::new(Platform::linux("amd64"), epoch)
        .layer(layer, "files")
        .run(RunConfig {
            labels: [("team".to_owned(), label.to_owned())].into(),
            ..RunConfig::default()
        });
    let place = dir.join(name);
    Layout::write(&place, &builder.build().unwrap(), "1").unwrap();
    place
}

fn diff(old: &str, new: &str) -> (Option<i32>, String) {
    let outcome = run(&mut imgbuild(["diff", old, new]));
    (outcome.code, outcome.stdout + &outcome.stderr)
}

#[test]
fn an_image_is_the_same_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let here = layout(folder.path(), "layout", |_| {});
    let here = here.display().to_string();
    let registry = RealRegistry::plain();
    let there = format!("{}/team/image:1", registry.address());
    run(&mut imgbuild(["copy", &here, &there, "--quiet"])).succeeded();
    let tar = folder.path().join("image.tar").display().to_string();
    run(&mut imgbuild(["copy", &here, &tar, "--quiet"])).succeeded();
    for other in [&there, &tar] {
        let (code, said) = diff(&here, other);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.ends_with("the same image\n"), "{said}");
    }
    // Docker keeps layers as plain tars: other documents, the same files.
    let docker = folder.path().join("docker.tar").display().to_string();
    let (from, to) = (
        format!("oci:{here}:1"),
        format!("docker-archive:{docker}:a/b:1"),
    );
    run(&mut program("skopeo", ["copy", "--quiet", &from, &to])).succeeded();
    let (code, said) = diff(&there, &docker);
    assert_eq!(code, Some(3), "{said}");
    assert!(!said.contains("\nfiles"), "{said}");
    assert!(said.contains("it is compressed in another way"), "{said}");
}

#[test]
fn what_differs_is_named_with_its_first_cause() {
    let folder = tempfile::tempdir().unwrap();
    let old = layout(folder.path(), "old", |_| {}).display().to_string();
    let new = layout(folder.path(), "new", |tree| {
        tree.get_mut(&"opt/a.txt".parse().unwrap()).unwrap().mode = 0o755;
        let status = Entry::file(
            "Package: a\nStatus: install ok installed\nVersion: 2\n",
            0o644,
        );
        tree.get_mut(&"var/lib/dpkg/status".parse().unwrap())
            .unwrap()
            .kind = status.kind;
        tree.insert("opt/new/b".parse().unwrap(), Entry::file("b", 0o644))
            .unwrap();
    });
    let new = new.display().to_string();
    let (code, said) = diff(&old, &new);
    assert_eq!(code, Some(3), "{said}");
    for expected in [
        "\npackages\n  package  a  1 → 2\n",
        "files: 2 added, 0 removed, 2 changed\n",
        "\n  ~ /opt/a.txt  mode: 0644 → 0755\n",
        "\n  + /opt/new/ and 1 inside\n",
        "\n  ~ /var/lib/dpkg/status  content from byte 49: \"2",
        "\nbecause\n  manifest sha256:",
        "\n  layer 0 (files) sha256:",
        "\n  /opt/a.txt: mode: 0644 became 0755\n",
    ] {
        let expected = expected.replace("\"2", "\"1\\n\" → \"2");
        assert!(said.contains(&expected), "{expected:?} is not in {said}");
    }
    let outcome = run(&mut imgbuild(["diff", "--format", "json", &old, &new]));
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(told["equal"], false);
    assert_eq!(told["packages"][0]["new"][0], "2");
    assert_eq!(told["files"][0]["changes"][0]["field"], "mode");
    assert_eq!(told["cause"].as_array().unwrap().len(), 3);
    assert_eq!(told["layers"][0]["layer"], 0);
}

/// Puts the papers of an image with these C libraries beside its layout.
fn add_papers(layout: &Path, openssl: &str, sqlite: &str) {
    let subject = Subject {
        name: "x",
        version: "3.13.5",
        digest: Layout::open(layout).unwrap().manifest_digest().unwrap(),
        arch: Arch::Amd64,
        created: Epoch::new(1_790_000_000).unwrap(),
        fallbacks: Vec::new(),
    };
    let components = [
        Component::new(Kind::Interpreter, "python", "3.13.5"),
        Component::new(Kind::Linked, "openssl", openssl),
        Component::new(Kind::Linked, "sqlite", sqlite),
        Component::new(Kind::Linked, "zlib", "1.3.2"),
    ];
    for (paper, bytes) in Papers::bills_of_materials(&subject, &components) {
        fs_err::write(paper.path(layout), bytes).unwrap();
    }
}

#[test]
fn what_is_linked_into_a_program_is_compared_by_the_papers_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let one = layout(folder.path(), "one", |_| {});
    let other = layout(folder.path(), "other", |tree| {
        tree.get_mut(&"opt/a.txt".parse().unwrap()).unwrap().mode = 0o755;
    });
    let registry = RealRegistry::plain();
    let places = [(&one, "1"), (&other, "2")].map(|(layout, tag)| {
        let here = layout.display().to_string();
        let there = format!("{}/team/image:{tag}", registry.address());
        (here, there)
    });
    let [(one_here, one_there), (other_here, other_there)] = &places;
    let missing = "has no bill of materials: what is linked into its programs is not compared";
    let (code, said) = diff(one_here, other_here);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.matches(missing).count(), 2, "{said}");
    add_papers(&one, "3.5.7", "3.54.0");
    let (_, said) = diff(one_here, other_here);
    assert_eq!(said.matches(missing).count(), 1, "{said}");
    assert!(
        !said.contains("linked  "),
        "what is not known is not gone: {said}"
    );
    add_papers(&other, "3.5.9", "3.54.0");
    for (layout, there) in [(one_here, one_there), (other_here, other_there)] {
        run(&mut imgbuild(["copy", layout, there, "--quiet"])).succeeded();
        let bill = format!("{layout}.cdx.json");
        let kind = "--artifact-type=application/vnd.cyclonedx+json";
        run(&mut imgbuild(["attach", there, &bill, kind, "--quiet"])).succeeded();
    }
    for (old, new) in [
        (one_here, other_here),
        (one_there, other_here),
        (one_here, other_there),
        (one_there, other_there),
    ] {
        let (_, said) = diff(old, new);
        let expected = "\npackages\n  linked  openssl  3.5.7 → 3.5.9\n\n";
        assert!(said.contains(expected), "{old} {new}: {said}");
        assert!(!said.contains(missing), "{old} {new}: {said}");
        let told = run(&mut imgbuild(["diff", "--format", "json", old, new])).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        let change =
            json!([{"kind": "linked", "name": "openssl", "old": ["3.5.7"], "new": ["3.5.9"]}]);
        assert_eq!(told["packages"], change);
    }
    // The papers of another image say nothing of this one.
    fs_err::copy(
        format!("{one_here}.cdx.json"),
        format!("{other_here}.cdx.json"),
    )
    .unwrap();
    let (_, said) = diff(one_here, other_here);
    assert_eq!(said.matches(missing).count(), 1, "{said}");
}

/// A program with this symbol, compiled here.
fn library(folder: &Path, symbol: &str) -> Vec<u8> {
    let (source, program_) = (folder.join("x.c"), folder.join("x.so"));
    fs_err::write(&source, format!("int {symbol}(void) {{ return 7; }}\n")).unwrap();
    let compile = ["-shared", "-nostdlib", "-Wl,--build-id=none", "-o"];
    run(program("gcc", compile).arg(&program_).arg(&source)).succeeded();
    fs_err::read(program_).unwrap()
}

#[test]
fn each_kind_of_change_is_explained_to_its_first_cause() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first_symbol", "other_symbol"].map(|name| library(folder.path(), name));
    let source = folder.path().join("m.py");
    fs_err::write(&source, "def f():\n    return 'a constant'\n").unwrap();
    let compile = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], dfile='/m.py', invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)";
    let bytecode = folder.path().join("m.pyc");
    run(program("python3", ["-c", compile])
        .arg(&source)
        .arg(&bytecode))
    .succeeded();
    let bytecode = fs_err::read(bytecode).unwrap();
    let constant = bytecode
        .windows(10)
        .position(|part| part == b"a constant")
        .unwrap();
    let mut flipped = bytecode.clone();
    flipped[constant] ^= 1;
    let add = |program: &[u8], bytecode: &[u8], tree: &mut Tree| {
        for (path, bytes) in [
            ("lib/m.py", &b"def f():\n    return 'a constant'\n"[..]),
            ("lib/__pycache__/m.cpython-313.pyc", bytecode),
            ("lib/x.so", program),
        ] {
            let entry = Entry::file(bytes.to_vec(), 0o644);
            tree.insert(path.parse().unwrap(), entry).unwrap();
        }
    };
    let old = layout(folder.path(), "old", |tree| add(&first, &bytecode, tree));
    let place = format!("bytecode of the same source, from byte {constant}");
    for (name, new, paths, cause) in [
        (
            "mode",
            layout(folder.path(), "mode", |tree| {
                add(&first, &bytecode, tree);
                tree.get_mut(&"lib/m.py".parse().unwrap()).unwrap().mode = 0o600;
            }),
            json!(["/lib/m.py"]),
            "/lib/m.py: mode: 0644 became 0600".to_owned(),
        ),
        (
            "bytecode",
            layout(folder.path(), "bytecode", |tree| {
                add(&first, &flipped, tree)
            }),
            json!(["/lib/__pycache__/m.cpython-313.pyc"]),
            format!("/lib/__pycache__/m.cpython-313.pyc: content from byte {constant}: "),
        ),
        (
            "symbol",
            layout(folder.path(), "symbol", |tree| {
                add(&second, &bytecode, tree)
            }),
            json!(["/lib/x.so"]),
            "/lib/x.so: ".to_owned(),
        ),
        (
            "label",
            labelled(folder.path(), "label", "two", |tree| {
                add(&first, &bytecode, tree)
            }),
            json!([]),
            "config.Labels.team: one became two".to_owned(),
        ),
    ] {
        let arguments = [
            "diff",
            "--format",
            "json",
            &old.display().to_string(),
            &new.display().to_string(),
        ]
        .map(str::to_owned);
        let told = run(&mut imgbuild(&arguments)).stdout;
        let told: Value = serde_json::from_str(&told).unwrap();
        let files = told["files"].as_array().unwrap();
        let named: Vec<&Value> = files.iter().map(|file| &file["path"]).collect();
        assert_eq!(json!(named), paths, "{name}");
        let last = told["cause"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_str()
            .unwrap();
        assert!(last.starts_with(&cause), "{name}: {last}");
        if name == "label" {
            let change = json!([{"field": "config.Labels.team", "old": "one", "new": "two"}]);
            assert_eq!((&told["config"], &told["layers"]), (&change, &json!([])));
            continue;
        }
        let fields: Vec<&str> = files[0]["changes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|change| change["field"].as_str())
            .collect();
        match name {
            "bytecode" => assert_eq!(fields, [&place]),
            "symbol" => {
                let text = files[0]["changes"].to_string();
                assert!(
                    text.contains("first_symbol") && text.contains("other_symbol"),
                    "{text}"
                );
            }
            _ => assert_eq!(fields, ["mode"]),
        }
    }
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let old = layout(folder.path(), "old", |_| {});
    let new = layout(folder.path(), "new", |tree| {
        tree.insert("opt/b".parse().unwrap(), Entry::file("b", 0o644))
            .unwrap();
    });
    let shown = [&old, &new].map(|path| path.display().to_string());
    let said = run(&mut imgbuild(["diff", &shown[0], "no/such/image"])).refused();
    assert!(said.contains("no such file or folder"), "{said}");
    // A flipped byte of each blob in turn is named by the blob.
    for blob in fs_err::read_dir(new.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let good = fs_err::read(&blob).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        fs_err::remove_file(&blob).unwrap();
        fs_err::write(&blob, bad).unwrap();
        let name = blob.file_name().unwrap().to_string_lossy().into_owned();
        let said = run(&mut imgbuild(["diff", &shown[0], &shown[1]])).refused();
        assert!(said.contains(&name) && said.contains("\nhint: "), "{said}");
        let verify = run(&mut imgbuild(["verify", "--target", "any", &shown[1]]));
        assert_eq!(verify.code, Some(1), "{verify:?}");
        assert!((verify.stdout + &verify.stderr).contains(&name));
        fs_err::write(&blob, &good).unwrap();
    }
}
