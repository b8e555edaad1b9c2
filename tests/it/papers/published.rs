//! Papers beside their image in a registry, and signatures by the user's own tool.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{paper, read, read_provenance};
use crate::push::peer::Peer;
use crate::registries::real_registry::RealRegistry;
use crate::support::{image, program, run};

/// A document of a registry, by curl.
fn get(peer: &Peer, path: &str) -> String {
    let url = format!("http://{}/v2/{path}", peer.address);
    let accept = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    run(&mut program("curl", ["-sS", "--fail", "-H", accept, &url]))
        .succeeded()
        .stdout
}

/// What is attached to an image: by OCI's API where there is one, by the tag that takes its place elsewhere.
fn attached(peer: &Peer, repository: &str, digest: &str) -> Vec<Value> {
    let list = |from: usize| match peer.real {
        Some(_) => format!("{repository}/manifests/{}", digest.replace(':', "-")),
        None => format!("{repository}/referrers/{digest}?from={from}"),
    };
    let mut entries = Vec::new();
    loop {
        let page: Value = serde_json::from_str(&get(peer, &list(entries.len()))).unwrap();
        let page = page["manifests"].as_array().unwrap();
        entries.extend(page.iter().cloned());
        // The API gives pages, the tag gives all.
        if peer.real.is_some() || page.is_empty() {
            return entries;
        }
    }
}

/// A small image with papers of its own: those of the built one, of another image by their digest.
fn small(folder: &Path) -> PathBuf {
    let layout = crate::push::layout(folder, "amd64", "papers", &[]);
    let digest = |layout: &Path| {
        oci::Layout::open(layout)
            .unwrap()
            .manifest_digest()
            .unwrap()
            .0
            .hex()
    };
    for suffix in [".spdx.json", ".cdx.json", ".provenance.json"] {
        let text = fs_err::read_to_string(paper(image(), suffix)).unwrap();
        fs_err::write(
            paper(&layout, suffix),
            text.replace(&digest(image()), &digest(&layout)),
        )
        .unwrap();
    }
    layout
}

