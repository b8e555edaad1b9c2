//! Many at once over one store: builds that want the same, prunes that run between them, and a store of which only is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci::{Digest, Layout};

use crate::steps::{left_in, store_without};
use crate::support::{
    Server, cache, compiling, definitions, edit_lock, image, imgbuild, program, run,
};

fn digest(layout: &Path) -> String {
    Layout::open(layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string()
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// A folder with the wheel of six, served by a web server that keeps a log; and definitions whose lock names it there.
fn served_wheel(folder: &Path) -> (Server, PathBuf, tempfile::TempDir, Digest) {
    let six = "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274";
    let (web, log) = (folder.join("web"), folder.join("asked"));
    fs_err::create_dir(&web).unwrap();
    fs_err::copy(cache().join("blobs/sha256").join(six), web.join("six.whl")).unwrap();
    let server = Server::start(|address| {
        let port = address.rsplit(':').next().unwrap();
        let script =
            "exec python3 -m http.server \"$1\" --bind 127.0.0.1 --directory \"$2\" 2>>\"$3\"";
        let mut command = program("sh", ["-c", script, "sh", port]);
        command.arg(&web).arg(&log);
        command
    });
    let definitions = definitions();
    let lock = definitions.path().join("recipes/python3.13.lock");
    let wheel = "    origins:\n    - wheel:\n        name: six\n";
    let there = format!(
        "    origins:\n    - url: http://{}/six.whl\n    - wheel:\n        name: six\n",
        server.address
    );
    edit_lock(&lock, wheel, &there);
    (
        server,
        log,
        definitions,
        format!("sha256:{six}").parse().unwrap(),
    )
}

#[test]
fn eight_builds_and_two_prunes_share_one_store() {
    let _compiling = compiling();
    let folder = store_without("sdk-for-cpython");
    let store = folder.path().join("store");
    let (_server, log, definitions, six) = served_wheel(folder.path());
    fs_err::remove_file(store.join("blobs/sha256").join(six.hex())).unwrap();
    let junk = |number: u32| {
        let bytes = format!("nobody needs this, {number}");
        let name = Digest::of(bytes.as_bytes()).hex();
        fs_err::write(store.join("blobs/sha256").join(name), bytes).unwrap();
    };
    (0..20).for_each(junk);
    let started = Instant::now();
    let mut builds: Vec<Child> = (0..8)
        .map(|number| {
            let mut command = imgbuild(["build", "./recipes/python3.13.yaml", "--output"]);
            command.arg(folder.path().join(format!("dist{number}")));
            command.arg("--cache-dir").arg(&store);
            start(command.current_dir(definitions.path()))
        })
        .collect();
    let (mut prunes, mut removed) = (0, 0);
    while builds
        .iter_mut()
        .any(|build| build.try_wait().unwrap().is_none())
    {
        let both = [0, 1].map(|_| {
            let rules = [
                "cache",
                "prune",
                "--unreferenced",
                "--older-than=60d",
                "--cache-dir",
            ];
            start(imgbuild(rules).arg(&store).current_dir(definitions.path()))
        });
        for prune in both {
            let said = prune.wait_with_output().unwrap();
            assert!(said.status.success(), "{said:?}");
            prunes += 1;
            removed += String::from_utf8_lossy(&said.stdout)
                .matches("blobs/sha256/")
                .count();
        }
        junk(100 + prunes);
        assert!(
            started.elapsed() < Duration::from_secs(900),
            "the builds hang"
        );
    }
    let mut built: BTreeMap<String, u32> = BTreeMap::new();
    for build in builds {
        let said = build.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "{text}");
        for title in text
            .lines()
            .filter_map(|line| line.strip_prefix("building "))
        {
            *built.entry(title.to_owned()).or_default() += 1;
        }
    }
    assert!(
        built
            .keys()
            .any(|title| title.starts_with("sdk for cpython")),
        "{built:?}"
    );
    assert!(built.values().all(|times| *times == 1), "{built:?}");
    let asked = fs_err::read_to_string(log).unwrap();
    assert_eq!(asked.matches("GET /six.whl").count(), 1, "{asked}");
    // What was there before the first build began goes; what came later may look used.
    assert!(
        prunes >= 2 && removed >= 1,
        "{prunes} prunes removed {removed}"
    );
    let digests: Vec<String> = (0..8)
        .map(|number| digest(&folder.path().join(format!("dist{number}/python3.13"))))
        .collect();
    assert!(digests.iter().all(|one| *one == digests[0]), "{digests:?}");
    assert_eq!(left_in(&store), Vec::<PathBuf>::new());
    let said = run(imgbuild(["cache", "verify", "--cache-dir"]).arg(&store)).succeeded();
    assert!(said.stdout.ends_with(", 0 damaged\n"), "{}", said.stdout);
}

/// Everything in a folder by its path: whether it is a file of this folder alone, its time, its size and mode.
fn state(folder: &Path) -> BTreeMap<String, (bool, String, String)> {
    let listed = run(program("find", [folder]).args(["-printf", "%p %n%y %T@ %s %m\n"]));
    let listed = listed.succeeded().stdout;
    let entries = listed.lines().map(|line| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        let (path, kind, time) = (word(), word(), word());
        (path, (kind == "1f", time, word()))
    });
    entries.collect()
}

