//! What other tools make of the images written here: skopeo, umoci and GNU tar have to agree with this crate.

use std::path::{Path, PathBuf};
use std::process::Command;

use oci::{
    Entry, Epoch, Image, ImageBuilder, Layer, LayerWriter, Layout, Platform, RunConfig, Tree,
    Whiteout, validate_layout, write_tarball,
};

/// Runs a tool and returns its standard output. A missing tool fails the test, and says so.
fn run(program: &str, args: &[&str]) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the oracles of these tests are programs"
    )]
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output()
        .unwrap_or_else(|e| panic!("these tests need the program {program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {args:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn epoch() -> Epoch {
    Epoch::new(1_700_000_000).unwrap()
}

fn base_tree() -> Tree {
    let mut tree = Tree::new();
    let long = format!(
        "usr/share/{}/{}",
        "long-directory/".repeat(12),
        "n".repeat(120)
    );
    for (path, entry) in [
        ("etc/os-release", Entry::symlink("../usr/lib/os-release")),
        ("usr/lib/os-release", Entry::file("ID=amzn\n", 0o644)),
        ("usr/bin/sh", Entry::file("#!/bin/true\n", 0o755)),
        ("usr/lib/old/a", Entry::file("a", 0o644)),
        ("usr/lib/old/b", Entry::file("b", 0o644)),
        ("bin", Entry::symlink("usr/bin")),
        ("tmp", Entry::dir(0o1777)),
        ("var/zeros", Entry::file(vec![0; 3 << 20], 0o644)),
        (&long.replace("//", "/"), Entry::file("deep", 0o644)),
        ("usr/share/ünïcode and blank", Entry::file("", 0o644)),
        ("usr/share/link", Entry::symlink("x".repeat(150))),
    ] {
        tree.insert(path.parse().unwrap(), entry).unwrap();
    }
    tree
}

fn own_tree() -> Tree {
    let mut tree = Tree::new();
    for (path, entry) in [
        ("var/runtime/bootstrap", Entry::file("#!/bin/sh\n", 0o755)),
        ("var/task", Entry::dir(0o755)),
        ("usr/lib/os-release", Entry::file("ID=amzn\nNEW=1\n", 0o644)),
        ("usr/lib/old/c", Entry::file("c", 0o644)),
    ] {
        tree.insert(path.parse().unwrap(), entry).unwrap();
    }
    tree.white_out(Whiteout::Path("usr/lib/old/a".parse().unwrap()))
        .unwrap();
    tree.white_out(Whiteout::Path("etc".parse().unwrap()))
        .unwrap();
    tree
}

struct Built {
    dir: tempfile::TempDir,
    image: Image,
    layout: PathBuf,
}

/// A base layer as another registry would hold it, and one of our own on top, as a layout.
fn built() -> Built {
    let dir = tempfile::tempdir().unwrap();
    let writer = LayerWriter::new(&dir.path().join("cache"), epoch(), 2);
    let base = writer.write(&base_tree()).unwrap();
    let base = Layer::from_blob(
        base.path(),
        base.digest(),
        base.size(),
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    )
    .unwrap();
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        base.diff_id()
    );
    let image = ImageBuilder::new(Platform::linux("amd64"), epoch())
        .base(vec![base], config.as_bytes())
        .unwrap()
        .layer(writer.write(&own_tree()).unwrap(), "runtime")
        .run(RunConfig {
            env: vec![("LANG".to_owned(), "en_US.UTF-8".to_owned())],
            workdir: "/var/task".to_owned(),
            entrypoint: vec!["/var/runtime/bootstrap".to_owned()],
            cmd: vec!["app.handler".to_owned()],
            labels: [("a".to_owned(), "1".to_owned())].into(),
        })
        .annotation("org.opencontainers.image.version", "3.13")
        .build()
        .unwrap();
    let layout = dir.path().join("dist/python3.13");
    Layout::write(&layout, &image, "python3.13").unwrap();
    Built { dir, image, layout }
}

#[test]
fn our_own_check_accepts_it() {
    let built = built();
    let report = validate_layout(&built.layout, &Default::default()).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn skopeo_inspects_the_layout() {
    let built = built();
    let name = format!("oci:{}:python3.13", text(&built.layout));
    let seen: serde_json::Value =
        serde_json::from_str(&run("skopeo", &["inspect", &name])).unwrap();
    assert_eq!(seen["Digest"], built.image.manifest_digest().to_string());
    assert_eq!(seen["Architecture"], "amd64");
    assert_eq!(seen["Created"], "2023-11-14T22:13:20Z");
    assert_eq!(seen["Labels"]["a"], "1");
    assert_eq!(seen["Env"][0], "LANG=en_US.UTF-8");
    let layers: Vec<String> = (built.image.layers().iter())
        .map(|layer| layer.digest().to_string())
        .collect();
    assert_eq!(seen["Layers"], serde_json::json!(layers));
    let raw = run("skopeo", &["inspect", "--raw", &name]);
    assert_eq!(raw.as_bytes(), built.image.manifest());
}

#[test]
fn skopeo_copies_the_layout_without_changing_it() {
    let built = built();
    let copy = built.dir.path().join("copy");
    let from = format!("oci:{}:python3.13", text(&built.layout));
    run(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            &from,
            &format!("dir:{}", text(&copy)),
        ],
    );
    assert_eq!(
        fs_err::read(copy.join("manifest.json")).unwrap(),
        built.image.manifest()
    );
    for layer in built.image.layers() {
        let bytes = fs_err::read(copy.join(layer.digest().0.hex())).unwrap();
        assert_eq!(oci::Digest::of(&bytes), layer.digest().0);
    }
}

