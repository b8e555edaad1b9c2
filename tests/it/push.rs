//! Publishing: against Debian's docker-registry in all its forms, against one of our own that knows OCI's referrers, and
//! over lines that break; looked at by skopeo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use oci::{Content, Entry, Epoch, ImageBuilder, LayerWriter, Layout, Platform, RunConfig, Tree};
use serde_json::{Value, json};

use crate::fake;
use crate::line::Line;
use crate::registries::certificates::Leaf;
use crate::registries::real_registry::RealRegistry;
use crate::registries::{PASSWORD, USER};
use crate::support::{Outcome, image, imgbuild, inside, program, root_of, run};

/// A layout of one image with two layers; `salt` makes it another.
fn layout(dir: &Path, architecture: &str, salt: &str, annotations: &[(&str, &str)]) -> PathBuf {
    let epoch = Epoch::new(1_790_000_000).unwrap();
    let blobs = dir.join("blobs");
    let mut builder = ImageBuilder::new(Platform::linux(architecture), epoch);
    for (name, size) in [("lower", 400_000), ("upper", 20)] {
        let mut tree = Tree::new();
        // Does not compress.
        let mut state = salt
            .bytes()
            .fold(7u64, |hash, byte| hash * 31 + u64::from(byte));
        let bytes: Vec<u8> = (0..size)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let path = format!("opt/{name}").parse().unwrap();
        tree.insert("opt".parse().unwrap(), Entry::dir(0o755))
            .unwrap();
        tree.insert(path, Entry::file(Content::from(bytes), 0o644))
            .unwrap();
        let layer = LayerWriter::new(&blobs, epoch, 1).write(&tree).unwrap();
        builder = builder.layer(layer, name);
    }
    for (key, value) in annotations {
        builder = builder.annotation(key, value);
    }
    let image = builder.run(RunConfig::default()).build().unwrap();
    let layout = dir.join(format!("layout-{architecture}-{salt}"));
    Layout::write(&layout, &image, "1").unwrap();
    layout
}

