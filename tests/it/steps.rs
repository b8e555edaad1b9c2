//! Steps and their cache: what is built again and what is not; failed, interrupted and simultaneous builds.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use oci::{Digest, Layout};

use crate::support::{
    cache, compiling, definitions, edit, edit_lock, image, imgbuild, program, run,
};

fn layer_digests(layout: &Path) -> Vec<String> {
    let image = Layout::open(layout).unwrap().image().unwrap();
    image
        .layers()
        .iter()
        .map(|layer| layer.digest().to_string())
        .collect()
}

/// Definitions that ask for another boto3, with their lock.
fn other_boto3() -> tempfile::TempDir {
    let folder = definitions();
    edit(
        &folder.path().join("recipes/python3.13.yaml"),
        "1.44.5",
        "1.44.4",
    );
    run(imgbuild(["lock", "./recipes/python3.13.yaml", "--quiet"]).current_dir(folder.path()))
        .succeeded();
    folder
}

/// A store that has everything but the outputs of the steps whose title begins with `title`.
pub fn store_without(title: &str) -> tempfile::TempDir {
    image();
    let folder = tempfile::tempdir_in(cache()).unwrap();
    let store = folder.path().join("store");
    fs_err::create_dir(&store).unwrap();
    for name in ["blobs", "steps", "resolved", "apt"] {
        run(program("cp", ["--archive", "--link"])
            .arg(cache().join(name))
            .arg(&store))
        .succeeded();
    }
    fs_err::create_dir(store.join("unpacked")).unwrap();
    for entry in fs_err::read_dir(cache().join("unpacked")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("zig-") || name.starts_with("rust-") {
            run(program("cp", ["--archive", "--link"])
                .arg(entry.path())
                .arg(store.join("unpacked")))
            .succeeded();
        }
    }
    for entry in fs_err::read_dir(cache().join("logs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(key) = name
            .strip_prefix(title)
            .and_then(|rest| rest.strip_suffix(".log")?.rsplit('-').next())
        {
            for step in fs_err::read_dir(store.join("steps")).unwrap() {
                let step = step.unwrap();
                if step.file_name().to_string_lossy().starts_with(key) {
                    fs_err::remove_file(step.path()).unwrap();
                }
            }
        }
    }
    folder
}

#[test]
fn another_boto3_rebuilds_the_sdk_layer_alone() {
    let before = layer_digests(image());
    let folder = other_boto3();
    let outcome = run(imgbuild(["build", "./recipes/python3.13.yaml"]).current_dir(folder.path()))
        .succeeded();
    let after = layer_digests(&folder.path().join("dist/python3.13"));
    let same: Vec<bool> = before.iter().zip(&after).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, true, false, true]);
    let built: Vec<&str> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("building "))
        .collect();
    assert!(
        built
            .iter()
            .all(|title| title.starts_with("sdk") || *title == "list of the Python distributions"),
        "{built:?}"
    );
}