#[test]
fn skopeo_reads_both_forms_of_the_tarball() {
    let built = built();
    let tarball = built.dir.path().join("python.tar");
    write_tarball(&tarball, &built.image, "python3.13:3.13").unwrap();
    let docker = format!("docker-archive:{}:python3.13:3.13", text(&tarball));
    let seen: serde_json::Value =
        serde_json::from_str(&run("skopeo", &["inspect", &docker])).unwrap();
    assert_eq!(seen["Architecture"], "amd64");
    // Docker's archive is read uncompressed and compressed again: what stays is the configuration with its diffIDs.
    let copy = built.dir.path().join("from-docker");
    run(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            &docker,
            &format!("dir:{}", text(&copy)),
        ],
    );
    let config = fs_err::read(copy.join(built.image.config_digest().0.hex())).unwrap();
    assert_eq!(config, built.image.config());

    let archive = format!("oci-archive:{}:python3.13:3.13", text(&tarball));
    let copy = built.dir.path().join("from-oci");
    run(
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            &archive,
            &format!("dir:{}", text(&copy)),
        ],
    );
    assert_eq!(
        fs_err::read(copy.join("manifest.json")).unwrap(),
        built.image.manifest()
    );

    let again = built.dir.path().join("again.tar");
    write_tarball(&again, &built.image, "python3.13:3.13").unwrap();
    assert!(fs_err::read(&again).unwrap() == fs_err::read(&tarball).unwrap());
    assert!(write_tarball(&again, &built.image, "No Name").is_err());
}

/// Kind, permissions, size, path and target of everything in a folder, as [`Tree::listing`] writes them.
fn listing_of(root: &Path) -> String {
    let format = r"%M 0 0 %s %P -> %l\n";
    let text = run("find", &[text(root), "-mindepth", "1", "-printf", format]);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.strip_suffix(" -> ").unwrap_or(line).to_owned())
        .map(|line| match line.starts_with(['d', 'l']) {
            // The size of a folder or link is the file system's business.
            true => {
                let mut words: Vec<&str> = line.splitn(5, ' ').collect();
                words[3] = "0";
                words.join(" ")
            }
            false => line,
        })
        .collect();
    lines.sort_by_key(|line| line.splitn(5, ' ').nth(4).map(str::to_owned));
    lines.join("\n")
}

fn sorted(listing: &str) -> String {
    let mut lines: Vec<&str> = listing.lines().collect();
    lines.sort_by_key(|line| line.splitn(5, ' ').nth(4).map(str::to_owned));
    lines.join("\n")
}

#[test]
fn umoci_unpacks_the_same_root_file_system() {
    let built = built();
    let bundle = built.dir.path().join("bundle");
    let image = format!("{}:python3.13", text(&built.layout));
    run(
        "umoci",
        &["unpack", "--rootless", "--image", &image, text(&bundle)],
    );
    let ours = built
        .image
        .root_tree(&built.dir.path().join("scratch"))
        .unwrap();
    assert_eq!(listing_of(&bundle.join("rootfs")), sorted(&ours.listing()));
    let config: serde_json::Value =
        serde_json::from_slice(&fs_err::read(bundle.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["cwd"], "/var/task");
    assert_eq!(
        config["process"]["args"],
        serde_json::json!(["/var/runtime/bootstrap", "app.handler"])
    );

    let extracted = built.dir.path().join("extracted");
    assert_eq!(ours.extract(&extracted).unwrap(), []);
    assert_eq!(listing_of(&extracted), sorted(&ours.listing()));
    for file in ["usr/lib/os-release", "var/zeros", "usr/lib/old/c"] {
        assert!(
            fs_err::read(extracted.join(file)).unwrap()
                == fs_err::read(bundle.join("rootfs").join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn gnu_tar_lists_the_same_entries() {
    let built = built();
    let layer = &built.image.layers()[0];
    let tar = built.dir.path().join("layer.tar");
    layer.unpack_to(&tar).unwrap();
    let args = ["--numeric-owner", "--full-time", "--quoting-style=literal"];
    let plain = run("tar", &[&["-tvf", text(&tar)], &args[..]].concat());
    let packed = run("tar", &[&["-tvzf", text(layer.path())], &args[..]].concat());
    assert_eq!(plain, packed);
    let seen: Vec<String> = plain
        .lines()
        .map(|line| {
            // mode owner/group size date time path
            let words: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(words[1], "0/0", "{line}");
            assert_eq!((words[3], words[4]), ("2023-11-14", "22:13:20"), "{line}");
            let path = line
                .split_once("22:13:20 ")
                .unwrap()
                .1
                .replace("/ ->", " ->");
            let path = path.strip_suffix('/').unwrap_or(&path);
            format!("{} 0 0 {} {path}", words[0], words[2])
        })
        .collect();
    assert_eq!(seen.join("\n") + "\n", base_tree().listing());
}

#[test]
fn foreign_tars_are_read_as_gnu_tar_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    base_tree().extract(&root).unwrap();
    let expected = Tree::from_dir(&root).unwrap();
    for format in ["gnu", "posix", "ustar"] {
        let tar = dir.path().join(format!("{format}.tar"));
        let mut args = vec![
            "--format",
            format,
            "--numeric-owner",
            "--owner=0",
            "--group=0",
            "--xattrs",
            "-C",
            text(&root),
            "-cf",
            text(&tar),
        ];
        if format == "ustar" {
            // Cannot hold it.
            args.push("--exclude=link");
        }
        args.push(".");
        run("tar", &args);
        let tree = Tree::from_tar(&tar).unwrap();
        let mut expected = expected.clone();
        if format == "ustar" {
            expected.remove(&"usr/share/link".parse().unwrap());
        }
        let without_sticky = tree.listing().replace("drwxrwxrwt", "drwxr-xr-x");
        assert_eq!(without_sticky, expected.listing(), "{format}");
    }
}