fn digest_of(layout: &Path) -> String {
    Layout::open(layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string()
}

/// The blobs of a layout, by name.
fn blobs_of(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = layout.join("blobs/sha256");
    let list = fs_err::read_dir(dir).unwrap().map(|blob| blob.unwrap());
    list.map(|blob| {
        let name = blob.file_name().into_string().unwrap();
        (name, fs_err::read(blob.path()).unwrap())
    })
    .collect()
}

/// A registry of any kind, and what our program and skopeo have to be told of it.
struct Peer {
    name: &'static str,
    address: String,
    real: Option<RealRegistry>,
    home: tempfile::TempDir,
}

impl Peer {
    fn new(name: &'static str, real: RealRegistry) -> Self {
        Self {
            name,
            address: real.address().to_owned(),
            real: Some(real),
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn all() -> Vec<Self> {
        let native = fake::Registry::start(fake::State {
            referrers: Some(2),
            ..fake::State::default()
        });
        vec![
            Self::new("plain", RealRegistry::plain()),
            Self::new("htpasswd", RealRegistry::htpasswd()),
            Self::new("token", RealRegistry::token()),
            Self::new("tls", RealRegistry::tls(Leaf::Good)),
            Self {
                name: "native referrers",
                address: native.address.clone(),
                real: None,
                home: tempfile::tempdir().unwrap(),
            },
        ]
    }

    fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    fn ca(&self) -> Option<&Path> {
        self.real.as_ref()?.ca()
    }

    /// Our program, with a login and no other configuration.
    fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = imgbuild(args);
        let login = json!({"auths": {&self.address: {"username": USER, "password": PASSWORD}}});
        command
            .env("DOCKER_AUTH_CONFIG", login.to_string())
            .env("HOME", self.home.path())
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG");
        if let Some(ca) = self.ca() {
            command.arg("--ca-cert").arg(ca);
        }
        command
    }

    #[track_caller]
    fn ours(&self, args: &[&str]) -> Outcome {
        let outcome = run(&mut self.imgbuild(args));
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(
                !text.contains("canary"),
                "{}: a secret shows: {text}",
                self.name
            );
        }
        outcome
    }

    /// skopeo; `side` is what its flags are called by: nothing, `src` or `dest`.
    #[track_caller]
    fn skopeo(&self, side: &str, args: &[&str]) -> String {
        let flag = |name: &str| match side {
            "" => format!("--{name}"),
            side => format!("--{side}-{name}"),
        };
        let mut command = program("skopeo", [args[0]]);
        command.arg(format!("{}={}", flag("tls-verify"), self.ca().is_some()));
        command.arg(flag("creds")).arg(format!("{USER}:{PASSWORD}"));
        if let Some(ca) = self.ca() {
            let certificates = self.home.path().join("certificates");
            fs_err::create_dir_all(&certificates).unwrap();
            fs_err::copy(ca, certificates.join("ca.crt")).unwrap();
            command.arg(flag("cert-dir")).arg(certificates);
        }
        run(command.args(&args[1..])).succeeded().stdout
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_pushed_can_be_read_by_others_in_every_kind_of_registry() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path(), "amd64", "a", &[]);
    let digest = digest_of(&layout);
    for peer in Peer::all() {
        let name = peer.name;
        let to = peer.reference("team/python:3.13");
        let metadata = folder.path().join("metadata.json");
        let refs = folder.path().join("refs");
        let push = [
            "push",
            text(&layout),
            &to,
            "--tag",
            "3.13.5",
            "--tag=latest",
        ];
        let files = [
            "--metadata-file",
            text(&metadata),
            "--image-refs",
            text(&refs),
        ];
        let pushed = peer.ours(&[push.as_slice(), &files].concat()).succeeded();
        let pinned = peer.reference(&format!("team/python@{digest}"));
        assert_eq!(pushed.stdout, format!("{pinned}\n"), "{name}");
        assert_eq!(fs_err::read_to_string(&refs).unwrap(), pushed.stdout);
        let said: Value = serde_json::from_slice(&fs_err::read(&metadata).unwrap()).unwrap();
        assert_eq!(said["tags"], json!(["3.13", "3.13.5", "latest"]), "{name}");
        assert_eq!(
            said["blobs"],
            json!({"sent": 3, "mounted": 0, "there": 0}),
            "{name}"
        );

        let again = peer
            .ours(&[push.as_slice(), &["--format", "json"]].concat())
            .succeeded();
        let said: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(
            (&said["moved"], &said["bytes"]),
            (&json!([]), &json!(0)),
            "{name}"
        );
        assert!(
            again.stderr.contains("nothing to push"),
            "{name}: {}",
            again.stderr
        );

        for tag in ["3.13", "3.13.5", "latest"] {
            let image = format!("docker://{}", peer.reference(&format!("team/python:{tag}")));
            let raw = peer.skopeo("", &["inspect", "--raw", &image]);
            assert_eq!(
                oci::Digest::of(raw.as_bytes()).to_string(),
                digest,
                "{name}"
            );
        }
        let copy = folder.path().join(format!("{name}-by-skopeo"));
        let target = format!("oci:{}:1", copy.display());
        peer.skopeo("src", &["copy", &format!("docker://{to}"), &target]);
        assert_eq!(blobs_of(&copy), blobs_of(&layout), "{name}");

        let other = peer.reference("team/other:1");
        let mounted = peer.ours(&["copy", &to, &other]).succeeded();
        assert_eq!(
            mounted.stdout.matches("team/other@sha256:").count(),
            1,
            "{}",
            mounted.stdout
        );
        assert_eq!(
            mounted.stderr.matches("took ").count(),
            3,
            "{name}: {}",
            mounted.stderr
        );
        let raw = peer.skopeo("", &["inspect", "--raw", &format!("docker://{other}")]);
        assert_eq!(
            oci::Digest::of(raw.as_bytes()).to_string(),
            digest,
            "{name}"
        );
    }
}

#[test]
fn what_skopeo_pushes_is_copied_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path(), "arm64", "b", &[]);
    for peer in Peer::all().into_iter().filter(|peer| peer.real.is_some()) {
        let name = peer.name;
        for format in ["oci", "v2s2"] {
            let image = peer.reference(&format!("by/skopeo:{format}"));
            let source = format!("oci:{}", layout.display());
            let push = [
                "copy",
                "--format",
                format,
                &source,
                &format!("docker://{image}"),
            ];
            peer.skopeo("dest", &push);
            let raw = peer.skopeo("", &["inspect", "--raw", &format!("docker://{image}")]);
            let digest = oci::Digest::of(raw.as_bytes());

            let copy = folder.path().join(format!("{name}-{format}"));
            peer.ours(&["copy", &image, text(&copy)]).succeeded();
            assert_eq!(digest_of(&copy), digest.to_string(), "{name} {format}");
            let tarball = folder.path().join(format!("{name}-{format}.tar"));
            peer.ours(&["copy", text(&copy), text(&tarball)])
                .succeeded();
            let back = peer.reference(&format!("back/again:{format}"));
            let copied = peer.ours(&["copy", text(&tarball), &back]).succeeded();
            assert!(
                copied.stdout.trim().ends_with(&digest.to_string()),
                "{name} {format}"
            );
            let again = peer.skopeo("", &["inspect", "--raw", &format!("docker://{back}")]);
            assert_eq!(again, raw, "{name} {format}");
        }
    }
}

