//! Builds, pulls and pushes that are killed at any moment, disks that are full or break, and things in the store that are
//! damaged: the next run ends with the same digest, and nothing is to be cleaned by hand.
//!
//! IMGBUILD_TEST_KILLS says how many kills of each kind; `make crash` sets 200.

mod disks;
mod order;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci::{Digest, Layout};
use serde_json::Value;

use crate::push::layout as small_layout;
use crate::registries::real_registry::RealRegistry;
use crate::steps::{left_in, store_without};
use crate::support::{cache, compiling, image, imgbuild, run};

/// A store, and a folder for images, of which a test may break anything.
struct Victim {
    folder: tempfile::TempDir,
}

impl Victim {
    fn new() -> Self {
        Self {
            folder: store_without("nothing"),
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn dist(&self) -> PathBuf {
        self.folder.path().join("dist")
    }

    fn build(&self) -> Command {
        let mut command = imgbuild(["python3.13", "--quiet", "--output"]);
        command
            .arg(self.dist())
            .arg("--cache-dir")
            .arg(self.store());
        command
    }

    /// The steps that take seconds are to be made again: wheels, and the layers above the base.
    fn forget(&self) {
        forget(&self.store());
    }

    /// Builds to the end; the image is the one that was built in peace.
    fn recovers(&self) {
        run(&mut self.build()).succeeded();
        assert_eq!(left_in(&self.store()), Vec::<PathBuf>::new());
        assert_eq!(digest(&self.dist().join("python3.13")), digest(image()));
    }

    /// The store has nothing damaged, strange or unfinished.
    fn is_sound(&self) {
        is_sound(&self.store());
    }

    /// Blobs of the store, in bytes.
    fn size(&self) -> u64 {
        entries(&self.store())
            .iter()
            .filter(|entry| ["input", "output", "stray"].contains(&entry["kind"].as_str().unwrap()))
            .map(|entry| entry["bytes"].as_u64().unwrap())
            .sum()
    }
}

fn forget(store: &Path) {
    forget_if(store, true);
}

/// Forgets the layers, and pip and the SDK if `wheels`: steps of the image that every test has, by their names.
fn forget_if(store: &Path, wheels: bool) {
    let papers = format!("{}.provenance.json", image().display());
    let papers: Value = serde_json::from_slice(&fs_err::read(papers).unwrap()).unwrap();
    let build = &papers["predicate"]["buildDefinition"]["internalParameters"];
    let (mut layers, mut others) = (0, 0);
    for step in build["steps"].as_array().unwrap() {
        let [title, key] = ["title", "key"].map(|name| step[name].as_str().unwrap());
        let is_layer = title.ends_with(" layer");
        let is_wheels = title.starts_with("pip for ") || title.starts_with("sdk for ");
        if is_layer || is_wheels && wheels {
            *if is_layer { &mut layers } else { &mut others } += 1;
            let key = key.strip_prefix("sha256:").unwrap();
            // What was killed has not made all of them.
            let _ = fs_err::remove_file(store.join(format!("steps/{key}.json")));
        }
    }
    assert_eq!((layers, others), (3, if wheels { 2 } else { 0 }));
}

fn entries(store: &Path) -> Vec<Value> {
    let mut command = imgbuild(["cache", "du", "--format", "json", "--cache-dir"]);
    let said = run(command.arg(store)).succeeded().stdout;
    let said: Value = serde_json::from_str(&said).unwrap();
    said["entries"].as_array().unwrap().clone()
}

fn is_sound(store: &Path) {
    let mut command = imgbuild(["cache", "verify", "--cache-dir"]);
    let said = run(command.arg(store)).succeeded().stdout;
    assert!(said.ends_with(", 0 damaged\n"), "{said}");
    let is_odd = |entry: &Value| match entry["kind"].as_str().unwrap() {
        "stray" => true,
        // A transfer to resume is no litter, one without a byte is.
        "partial" => entry["bytes"] == 0,
        _ => false,
    };
    let strays: Vec<Value> = entries(store).into_iter().filter(is_odd).collect();
    assert!(strays.is_empty(), "{strays:?}");
    assert_eq!(left_in(store), Vec::<PathBuf>::new());
}

fn digest(layout: &Path) -> String {
    Layout::open(layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string()
}

fn kills() -> u32 {
    #[expect(clippy::disallowed_methods, reason = "tests read the environment")]
    let number = std::env::var("IMGBUILD_TEST_KILLS").ok();
    number.map_or(10, |number| number.parse().unwrap())
}

/// Moments that look random, and are the same in every run.
fn moment(number: u32, longest: Duration) -> Duration {
    let digest = Digest::of(&number.to_be_bytes()).hex();
    let fraction = u32::from_str_radix(&digest[..8], 16).unwrap();
    longest.mul_f64(f64::from(fraction) / f64::from(u32::MAX))
}

/// Runs it and kills it after that time. Whether it was killed before its end.
fn kill_after(mut command: Command, time: Duration) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    while started.elapsed() < time {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

#[test]
fn a_build_that_is_killed_at_any_moment() {
    let _compiling = compiling();
    let victim = Victim::new();
    victim.recovers();
    let whole = victim.size();
    victim.forget();
    let started = Instant::now();
    victim.recovers();
    let longest = started.elapsed();
    let (mut killed, mut number) = (0, 0);
    while killed < kills() {
        victim.forget();
        // Some of it is there already when the next one begins.
        for _ in 0..3 {
            number += 1;
            killed += u32::from(kill_after(victim.build(), moment(number, longest)));
            assert!(victim.size() <= whole, "{number}");
        }
        victim.recovers();
        assert_eq!(victim.size(), whole);
        // The layout and its three papers.
        let images: Vec<_> = fs_err::read_dir(victim.dist()).unwrap().collect();
        assert_eq!(images.len(), 4, "{images:?}");
        assert!(number < 40 * kills(), "{killed} of {number} were killed");
    }
    victim.is_sound();
    eprintln!("{killed} builds were killed, the longest after {longest:?}");
}

#[test]
fn a_pull_that_is_killed_at_any_moment() {
    let registry = RealRegistry::plain();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let layout = small_layout(folder.path(), "amd64", "a", &[]);
    let reference = format!("{}/team/a:1", registry.address());
    run(imgbuild(["copy"]).arg(&layout).arg(&reference)).succeeded();
    let around = folder.path().join("pulled");
    let pull = |to: &Path| {
        let mut command = imgbuild(["copy", &reference]);
        command.arg(to).arg("--cache-dir").arg(&store);
        command
    };
    let started = Instant::now();
    run(&mut pull(&around.join("first"))).succeeded();
    let longest = started.elapsed();
    fs_err::remove_dir_all(&around).unwrap();
    let (mut killed, mut number) = (0, 0);
    while killed < kills() {
        number += 1;
        // A layout, and a tarball.
        let to = around.join(["image", "image.tar"][number as usize % 2]);
        killed += u32::from(kill_after(pull(&to), moment(number, longest)));
        if number % 4 == 0 {
            for name in ["image", "image.tar"] {
                run(&mut pull(&around.join(name))).succeeded();
            }
            assert_eq!(digest(&around.join("image")), digest(&layout));
            let left: Vec<_> = fs_err::read_dir(&around).unwrap().collect();
            assert_eq!(left.len(), 2, "{left:?}");
            let tar = around.join("of-tarball");
            run(imgbuild(["copy"]).arg(around.join("image.tar")).arg(&tar)).succeeded();
            assert_eq!(digest(&tar), digest(&layout));
            assert_eq!(left_in(&store), Vec::<PathBuf>::new());
            fs_err::remove_dir_all(&around).unwrap();
        }
        assert!(number < 40 * kills(), "{killed} of {number} were killed");
    }
}

#[test]
fn a_push_that_is_killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (mut killed, mut number) = (0, 0);
    let mut longest = Duration::from_millis(500);
    let registry = RealRegistry::plain();
    while killed < kills() {
        // New bytes for each: what is there already would not be sent.
        let salt = number.to_string();
        let layout = small_layout(folder.path(), "amd64", &salt, &[]);
        let reference = format!("{}/team/a:1", registry.address());
        let push = || {
            let mut command = imgbuild(["push"]);
            command
                .arg(&layout)
                .arg(&reference)
                .arg("--cache-dir")
                .arg(&store);
            command
        };
        for _ in 0..3 {
            number += 1;
            killed += u32::from(kill_after(push(), moment(number, longest)));
        }
        let started = Instant::now();
        let pushed = run(&mut push()).succeeded().stdout;
        longest = longest.min(started.elapsed() * 2);
        assert!(pushed.contains(&digest(&layout)), "{pushed}");
        let to = folder.path().join("back");
        run(imgbuild(["copy", &reference]).arg(&to)).succeeded();
        assert_eq!(digest(&to), digest(&layout));
        fs_err::remove_dir_all(&to).unwrap();
        fs_err::remove_dir_all(&layout).unwrap();
        assert_eq!(left_in(&store), Vec::<PathBuf>::new());
        assert!(number < 40 * kills(), "{killed} of {number} were killed");
    }
}

#[test]
fn damage_of_every_kind_is_found_and_made_good() {
    let _compiling = compiling();
    let victim = Victim::new();
    victim.recovers();
    let store = victim.store();
    let lock = fs_err::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/recipes/python3.13.lock"
    ));
    let lock = lock.unwrap();
    let wheel = lock.split("- name: boto3").nth(1).unwrap();
    let wheel = wheel.split("sha256: sha256:").nth(1).unwrap()[..64].to_owned();
    let layers = Layout::open(image()).unwrap().image().unwrap();
    let sdk = layers.layers()[2].digest().0.hex();
    let record = |names: &str| {
        let named = |path: &PathBuf| fs_err::read_to_string(path).unwrap().contains(names);
        let mut records = fs_err::read_dir(store.join("steps")).unwrap();
        records
            .find_map(|entry| Some(entry.unwrap().path()).filter(named))
            .unwrap()
    };
    let (layer_record, input) = (record(&sdk), store.join("blobs/sha256").join(wheel));
    let layer = store.join("blobs/sha256").join(&sdk);
    for place in [&layer_record, &layer, &input] {
        for cut in [0, 1, 2] {
            let mut bytes = fs_err::read(place).unwrap();
            match cut {
                0 => bytes.clear(),
                1 => bytes.truncate(bytes.len() / 2),
                _ => *bytes.last_mut().unwrap() ^= 1,
            }
            // Not in place: the file is another store's, too.
            fs_err::remove_file(place).unwrap();
            fs_err::write(place, bytes).unwrap();
            let outcome = run(victim.build().arg("--mirror").arg(cache())).succeeded();
            let said = outcome.stderr;
            assert!(
                said.contains("is damaged") && said.contains(place.to_str().unwrap()),
                "{said}"
            );
            assert_eq!(digest(&victim.dist().join("python3.13")), digest(image()));
        }
    }
    victim.is_sound();
}
