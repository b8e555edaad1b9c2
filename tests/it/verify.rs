//! `imgbuild verify` on images of other tools, in every place where an image can be.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Outcome, Server, edit, image, imgbuild, program, run};

/// An image that buildah makes of a folder, as a layout named `x`.
fn by_buildah(scratch: &Path, more: &str) -> PathBuf {
    let script = format!(
        r#"set -eu
        umask 022
        cd "$1"
        export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
        buildah() {{ command buildah --root "$PWD/storage" --runroot "$PWD/run" "$@"; }}
        mkdir -p files/var/task files/bin
        printf '#!/bin/sh\n' >files/bin/start
        chmod 755 files/bin/start
        {more}
        container=$(buildah from scratch)
        buildah copy "$container" files /
        buildah config --arch amd64 --entrypoint '["/bin/start"]' --workingdir /var/task "$container"
        buildah commit --format oci --disable-compression=false "$container" "oci:$PWD/layout:x"
        buildah rm "$container"
        rm -rf storage run"#
    );
    run(program("sh", ["-c", &script, "sh"]).arg(scratch)).succeeded();
    scratch.join("layout")
}

fn skopeo(from: &str, to: &str) {
    run(&mut program(
        "skopeo",
        ["copy", "--dest-tls-verify=false", from, to],
    ))
    .succeeded();
}

fn verify(image: &str) -> Outcome {
    run(imgbuild(["verify", "--target", "lambda", "--format", "json"]).arg(image))
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|e| panic!("{e}: {outcome:?}"))
}

/// The rules that an image breaks.
fn broken(outcome: &Outcome) -> Vec<String> {
    let report = json(outcome);
    let findings = report["findings"].as_array().unwrap().iter();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    errors
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_image_of_buildah_is_the_same_everywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = by_buildah(scratch.path(), "");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    let oci = format!("oci:{}:x", layout.display());
    skopeo(&oci, &format!("oci-archive:{}:x", at("oci.tar")));
    skopeo(
        &oci,
        &format!("docker-archive:{}:team/x:1", at("docker.tar")),
    );
    run(&mut program("gzip", ["--keep", &at("oci.tar")])).succeeded();
    let config = scratch.path().join("config.yml");
    let registry = Server::start(|address| {
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            at("registry")
        );
        fs_err::write(&config, text).unwrap();
        let mut command = program("docker-registry", ["serve"]);
        command.arg(&config);
        command
    });
    let pushed = format!("{}/team/x:1", registry.address);
    skopeo(&oci, &format!("docker://{pushed}"));

    let first = verify(&layout.display().to_string()).succeeded();
    let digest = json(&first)["digest"].clone();
    let raw = run(&mut program(
        "skopeo",
        ["inspect", "--format", "{{.Digest}}", &oci],
    ))
    .succeeded();
    assert_eq!(digest, raw.stdout.trim());
    for (place, digest) in [
        (format!("{}:x", layout.display()), Some(&digest)),
        (
            format!("{}@{}", layout.display(), digest.as_str().unwrap()),
            Some(&digest),
        ),
        (format!("oci-archive:{}:x", at("oci.tar")), None),
        (at("oci.tar"), None),
        (at("oci.tar.gz"), None),
        // There is no manifest in it, and layers are not compressed.
        (format!("docker-archive:{}", at("docker.tar")), None),
        (at("docker.tar"), None),
        (format!("{}:docker.io/team/x:1", at("docker.tar")), None),
        (pushed.clone(), Some(&digest)),
        (format!("docker://{pushed}"), Some(&digest)),
    ] {
        let outcome = verify(&place).succeeded();
        let report = json(&outcome);
        assert_eq!(report["findings"], Value::Array(Vec::new()), "{place}");
        assert_eq!(report["unpacked"], json(&first)["unpacked"], "{place}");
        if let Some(digest) = digest {
            assert_eq!(report["digest"], *digest, "{place}");
        }
    }
    let missing = run(imgbuild(["verify"]).arg(format!("{pushed}-not"))).refused();
    assert!(missing.contains("404"), "{missing}");
}

#[test]
fn what_lambda_refuses_is_exit_code_1() {
    let scratch = tempfile::tempdir().unwrap();
    let layout = by_buildah(
        scratch.path(),
        "echo secret >files/secret; chmod 600 files/secret; ln files/bin/start files/bin/again",
    );
    let outcome = verify(&layout.display().to_string());
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert_eq!(broken(&outcome), ["plain-entries", "readable"]);
    let table = run(imgbuild(["verify"]).arg(&layout));
    assert_eq!(table.code, Some(1));
    for text in [
        "error    plain-entries    layer 1  hard links: /bin/start",
        "error    readable         layer 1  files that others cannot read: /secret\n",
        "hint: Lambda runs functions as an unknown user; chmod o+rX\n",
        "Lambda refuses this image: sha256:",
    ] {
        assert!(table.stdout.contains(text), "{text}: {}", table.stdout);
    }
    run(imgbuild(["verify", "--target", "any"]).arg(&layout)).succeeded();
    // The same image with other bytes in its layer, as a disk would damage it.
    let blobs = layout.join("blobs/sha256");
    let largest = fs_err::read_dir(&blobs)
        .unwrap()
        .map(|blob| blob.unwrap().path());
    let manifest = largest.max_by_key(|path| fs_err::read(path).unwrap().starts_with(b"{\"schema"));
    edit(&manifest.unwrap(), "schemaVersion", "schemaversion");
    assert_eq!(broken(&verify(&layout.display().to_string())), ["bytes"]);
}

#[test]
fn the_real_image_passes_in_an_archive_of_docker_too() {
    let scratch = tempfile::tempdir().unwrap();
    let tar = scratch.path().join("image.tar").display().to_string();
    let layout = json(&verify(&image().display().to_string()).succeeded());
    skopeo(
        &format!("oci:{}", image().display()),
        &format!("docker-archive:{tar}:x:1"),
    );
    let report = json(&verify(&tar).succeeded());
    assert_eq!(report["findings"], layout["findings"]);
    assert_eq!(report["unpacked"], layout["unpacked"]);
}

#[test]
fn what_is_no_image_is_one_error() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().display().to_string();
    fs_err::write(scratch.path().join("text"), "no tar").unwrap();
    for (image, message) in [
        ("nothing-there", "there is no image \"nothing-there\""),
        (
            "./nothing-there",
            "there is no file or folder ./nothing-there",
        ),
        (&folder, "is no OCI layout"),
        (&format!("{folder}/text"), "cannot read the archive"),
        ("registry.example/UPPER", "is not an image reference"),
    ] {
        let error = run(&mut imgbuild(["verify", image])).refused();
        assert!(error.contains(message), "{image}: {error}");
        assert!(error.contains("\nhint: "), "{image}: {error}");
    }
}

#[test]
fn the_manual_lists_the_rules() {
    let rules = run(&mut imgbuild(["verify", "--rules"])).succeeded().stdout;
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/README.md");
    let manual = fs_err::read_to_string(manual).unwrap();
    assert!(
        manual.contains(&rules),
        "images/README.md lacks this table:\n{rules}"
    );
}
