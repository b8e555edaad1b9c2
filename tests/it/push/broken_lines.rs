//! Pushes of the real image over lines that break.

use std::path::Path;

use oci::Layout;
use serde_json::Value;

use super::peer::Peer;
use super::{blobs_of, text};
use crate::line::Line;
use crate::registries::real_registry::RealRegistry;
use crate::support::{image, inside, root_of, run};

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
            "--no-attest",
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