#[test]
fn artifacts_are_attached_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path(), "amd64", "c", &[]);
    let sbom = folder.path().join("sbom.json");
    fs_err::write(&sbom, "{}").unwrap();
    for peer in Peer::all() {
        let name = peer.name;
        let to = peer.reference("team/python:1");
        peer.ours(&["push", text(&layout), &to]).succeeded();
        let kinds = [
            "application/spdx+json",
            "application/vnd.in-toto+json",
            "text/plain",
        ];
        for kind in kinds {
            let attach = [
                "attach",
                &to,
                text(&sbom),
                "--artifact-type",
                kind,
                "--annotation",
                "a=b",
            ];
            peer.ours(&attach).succeeded();
            // Twice is once.
            peer.ours(&attach).succeeded();
        }
        let inspect = ["inspect", &to, "--referrers", "--format", "json"];
        let list = |more: &[&str]| -> Vec<Value> {
            let shown = peer
                .ours(&[inspect.as_slice(), more].concat())
                .succeeded()
                .stdout;
            let shown: Value = serde_json::from_str(&shown).unwrap();
            assert_eq!(
                shown["digest"],
                digest_of(&layout),
                "{name}: attaching changes no image"
            );
            shown["referrers"].as_array().unwrap().clone()
        };
        let mut found: Vec<String> = list(&[])
            .iter()
            .map(|entry| entry["artifactType"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        assert_eq!(found, kinds, "{name}");
        let one = list(&["--artifact-type", "text/plain"]);
        assert_eq!(one.len(), 1, "{name}");
        // The artifact's own bytes, by another's hand.
        let digest = one[0]["digest"].as_str().unwrap();
        let image = format!(
            "docker://{}",
            peer.reference(&format!("team/python@{digest}"))
        );
        let raw: Value =
            serde_json::from_str(&peer.skopeo("", &["inspect", "--raw", &image])).unwrap();
        assert_eq!(raw["subject"]["digest"], digest_of(&layout), "{name}");
        assert_eq!(
            raw["layers"][0]["digest"],
            oci::Digest::of(b"{}").to_string(),
            "{name}"
        );
        let text = peer
            .ours(&["inspect", &to, "--referrers"])
            .succeeded()
            .stdout;
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("referrer "))
                .count(),
            3,
            "{text}"
        );
    }
}

