//! Layouts under `kill -9`: whenever a writer dies, what is there is one whole image, and the next writer goes on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use oci::{Entry, Epoch, Image, ImageBuilder, LayerWriter, Layout, Platform, Tree};

const DIR: &str = "OCI_TEST_KILLED_DIR";

fn image(dir: &Path, content: &str) -> Image {
    let mut tree = Tree::new();
    for i in 0..20 {
        let path = format!("usr/lib/{content}-{i}").parse().unwrap();
        tree.insert(path, Entry::file(content.repeat(i), 0o644))
            .unwrap();
    }
    let layer = LayerWriter::new(&dir.join("cache"), Epoch::default(), 1)
        .write(&tree)
        .unwrap();
    ImageBuilder::new(Platform::linux("amd64"), Epoch::default())
        .layer(layer, content)
        .build()
        .unwrap()
}

/// The process that is killed: writes one image and the other in turns, for ever. Started by the test below only.
#[test]
#[ignore = "the child of a_killed_writer_leaves_one_image"]
fn writer() {
    #[expect(clippy::disallowed_methods, reason = "how a test talks to its child")]
    let dir = std::env::var_os(DIR).expect("started by the other test");
    let dir = Path::new(&dir);
    let images = [image(dir, "one"), image(dir, "two")];
    println!("begun");
    for image in images.iter().cycle() {
        Layout::write(&dir.join("dist/x"), image, "x").unwrap();
        println!("written");
    }
}

#[test]
fn a_killed_writer_leaves_one_image() {
    let dir = tempfile::tempdir().unwrap();
    let known = [image(dir.path(), "one"), image(dir.path(), "two")].map(|i| i.manifest_digest());
    let to = dir.path().join("dist/x");
    let (mut seen, mut missing) = ([0, 0], 0);
    for round in 0..40 {
        if round % 4 == 0 {
            let _ = fs_err::remove_dir_all(&to);
        }
        #[expect(clippy::disallowed_methods, reason = "a process to kill")]
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The first write is the one that makes the folder, the others replace what is in it.
        wait_for_lines(&mut child, if round % 4 == 0 { 0 } else { round % 3 + 1 });
        sleep(Duration::from_micros(round * 977 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        if !to.exists() {
            missing += 1;
            continue;
        }
        let image = Layout::open(&to).and_then(|layout| layout.image());
        let digest = image.expect("one whole image").manifest_digest();
        let which = known.iter().position(|known| *known == digest);
        seen[which.expect("one of the two images")] += 1;
    }
    assert!(
        seen[0] > 0 && seen[1] > 0,
        "seen {seen:?}, missing {missing}"
    );
    // The next writer finishes, and clears what the killed ones left.
    Layout::write(&to, &image(dir.path(), "two"), "x").unwrap();
    fs_err::remove_dir_all(&to).unwrap();
    Layout::write(&to, &image(dir.path(), "two"), "x").unwrap();
    let names: Vec<_> = fs_err::read_dir(dir.path().join("dist"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["x"]);
    assert_eq!(
        fs_err::read_dir(to.join("blobs/sha256")).unwrap().count(),
        3
    );
}

/// Waits until a child has begun and written some images.
fn wait_for_lines(child: &mut std::process::Child, written: u64) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut next = |word: &str| lines.any(|line| line.unwrap().ends_with(word));
    assert!(next("begun"), "the writer did not start");
    for _ in 0..written {
        assert!(next("written"), "the writer ended");
    }
}