#[test]
fn pushed_papers_are_fetched_back_and_validate() {
    let folder = tempfile::tempdir().unwrap();
    let layout = small(folder.path());
    let digest = oci::Layout::open(&layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string();
    for peer in Peer::all()
        .into_iter()
        .filter(|peer| ["plain", "native referrers"].contains(&peer.name))
    {
        let to = peer.reference("team/python:3.13");
        let push = ["push", layout.to_str().unwrap(), &to, "--format", "json"];
        let said: Value = serde_json::from_str(&peer.ours(&push).succeeded().stdout).unwrap();
        assert_eq!(
            said["attached"].as_array().unwrap().len(),
            3,
            "{}",
            peer.name
        );

        let tagged: Value =
            serde_json::from_str(&get(&peer, "team/python/manifests/3.13")).unwrap();
        assert!(
            tagged["layers"].is_array(),
            "{}: the tag is one image, as Lambda wants it",
            peer.name
        );
        let mut files = Vec::new();
        for kind in [
            "application/spdx+json",
            "application/vnd.cyclonedx+json",
            "application/vnd.in-toto+json",
        ] {
            let entries = attached(&peer, "team/python", &digest);
            let of_kind: Vec<&Value> = entries
                .iter()
                .filter(|entry| entry["artifactType"] == kind)
                .collect();
            let [entry] = of_kind.as_slice() else {
                panic!("{}: {kind}: {entries:?}", peer.name);
            };
            let manifest = get(
                &peer,
                &format!(
                    "team/python/manifests/{}",
                    entry["digest"].as_str().unwrap()
                ),
            );
            let manifest: Value = serde_json::from_str(&manifest).unwrap();
            assert_eq!(
                manifest["subject"]["digest"],
                json!(digest),
                "{}",
                peer.name
            );
            let blob = manifest["layers"][0]["digest"].as_str().unwrap();
            let file = folder.path().join(format!("fetched-{}.json", files.len()));
            fs_err::write(&file, get(&peer, &format!("team/python/blobs/{blob}"))).unwrap();
            files.push(file);
        }
        let said = read(&files[0], &files[1], &json!([]));
        assert!(said["spdx"].as_array().unwrap().len() > 50, "{}", peer.name);
        let statement = read_provenance(&files[2]);
        assert_eq!(
            statement["subject"][0]["digest"]["sha256"],
            json!(digest["sha256:".len()..])
        );

        let before = attached(&peer, "team/python", &digest);
        let said: Value = serde_json::from_str(&peer.ours(&push).succeeded().stdout).unwrap();
        assert_eq!(
            (&said["attached"], &said["moved"]),
            (&json!([]), &json!([])),
            "{}",
            peer.name
        );
        assert_eq!(
            attached(&peer, "team/python", &digest),
            before,
            "{}",
            peer.name
        );
    }
}

#[test]
fn papers_of_another_image_are_refused_and_no_papers_is_a_choice() {
    let folder = tempfile::tempdir().unwrap();
    let layout = small(folder.path());
    let peer = Peer::new("plain", RealRegistry::plain());
    let to = peer.reference("team/python:3.13");
    let push = ["push", layout.to_str().unwrap(), &to];

    let provenance = paper(&layout, ".provenance.json");
    fs_err::copy(paper(image(), ".provenance.json"), &provenance).unwrap();
    let said = peer.ours(&push).refused();
    assert!(
        said.contains(".provenance.json is of another image than sha256:"),
        "{said}"
    );
    assert!(said.contains("hint: build the image again"), "{said}");
    fs_err::remove_file(&provenance).unwrap();
    assert!(
        peer.ours(&push)
            .refused()
            .contains("provenance.json does not exist")
    );

    peer.ours(&[push.as_slice(), &["--no-attest"]].concat())
        .succeeded();
    let tags = get(&peer, "team/python/tags/list");
    assert!(!tags.contains("sha256-"), "nothing is attached: {tags}");

    for suffix in [".spdx.json", ".cdx.json"] {
        fs_err::remove_file(paper(&layout, suffix)).unwrap();
    }
    assert!(
        peer.ours(&[push.as_slice(), &["--attest"]].concat())
            .refused()
            .contains("there are no papers beside")
    );
    let said = peer.ours(&push).succeeded();
    assert!(
        said.stderr.contains("there are no papers beside"),
        "{}",
        said.stderr
    );
}

#[test]
fn an_image_is_signed_before_its_tag_moves() {
    let folder = tempfile::tempdir().unwrap();
    let layout = crate::push::layout(folder.path(), "amd64", "signed", &[]);
    let digest = oci::Layout::open(&layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string();
    let peer = Peer::new("plain", RealRegistry::plain());
    let to = peer.reference("team/python:3.13");
    // Writes down what it was called with, and what the registry has at that moment.
    let tool = folder.path().join("signing tool");
    let log = folder.path().join("log");
    let script = format!(
        "#!/bin/sh\nstatus() {{ curl -s -o /dev/null -w '%{{http_code}}' -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
         \"http://{}/v2/team/python/manifests/$1\"; }}\n\
         echo \"$# $1 $2 $KEY $(status {digest}) $(status 3.13)\" >>'{}'\necho noise\nexit ${{FAIL:-0}}\n",
        peer.address,
        log.display()
    );
    fs_err::write(&tool, script).unwrap();
    fs_err::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let template = format!("'{}' 'a $(word)' {{ref}}", tool.display());
    let push = ["push", layout.to_str().unwrap(), &to, "--sign", &template];
    let mut command = peer.imgbuild(&push);

    let failed = run(command.env("KEY", "mine").env("FAIL", "7"));
    let said = failed.refused();
    assert!(said.contains("did not sign"), "{said}");
    assert!(
        said.contains("exit status: 7") && said.contains("hint: the image is in the registry"),
        "{said}"
    );
    let tags = run(&mut program(
        "curl",
        [
            "-s",
            &format!("http://{}/v2/team/python/tags/list", peer.address),
        ],
    ));
    assert!(
        !tags.stdout.contains("3.13"),
        "no tag moved: {}",
        tags.stdout
    );

    let pinned = peer.reference(&format!("team/python@{digest}"));
    let signed = run(peer.imgbuild(&push).env("KEY", "mine")).succeeded();
    assert_eq!(
        signed.stdout,
        format!("{pinned}\n"),
        "the tool's words go to stderr"
    );
    let line = format!("2 a $(word) {pinned} mine 200 404\n");
    assert_eq!(fs_err::read_to_string(&log).unwrap(), line.repeat(2));
    assert!(get(&peer, "team/python/tags/list").contains("3.13"));

    for bad in ["cosign sign", "cosign 'sign {ref}"] {
        let outcome = peer.ours(&["push", layout.to_str().unwrap(), &to, "--sign", bad]);
        assert_eq!(outcome.code, Some(1), "{bad}: {}", outcome.stderr);
    }
}

#[test]
fn a_copy_brings_along_what_is_attached_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let layout = small(folder.path());
    let digest = oci::Layout::open(&layout)
        .unwrap()
        .manifest_digest()
        .unwrap()
        .to_string();
    let peer = Peer::new("plain", RealRegistry::plain());
    let from = peer.reference("team/python:3.13");
    peer.ours(&["push", layout.to_str().unwrap(), &from])
        .succeeded();

    peer.ours(&["copy", &from, &peer.reference("bare/python:3.13")])
        .succeeded();
    let tags = get(&peer, "bare/python/tags/list");
    assert!(!tags.contains("sha256-"), "{tags}");
    peer.ours(&[
        "copy",
        &from,
        &peer.reference("whole/python:3.13"),
        "--referrers",
    ])
    .succeeded();
    let both = ["team", "whole"].map(|team| attached(&peer, &format!("{team}/python"), &digest));
    assert_eq!((both[0].len(), &both[0]), (3, &both[1]));

    let to = folder.path().join("copy");
    let said = peer
        .ours(&["copy", &from, to.to_str().unwrap(), "--referrers"])
        .refused();
    assert!(said.contains("hint: leave out --referrers"), "{said}");
}