#[test]
fn an_index_keeps_a_single_image_per_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let amd64 = layout(folder.path(), "amd64", "d", &[]);
    let arm64 = layout(folder.path(), "arm64", "d", &[]);
    let peer = Peer::new("plain", RealRegistry::plain());
    let to = peer.reference("team/python:3.13");
    let both = format!("{},{}", arm64.display(), amd64.display());
    let said = peer.ours(&["push", &both, &to]).refused();
    assert!(
        said.contains("2 images cannot be pushed to one tag"),
        "{said}"
    );
    assert!(said.contains("\nhint: --index"), "{said}");

    let pushed = peer
        .ours(&["push", &both, &to, "--index", "--format", "json"])
        .succeeded();
    let said: Value = serde_json::from_str(&pushed.stdout).unwrap();
    assert_eq!(said["moved"], json!(["3.13-amd64", "3.13-arm64", "3.13"]));
    let raw = |tag: &str| -> Value {
        let image = format!("docker://{}", peer.reference(&format!("team/python:{tag}")));
        serde_json::from_str(&peer.skopeo("", &["inspect", "--raw", &image])).unwrap()
    };
    let platforms: Vec<Value> = raw("3.13")["manifests"].as_array().unwrap().clone();
    let platforms: Vec<&str> = platforms
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for tag in ["3.13-amd64", "3.13-arm64"] {
        assert!(raw(tag)["layers"].is_array(), "{tag} is what Lambda takes");
    }

    // Whole, and one of it.
    let whole = folder.path().join("whole");
    peer.ours(&["copy", &to, text(&whole)]).succeeded();
    let all: BTreeMap<_, _> = [blobs_of(&amd64), blobs_of(&arm64)]
        .into_iter()
        .flatten()
        .collect();
    assert!(
        all.iter()
            .all(|(name, bytes)| blobs_of(&whole).get(name) == Some(bytes))
    );
    let one = folder.path().join("one");
    peer.ours(&["copy", &to, text(&one), "--platform", "arm64"])
        .succeeded();
    assert_eq!(digest_of(&one), digest_of(&arm64));
    let shown = peer.ours(&["inspect", text(&one)]).succeeded().stdout;
    assert!(shown.contains("linux/arm64"), "{shown}");
    // From the copy it is the same index again.
    let again = peer.reference("other/python:3.13");
    let copied = peer.ours(&["copy", text(&whole), &again]).succeeded();
    assert!(
        copied
            .stdout
            .trim()
            .ends_with(said["digest"].as_str().unwrap()),
        "{}",
        copied.stdout
    );
}

#[test]
fn an_image_with_fallbacks_is_pushed_on_request_only() {
    let folder = tempfile::tempdir().unwrap();
    let fallbacks = [(
        "io.imgbuild.fallbacks",
        "cpython: 3.13.5 instead of 3.13.16",
    )];
    let layout = layout(folder.path(), "amd64", "e", &fallbacks);
    let peer = Peer::new("plain", RealRegistry::plain());
    let to = peer.reference("team/python:1");
    for verb in ["push", "copy"] {
        let said = peer.ours(&[verb, text(&layout), &to]).refused();
        assert!(
            said.contains("built with fallbacks: cpython: 3.13.5 instead of 3.13.16"),
            "{said}"
        );
        assert!(
            said.contains("\nhint: ") && said.contains("--allow-fallback"),
            "{said}"
        );
        peer.ours(&[verb, text(&layout), &to, "--allow-fallback"])
            .succeeded();
    }
}

#[test]
fn layers_come_from_the_base_s_repository() {
    let folder = tempfile::tempdir().unwrap();
    let peer = Peer::new("plain", RealRegistry::plain());
    let base = layout(folder.path(), "amd64", "f", &[]);
    peer.ours(&["push", text(&base), &peer.reference("team/base:1")])
        .succeeded();
    let name = peer.reference("team/base:1");
    // The same layers, with an annotation that says where they come from.
    let child = layout(
        folder.path(),
        "amd64",
        "f",
        &[("org.opencontainers.image.base.name", &name)],
    );
    let pushed = peer
        .ours(&["push", text(&child), &peer.reference("team/child:1")])
        .succeeded();
    assert_eq!(
        pushed.stderr.matches("from team/base").count(),
        3,
        "{}",
        pushed.stderr
    );
    let named = [
        "push",
        text(&child),
        &peer.reference("team/named:1"),
        "--mount-from",
        "team/child",
    ];
    let pushed = peer.ours(&named).succeeded();
    assert_eq!(
        pushed.stderr.matches("took ").count(),
        3,
        "{}",
        pushed.stderr
    );
}