#[test]
fn a_store_below_is_read_and_never_written() {
    let folder = store_without("nothing");
    let lower = folder.path().join("store");
    let blobs = lower.join("blobs/sha256");
    let layers: Vec<PathBuf> = Layout::open(image())
        .and_then(|layout| layout.image())
        .unwrap()
        .layers()
        .iter()
        .map(|layer| blobs.join(layer.digest().0.hex()))
        .collect();
    // Files of its own, so that nobody else changes their times.
    for layer in &layers {
        let own = folder.path().join("own-file");
        run(program("cp", ["--archive"]).args([layer, &own])).succeeded();
        fs_err::rename(own, layer).unwrap();
    }
    let before = state(&lower);
    let build = |mut command: Command, own: &str| {
        command
            .args(["python3.13", "--output"])
            .arg(folder.path().join("dist"))
            .arg("--cache-dir")
            .arg(folder.path().join(own));
        command.env("IMGBUILD_CACHE_LOWER", &lower);
        run(&mut command).succeeded().stderr
    };
    let said = build(imgbuild::<&str>([]), "own");
    assert!(
        !said.contains("building ") && !said.contains("passed over"),
        "{said}"
    );
    assert_eq!(
        digest(&folder.path().join("dist/python3.13")),
        digest(image())
    );
    let own =
        run(imgbuild(["cache", "du", "--format=json", "--cache-dir"])
            .arg(folder.path().join("own")));
    let own: serde_json::Value = serde_json::from_str(&own.succeeded().stdout).unwrap();
    assert!(own["bytes"].as_u64().unwrap() < 1_000_000, "{own}");
    // A damaged layer is named and made again, in the own store; the kernel lets nobody write to the one below.
    let layer = &layers[2];
    let sdk = layer.file_name().unwrap().to_str().unwrap();
    fs_err::remove_file(layer).unwrap();
    fs_err::write(layer, "short").unwrap();
    let mut read_only = program("bwrap", ["--dev-bind", "/", "/", "--ro-bind"]);
    read_only.args([&lower, &lower]);
    read_only.arg(env!("CARGO_BIN_EXE_imgbuild"));
    read_only.current_dir(env!("CARGO_MANIFEST_DIR"));
    let said = build(read_only, "other");
    assert!(
        said.contains(layer.to_str().unwrap()) && said.contains("passed over"),
        "{said}"
    );
    assert!(said.contains("building sdk layer"), "{said}");
    assert!(folder.path().join("other/blobs/sha256").join(sdk).exists());
    assert_eq!(
        digest(&folder.path().join("dist/python3.13")),
        digest(image())
    );
    // Files that other stores have, too, are touched by those; so are folders, when a file comes.
    let changed = |path: &str, after: &(bool, String, String)| {
        before
            .get(path)
            .is_none_or(|(own, time, size)| *size != after.2 || *own && *time != after.1)
    };
    let changed: Vec<_> = state(&lower)
        .into_iter()
        .filter(|(path, after)| !path.ends_with(sdk) && changed(path, after))
        .collect();
    assert!(changed.is_empty(), "{changed:?}");
}
