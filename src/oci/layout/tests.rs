use std::os::unix::fs::MetadataExt;

use super::write::{blobs_of, put_blobs};
use super::*;
use crate::{Entry, Epoch, ImageBuilder, LayerWriter, Tree};

fn image(blobs: &Path, content: &str) -> Image {
    let mut tree = Tree::new();
    tree.insert("bin/sh".parse().unwrap(), Entry::file(content, 0o755))
        .unwrap();
    let layer = LayerWriter::new(blobs, Epoch::default(), 1).write(&tree);
    ImageBuilder::new(Platform::linux("amd64"), Epoch::default())
        .layer(layer.unwrap(), "sh")
        .build()
        .unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(files(&path));
        } else {
            names.push(path.to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(&dir.path().join("cache"), "one");
    let to = dir.path().join("dist/python3.13");
    Layout::write(&to, &image, "python3.13").unwrap();
    let layout = Layout::open(&to).unwrap();
    assert_eq!(layout.manifest_digest().unwrap(), image.manifest_digest());
    assert_eq!(layout.reference().unwrap().as_deref(), Some("python3.13"));
    let back = layout.image().unwrap();
    assert_eq!(back.manifest(), image.manifest());
    assert_eq!(back.config(), image.config());
    assert_eq!(back.layers()[0].diff_id(), image.layers()[0].diff_id());
    assert_eq!(back.platform(), image.platform());
    assert_eq!(files(&dir.path().join("dist")).len(), 5);
    // Layers are not copied within a file system, and everybody can read all of it.
    let blob = layout.blob_path(image.layers()[0].digest().0);
    assert_eq!(
        fs_err::metadata(&blob).unwrap().ino(),
        fs_err::metadata(image.layers()[0].path()).unwrap().ino()
    );
    for file in files(&to) {
        assert_eq!(fs_err::metadata(&file).unwrap().mode(), 0o100644, "{file}");
    }
    assert_eq!(fs_err::metadata(&to).unwrap().mode(), 0o40755);
}

#[test]
fn an_image_replaces_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let (one, two) = (image(&cache, "one"), image(&cache, "two"));
    let to = dir.path().join("dist/x");
    Layout::write(&to, &one, "x").unwrap();
    // What a writer leaves behind when it is killed before its last step.
    put_blobs(&to, &two).unwrap();
    assert_eq!(
        Layout::open(&to).unwrap().image().unwrap().manifest(),
        one.manifest()
    );
    Layout::write(&to, &two, "x").unwrap();
    assert_eq!(
        Layout::open(&to).unwrap().image().unwrap().manifest(),
        two.manifest()
    );
    assert_eq!(files(&to).len(), 5);
    Layout::write(&to, &two, "x").unwrap();
    assert_eq!(files(&to).len(), 5);
}

#[test]
fn leftovers_of_killed_writers_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join("dist/.x.partial-abc/blobs");
    fs_err::create_dir_all(&left).unwrap();
    let other = dir.path().join("dist/.y.partial-abc");
    fs_err::create_dir_all(&other).unwrap();
    let image = image(&dir.path().join("cache"), "one");
    Layout::write(&dir.path().join("dist/x"), &image, "x").unwrap();
    assert!(!left.exists());
    assert!(other.exists());
}

#[test]
fn nothing_but_a_layout_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(&dir.path().join("cache"), "one");
    let home = dir.path().join("home");
    fs_err::create_dir(&home).unwrap();
    fs_err::write(home.join("precious"), "x").unwrap();
    for to in [&home, &home.join("precious")] {
        let error = Layout::write(to, &image, "x").unwrap_err();
        assert!(matches!(error, LayoutError::NotALayout(_)), "{error}");
        assert!(error.hint().is_some());
    }
    assert_eq!(fs_err::read(home.join("precious")).unwrap(), b"x");
    assert!(matches!(
        Layout::open(&home),
        Err(LayoutError::NotALayout(_))
    ));
}

#[test]
fn every_blob_is_verified_when_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(&dir.path().join("cache"), "one");
    let to = dir.path().join("x");
    let layout = Layout::write(&to, &image, "x").unwrap();
    for digest in blobs_of(&image) {
        let path = layout.blob_path(digest);
        let good = fs_err::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        for bytes in [
            bad,
            good[..good.len() - 1].to_vec(),
            [&good[..], b" "].concat(),
        ] {
            // A new file: the cache has the same one.
            fs_err::remove_file(&path).unwrap();
            fs_err::write(&path, &bytes).unwrap();
            let error = layout.image().expect_err("damaged");
            assert!(error.to_string().contains(&digest.to_string()), "{error}");
        }
        fs_err::remove_file(&path).unwrap();
        let error = layout.image().expect_err("missing");
        assert!(error.to_string().contains(&digest.hex()), "{error}");
        fs_err::write(&path, &good).unwrap();
        layout.image().unwrap();
    }
    let index = to.join(INDEX);
    for bytes in ["", "{}", "[]", r#"{"schemaVersion":2,"manifests":[]}"#] {
        fs_err::write(&index, bytes).unwrap();
        assert!(layout.image().is_err(), "{bytes}");
    }
    fs_err::write(&index, vec![b' '; (4 << 20) + 1]).unwrap();
    assert!(matches!(layout.image(), Err(LayoutError::TooLarge { .. })));
}

#[test]
fn writers_in_one_folder_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let images = [image(&cache, "one"), image(&cache, "two")];
    let to = dir.path().join("dist/x");
    std::thread::scope(|scope| {
        for image in &images {
            scope.spawn(|| {
                for _ in 0..20 {
                    Layout::write(&to, image, "x").unwrap();
                }
            });
        }
    });
    assert_eq!(files(&to).len(), 5);
    Layout::open(&to).unwrap().image().unwrap();
}