#[test]
fn bad_input_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = layout(folder.path(), "amd64", "g", &[]);
    let peer = Peer::new("htpasswd", RealRegistry::htpasswd());
    let to = peer.reference("team/python:1");

    let said = peer.ours(&["push", "no-such-image", &to]).refused();
    assert!(
        said.contains("no-such-image") && said.contains("\nhint: "),
        "{said}"
    );
    let said = run(peer
        .imgbuild(&["push", text(&good), &to])
        .env("DOCKER_AUTH_CONFIG", "{}"))
    .refused();
    assert!(said.contains("\nhint: "), "{said}");
    let wrong = json!({"auths": {&peer.address: {"username": USER, "password": "canary-wrong"}}});
    let said = run(peer
        .imgbuild(&["push", text(&good), &to])
        .env("DOCKER_AUTH_CONFIG", wrong.to_string()))
    .refused();
    assert!(!said.contains("canary"), "{said}");
    assert!(said.contains("401") && said.contains("\nhint: "), "{said}");
    for reference in [
        "team/python:1",
        "python",
        "127.0.0.1:1/UPPER:1",
        "127.0.0.1:1/a:",
        "",
    ] {
        let outcome = peer.ours(&["push", text(&good), reference]);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(1), ""),
            "{reference}"
        );
    }
    let pinned = peer.reference(&format!("team/python@{}", digest_of(&good)));
    let said = peer.ours(&["push", text(&good), &pinned]).refused();
    assert!(said.contains("\nhint: push to a tag"), "{said}");
    let said = peer
        .ours(&["push", text(&good), "127.0.0.1:1/team/python:1"])
        .refused();
    assert!(said.contains("cannot reach 127.0.0.1:1"), "{said}");

    let damaged = layout(folder.path(), "amd64", "h", &[]);
    let layer = Layout::open(&damaged).unwrap().image().unwrap().layers()[0].digest();
    let path = damaged.join("blobs/sha256").join(layer.0.hex());
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[1000] ^= 1;
    // Not through the name that the layout shares with the folder it was made in.
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, bytes).unwrap();
    let said = peer.ours(&["push", text(&damaged), &to]).refused();
    assert!(said.contains(&format!("expected {layer}")), "{said}");
    let tags = peer.ours(&["inspect", &to]).refused();
    assert!(tags.contains("404"), "the tag has not moved: {tags}");

    let into = folder.path().join("into");
    let said = peer.ours(&["copy", text(&damaged), text(&into)]).refused();
    assert!(said.contains(&layer.to_string()), "{said}");
    assert!(!into.exists(), "nothing half-written");
    let archive = folder.path().join("into.tar");
    peer.ours(&["copy", text(&damaged), text(&archive)])
        .refused();
    assert!(!archive.exists(), "nothing half-written");
    let said = peer
        .ours(&["copy", text(&good), text(folder.path())])
        .refused();
    assert!(said.contains("is no OCI layout"), "{said}");
}

/// Adds up the sizes of a layout's blobs that a repository lacks, by the registry's own files.
fn missing(registry: &RealRegistry, repository: &str, layout: &Path) -> u64 {
    let links = registry
        .data()
        .join("docker/registry/v2/repositories")
        .join(repository)
        .join("_layers/sha256");
    let image = Layout::open(layout).unwrap().image().unwrap();
    let config = (image.config_digest().0, image.config().len() as u64);
    let layers = image
        .layers()
        .iter()
        .map(|layer| (layer.digest().0, layer.size()));
    let lacks = |(digest, _): &(oci::Digest, u64)| !links.join(digest.hex()).join("link").exists();
    layers
        .chain([config])
        .filter(lacks)
        .map(|(_, size)| size)
        .sum()
}

