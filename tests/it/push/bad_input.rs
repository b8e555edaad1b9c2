//! Bad input and broken layouts: one error, a hint, nothing half-written.

use oci::Layout;
use serde_json::json;

use super::peer::Peer;
use super::{digest_of, layout, text};
use crate::registries::USER;
use crate::registries::real_registry::RealRegistry;
use crate::support::run;

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
    assert!(
        said.contains("is refused") && said.contains("\nhint: "),
        "{said}"
    );
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