#[test]
fn two_builds_at_once_share_the_work() {
    let _compiling = compiling();
    let store = store_without("sdk-for-cpython");
    let start = |number: u32| {
        let output = store.path().join(format!("dist{number}"));
        let mut command = imgbuild(["python3.13", "--output"]);
        command
            .arg(output)
            .arg("--cache-dir")
            .arg(store.path().join("store"));
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let outcomes = [start(1), start(2)].map(|child| child.wait_with_output().unwrap());
    let mut built = 0;
    for outcome in &outcomes {
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{said}");
        built += said.matches("building sdk for cpython").count();
    }
    assert_eq!(built, 1, "{outcomes:?}");
    let digest =
        |number: u32| layer_digests(&store.path().join(format!("dist{number}/python3.13")));
    assert_eq!(digest(1), digest(2));
}

/// What lies in the places where nothing is to be left.
pub fn left_in(store: &Path) -> Vec<PathBuf> {
    let list = |name| fs_err::read_dir(store.join(name)).unwrap();
    let entries = list("tmp").chain(list("sessions"));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_interrupted_build_leaves_a_store_that_works() {
    let _compiling = compiling();
    let store = store_without("cpython");
    let root = store.path().join("store");
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut command = imgbuild(["python3.13", "--output"]);
        command
            .arg(store.path().join("dist"))
            .arg("--cache-dir")
            .arg(&root);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let logs = root.join("logs");
        let started = Instant::now();
        let has_begun = || {
            fs_err::read_dir(&logs).is_ok_and(|mut entries| {
                entries.any(|e| e.unwrap().metadata().unwrap().len() > 2000)
            })
        };
        while !has_begun() {
            assert!(
                started.elapsed() < Duration::from_secs(300),
                "nothing was compiled"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        run(&mut program("kill", [signal, &child.id().to_string()])).succeeded();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{status}");
        assert_eq!(left_in(&root), Vec::<PathBuf>::new(), "{signal}");
        let store = root.to_str().unwrap();
        assert_eq!(run(&mut program("pgrep", ["-f", store])).stdout, "");
        fs_err::remove_dir_all(&logs).unwrap();
    }
    // The steps come back, as if the build had been finished elsewhere: nothing that was left behind is in the way.
    run(program("cp", ["--archive", "--no-clobber"])
        .arg(cache().join("steps"))
        .arg(&root))
    .succeeded();
    let mut command = imgbuild(["python3.13", "--output"]);
    run(command
        .arg(store.path().join("dist"))
        .arg("--cache-dir")
        .arg(&root))
    .succeeded();
    assert_eq!(left_in(&root), Vec::<PathBuf>::new());
    assert_eq!(
        layer_digests(&store.path().join("dist/python3.13")),
        layer_digests(image())
    );
}

/// Definitions whose lock asks for bzip2 with other bytes, and the folder that has them.
fn changed_bzip2(change: impl FnOnce(&Path)) -> (tempfile::TempDir, Digest) {
    let folder = definitions();
    let (source, mirror) = (
        folder.path().join("source/bzip2-1.0.8"),
        folder.path().join("mirror"),
    );
    fs_err::create_dir_all(&source).unwrap();
    fs_err::create_dir(&mirror).unwrap();
    change(&source);
    let archive = mirror.join("bzip2-1.0.8.tar.gz");
    let mut tar = program("tar", ["--create", "--gzip", "--file"]);
    run(tar
        .arg(&archive)
        .arg("--directory")
        .arg(folder.path().join("source"))
        .arg("bzip2-1.0.8"))
    .succeeded();
    let (digest, _) = Digest::of_reader(fs_err::File::open(&archive).unwrap()).unwrap();
    fs_err::rename(&archive, mirror.join(digest.hex())).unwrap();
    let lock = folder.path().join("recipes/python3.13.lock");
    edit_lock(
        &lock,
        "sha256:ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269",
        &digest.to_string(),
    );
    edit_lock(&lock, "    size: 810029\n", "");
    (folder, digest)
}

#[test]
fn a_failed_compile_shows_the_last_lines_and_the_log() {
    let _compiling = compiling();
    image();
    let (folder, _) = changed_bzip2(|source| {
        for name in [
            "blocksort",
            "bzlib",
            "compress",
            "crctable",
            "decompress",
            "huffman",
            "randtable",
        ] {
            fs_err::write(
                source.join(format!("{name}.c")),
                "#error \"this is not bzip2\"\n",
            )
            .unwrap();
        }
        fs_err::write(source.join("bzlib.h"), "").unwrap();
        fs_err::write(source.join("LICENSE"), "none\n").unwrap();
    });
    let said = run(imgbuild([
        "build",
        "./recipes/python3.13.yaml",
        "--mirror",
        "mirror",
        "--quiet",
    ])
    .current_dir(folder.path()))
    .refused();
    assert!(
        said.contains("error: building bzip2 1.0.8 failed"),
        "{said}"
    );
    assert!(said.contains("this is not bzip2"), "{said}");
    let log = said
        .lines()
        .find_map(|line| line.strip_prefix("the whole log: "))
        .unwrap();
    assert!(
        fs_err::read_to_string(log)
            .unwrap()
            .contains("this is not bzip2")
    );
    assert!(said.contains("\nhint: "), "{said}");
}

#[test]
fn other_bytes_than_the_locks_are_never_used() {
    image();
    let folder = definitions();
    let lock = folder.path().join("recipes/python3.13.lock");
    let (right, wrong) = (
        "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
        "0".repeat(64),
    );
    edit_lock(&lock, right, &wrong);
    let said =
        run(imgbuild(["build", "./recipes/python3.13.yaml", "--quiet"]).current_dir(folder.path()))
            .refused();
    assert!(said.contains("cannot fetch six 1.17.0"), "{said}");
    assert!(
        said.contains(&format!("expected sha256:{wrong}, got sha256:{right}")),
        "{said}"
    );
}

#[test]
fn missing_tools_and_origins_are_all_named_in_one_error() {
    let store = tempfile::tempdir().unwrap();
    let mut command = imgbuild(["python3.13", "--quiet", "--output"]);
    command
        .arg(store.path().join("dist"))
        .arg("--cache-dir")
        .arg(store.path().join("store"));
    let said = run(command.env("PATH", "/nonexistent")).refused();
    assert!(said.starts_with("error: cannot fetch "), "{said}");
    let tried = [
        "Python-3.13.16.tar.xz",
        "Debian source python3.13",
        "crate libz-sys",
        "wheel boto3",
        "pip is not installed",
    ];
    for place in tried {
        assert!(said.contains(place), "{place} is not in: {said}");
    }
    assert!(
        said.contains("\nhint: ") && said.contains("apt-get install"),
        "{said}"
    );
}

#[test]
fn a_damaged_output_is_found_and_built_again() {
    let store = store_without("nothing");
    let root = store.path().join("store");
    let sdk = layer_digests(image())[2].clone();
    let blob = root
        .join("blobs/sha256")
        .join(sdk.trim_start_matches("sha256:"));
    let mut bytes = fs_err::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::remove_file(&blob).unwrap();
    fs_err::write(&blob, bytes).unwrap();
    let mut command = imgbuild(["python3.13", "--output"]);
    let outcome = run(command
        .arg(store.path().join("dist"))
        .arg("--cache-dir")
        .arg(&root))
    .succeeded();
    assert!(outcome.stderr.contains("is damaged"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("building sdk layer"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        layer_digests(&store.path().join("dist/python3.13")),
        layer_digests(image())
    );
}