#[test]
fn a_push_that_was_cut_is_finished_by_the_next() {
    const CUTS: u64 = 50;
    let real = image();
    let peer = Peer::new("plain", RealRegistry::plain());
    let registry = peer.real.as_ref().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let push = |line: &Line, name: &str| {
        let to = format!("{}/{name}:1", line.address);
        run(&mut peer.imgbuild(&[
            "push",
            text(real),
            &to,
            "--allow-fallback",
            "--format",
            "json",
        ]))
    };
    let line = Line::new(registry.address(), &[], false);
    push(&line, "whole").succeeded();
    let total = line.sent();
    let repositories = registry.data().join("docker/registry/v2/repositories");
    for i in 0..CUTS {
        let name = "cut/image";
        let broken = Line::new(registry.address(), &[total * i / CUTS + 150], true);
        let outcome = push(&broken, name);
        assert_eq!(outcome.code, Some(1), "cut {i}: {}", outcome.stderr);
        assert!(broken.is_through(), "cut {i}");
        let tag = repositories
            .join(name)
            .join("_manifests/tags/1/current/link");
        assert!(!tag.exists(), "cut {i}: the tag moved");

        let lacking = missing(registry, name, real);
        let line = Line::new(registry.address(), &[], false);
        let said: Value = serde_json::from_str(&push(&line, name).succeeded().stdout).unwrap();
        assert_eq!(said["bytes"], lacking, "cut {i}");
        assert!(
            line.sent() < lacking + 20_000,
            "cut {i}: {} bytes for {lacking}",
            line.sent()
        );

        let copy = scratch.path().join("copy");
        peer.ours(&["copy", &peer.reference(&format!("{name}:1")), text(&copy)])
            .succeeded();
        assert_eq!(blobs_of(&copy), blobs_of(real), "cut {i}");
        fs_err::remove_dir_all(&copy).unwrap();
        fs_err::remove_dir_all(repositories.join(name)).unwrap();
    }
}

#[test]
fn a_push_goes_on_over_a_line_that_comes_back() {
    let real = image();
    let peer = Peer::new("plain", RealRegistry::plain());
    let registry = peer.real.as_ref().unwrap();
    let size = missing(registry, "none", real);
    let cuts: Vec<u64> = (1..6).map(|i| size * i / 6).collect();
    let line = Line::new(registry.address(), &cuts, false);
    let to = format!("{}/team/python:1", line.address);
    run(&mut peer.imgbuild(&["push", text(real), &to, "--allow-fallback"])).succeeded();
    assert!(line.is_through());
    // This registry forgets what broke off, so whatever was on its way is sent again.
    assert!(line.sent() > size);
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path().join("copy");
    peer.ours(&["copy", &peer.reference("team/python:1"), text(&copy)])
        .succeeded();
    assert_eq!(blobs_of(&copy), blobs_of(real));
}

#[test]
fn the_pushed_image_runs() {
    let peer = Peer::new("plain", RealRegistry::plain());
    let to = peer.reference("team/python:1");
    peer.ours(&["push", text(image()), &to, "--allow-fallback"])
        .succeeded();
    let folder = tempfile::tempdir().unwrap();
    let pulled = folder.path().join("pulled");
    let target = format!("oci:{}:1", pulled.display());
    peer.skopeo("src", &["copy", &format!("docker://{to}"), &target]);
    let root = root_of(&pulled, &folder.path().join("bundle"));
    let python = [
        "/var/lang/bin/python3.13",
        "-c",
        "import boto3; print(boto3.__version__)",
    ];
    let said = run(inside(&root).args(python)).succeeded();
    assert!(said.stdout.starts_with("1."), "{}", said.stdout);
}
