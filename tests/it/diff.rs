//! `imgbuild diff`: images in every place where an image can be, the same or with one planted difference.

use std::path::{Path, PathBuf};

use oci::{Entry, Epoch, ImageBuilder, LayerWriter, Layout, Platform, RunConfig, Tree};
use serde_json::Value;

use crate::registries::real_registry::RealRegistry;
use crate::support::{imgbuild, program, run};

/// A layout with one layer of two files; `change` makes it another.
fn layout(dir: &Path, name: &str, change: impl FnOnce(&mut Tree)) -> PathBuf {
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
        .run(RunConfig::default());
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
