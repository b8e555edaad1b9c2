//! Publishing: against Debian's docker-registry in all its forms, against one of our own that knows OCI's referrers, and
//! over lines that break; looked at by skopeo.

mod bad_input;
mod broken_lines;
pub(crate) mod peer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::{Content, Entry, Epoch, ImageBuilder, LayerWriter, Layout, Platform, RunConfig, Tree};
use serde_json::{Value, json};

use crate::registries::real_registry::RealRegistry;
use peer::Peer;

/// A layout of one image with two layers; `salt` makes it another.
pub(crate) fn layout(
    dir: &Path,
    architecture: &str,
    salt: &str,
    annotations: &[(&str, &str)],
) -> PathBuf {
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
