//! Each rule against an image that breaks it and nothing else.

mod programs;

use std::io::Write;

use serde_json::{Value, json};

use super::*;
use crate::gzip::GzipWriter;
use crate::image::OWN_LAYER;
use crate::layout::LayoutError;
use crate::{Epoch, Image, ImageBuilder, LayerWriter, Platform, RunConfig};

type Edit = fn(&mut Value);

/// An image as documents that can be spoilt.
struct Spoilt {
    /// Tars, lowest first; the first one is a base's.
    layers: Vec<Vec<u8>>,
    config: Edit,
    manifest: Edit,
    index: Edit,
    /// After everything is written.
    files: fn(&Path),
    limits: Limits,
    options: Options<'static>,
}

fn keep(_: &mut Value) {}

impl Default for Spoilt {
    fn default() -> Self {
        Self {
            layers: vec![base().finish(), own().finish()],
            config: keep,
            manifest: keep,
            index: keep,
            files: |_| {},
            limits: LAMBDA,
            options: Options::default(),
        }
    }
}

/// Writes members as told, in order, right or wrong.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn add(mut self, kind: tar::EntryType, path: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_path(path).unwrap();
        if kind.is_hard_link() {
            header.set_link_name("var/runtime/bootstrap").unwrap();
        }
        if kind.is_symlink() {
            header.set_link_name("libc-2.2.so").unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn dir(self, path: &str) -> Self {
        self.add(tar::EntryType::Directory, path, 0o755, b"")
    }

    fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.add(tar::EntryType::Regular, path, mode, content)
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// The smallest program: 62 is x86-64, 183 is arm64; type 2 runs, 1 is an object file. It asks for a stack that is not
/// executable and loads nothing.
fn elf(machine: u8, kind: u8) -> [u8; 120] {
    let mut bytes = [0; 120];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (at, value) in [
        (16, kind),
        (18, machine),
        (20, 1),
        (32, 64),
        (52, 64),
        (54, 56),
        (56, 1),
        (58, 64),
    ] {
        bytes[at] = value;
    }
    bytes[64..68].copy_from_slice(&0x6474_e551_u32.to_le_bytes());
    bytes[68] = 6;
    bytes
}

fn base() -> Tar {
    Tar::new()
        .dir("etc/")
        .file("etc/os-release", 0o644, b"ID=amzn")
}

fn own() -> Tar {
    Tar::new()
        .dir("var/")
        .dir("var/task/")
        .dir("var/runtime/")
        .file("var/runtime/bootstrap", 0o755, &elf(62, 2))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new(), 1).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

impl Spoilt {
    fn own(tar: Tar) -> Self {
        Self {
            layers: vec![base().finish(), tar.finish()],
            ..Self::default()
        }
    }

    fn base(tar: Tar) -> Self {
        Self {
            layers: vec![tar.finish(), own().finish()],
            ..Self::default()
        }
    }

    /// The report's findings as `severity rule layer: detail`.
    fn findings(&self) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let report = self.report(dir.path());
        report.findings.iter().map(ToString::to_string).collect()
    }

    fn report(&self, dir: &Path) -> Report {
        let blobs = dir.join("blobs/sha256");
        fs_err::create_dir_all(&blobs).unwrap();
        let put = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs_err::write(blobs.join(digest.hex()), bytes).unwrap();
            json!({"digest": digest, "size": bytes.len()})
        };
        let typed = |mut descriptor: Value, media_type: &str| {
            descriptor["mediaType"] = media_type.into();
            descriptor
        };
        let diff_ids: Vec<Digest> = self.layers.iter().map(|tar| Digest::of(tar)).collect();
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|tar| typed(put(&gzip(tar)), media_type::LAYER_GZIP))
            .collect();
        let mut config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Entrypoint": ["/var/runtime/bootstrap"], "WorkingDir": "/var/task"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created_by": "base"}, {"created_by": "own", "comment": OWN_LAYER}],
        });
        (self.config)(&mut config);
        let config = put(config.to_string().as_bytes());
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::MANIFEST,
            "config": typed(config, media_type::CONFIG), "layers": layers,
        });
        (self.manifest)(&mut manifest);
        let manifest = put(manifest.to_string().as_bytes());
        let mut index = json!({
            "schemaVersion": 2, "mediaType": media_type::INDEX,
            "manifests": [typed(manifest, media_type::MANIFEST)],
        });
        (self.index)(&mut index);
        fs_err::write(dir.join("index.json"), index.to_string()).unwrap();
        fs_err::write(dir.join("oci-layout"), crate::layout::MARKER_BYTES).unwrap();
        (self.files)(dir);
        check(&open_layout(dir).unwrap(), &self.options, self.limits).unwrap()
    }
}

/// Exactly one finding, which starts and goes on as expected.
#[track_caller]
fn one(spoilt: &Spoilt, start: &str, part: &str) {
    let findings = spoilt.findings();
    let [finding] = findings.as_slice() else {
        panic!("expected one finding, {start}: {findings:#?}");
    };
    assert!(finding.starts_with(start), "expected {start}: {finding}");
    assert!(finding.contains(part), "expected {part}: {finding}");
}

#[test]
fn a_good_image_has_no_findings() {
    assert_eq!(Spoilt::default().findings(), [""; 0]);
}

#[test]
fn an_image_made_here_has_no_findings() {
    let dir = tempfile::tempdir().unwrap();
    let image = made_here(dir.path());
    let to = dir.path().join("layout");
    Layout::write(&to, &image, "x").unwrap();
    let report = validate_layout(&to, &Options::default()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.manifest, Some(image.manifest_digest()));
    assert_eq!(report.layers, 1);
    assert!(report.is_accepted());
    // var, var/runtime, bootstrap and its content, var/task, the end.
    assert_eq!(report.unpacked, 512 * 7);
}

fn made_here(dir: &Path) -> Image {
    let mut tree = Tree::new();
    let mut add = |path: &str, entry| tree.insert(path.parse().unwrap(), entry).unwrap();
    add(
        "var/runtime/bootstrap",
        crate::Entry::file(&elf(62, 2)[..], 0o755),
    );
    add("var/task", crate::Entry::dir(0o755));
    let layer = LayerWriter::new(dir, Epoch::default(), 1)
        .write(&tree)
        .unwrap();
    ImageBuilder::new(Platform::linux("amd64"), Epoch::default())
        .layer(layer, "runtime")
        .run(RunConfig {
            entrypoint: vec!["/var/runtime/bootstrap".to_owned()],
            workdir: "/var/task".to_owned(),
            ..RunConfig::default()
        })
        .build()
        .unwrap()
}

#[test]
fn rule_1_a_name_resolves_to_one_image() {
    let index = |index: Edit| Spoilt {
        index,
        ..Spoilt::default()
    };
    let rule = "error: single-manifest: ";
    one(
        &index(|index| index["manifests"][0]["mediaType"] = media_type::INDEX.into()),
        rule,
        "image.index",
    );
    one(
        &index(|index| index["manifests"] = json!([])),
        rule,
        "0 manifests",
    );
    one(
        &index(|index| {
            let again = index["manifests"][0].clone();
            index["manifests"].as_array_mut().unwrap().push(again);
        }),
        rule,
        "2 manifests",
    );
}

#[test]
fn rule_2_directories_come_before_what_is_inside() {
    let late = own().file("opt/late", 0o644, b"").dir("opt/");
    let rule = "parents-first: layer";
    one(
        &Spoilt::own(late),
        &format!("error: {rule} 2: "),
        "/opt/late",
    );
    let missing = || Tar::new().file("usr/bin/x", 0o644, b"");
    one(
        &Spoilt::base(missing()),
        &format!("warning: {rule} 1: "),
        "/usr/bin/x",
    );
    let whiteout = own().file("opt/.wh.gone", 0o644, b"");
    one(
        &Spoilt::own(whiteout),
        &format!("error: {rule} 2: "),
        "/opt/gone",
    );
}

#[test]
fn rule_3_layers_are_gzip_of_one_family() {
    let manifest = |manifest: Edit| Spoilt {
        manifest,
        ..Spoilt::default()
    };
    one(
        &manifest(|manifest| {
            manifest["layers"][0]["mediaType"] = media_type::DOCKER_LAYER_GZIP.into();
        }),
        "error: media-types: ",
        "types of Docker and OCI are mixed",
    );
    one(
        &manifest(|manifest| {
            manifest["layers"][0]["mediaType"] =
                "application/vnd.oci.image.layer.v1.tar+zstd".into();
        }),
        "error: gzip: layer 1: ",
        "tar+zstd",
    );
    let docker = Spoilt {
        index: |index| index["manifests"][0]["mediaType"] = media_type::DOCKER_MANIFEST.into(),
        manifest: |manifest| {
            manifest["mediaType"] = media_type::DOCKER_MANIFEST.into();
            manifest["config"]["mediaType"] = media_type::DOCKER_CONFIG.into();
            for layer in manifest["layers"].as_array_mut().unwrap() {
                layer["mediaType"] = media_type::DOCKER_LAYER_GZIP.into();
            }
        },
        ..Spoilt::default()
    };
    assert_eq!(
        docker.findings(),
        [""; 0],
        "one family is as good as the other"
    );
    // The type says gzip, the bytes are a plain tar.
    let dir = tempfile::tempdir().unwrap();
    let plain = Spoilt {
        manifest: |manifest| {
            let tar = base().finish();
            manifest["layers"][0]["digest"] = Digest::of(&tar).to_string().into();
            manifest["layers"][0]["size"] = tar.len().into();
        },
        files: |dir| {
            let tar = base().finish();
            let gzip = dir.join("blobs/sha256").join(Digest::of(&gzip(&tar)).hex());
            fs_err::remove_file(gzip).unwrap();
            fs_err::write(dir.join("blobs/sha256").join(Digest::of(&tar).hex()), &tar).unwrap();
        },
        ..Spoilt::default()
    };
    let report = plain.report(dir.path());
    assert_eq!(report.findings.len(), 1, "{:#?}", report.findings);
    assert_eq!(report.findings[0].rule, Rule::Gzip);
    assert_eq!(report.findings[0].severity, Severity::Error);
}

#[test]
fn rule_3_schema_version_2() {
    let old = Spoilt {
        manifest: |manifest| manifest["schemaVersion"] = 1.into(),
        ..Spoilt::default()
    };
    one(&old, "error: media-types: ", "schema version 1");
}

#[test]
fn zstd_is_found_by_its_bytes() {
    // An empty frame of zstd.
    const FRAME: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x24, 0, 1, 0, 0, 0x99, 0xe9, 0xd8, 0x51,
    ];
    let zstd = Spoilt {
        manifest: |manifest| {
            manifest["layers"][0]["digest"] = Digest::of(FRAME).to_string().into();
            manifest["layers"][0]["size"] = FRAME.len().into();
        },
        files: |dir| {
            let blobs = dir.join("blobs/sha256");
            let gzip = Digest::of(&gzip(&base().finish())).hex();
            fs_err::rename(blobs.join(gzip), blobs.join(Digest::of(FRAME).hex())).unwrap();
            fs_err::write(blobs.join(Digest::of(FRAME).hex()), FRAME).unwrap();
        },
        ..Spoilt::default()
    };
    one(&zstd, "error: gzip: layer 1: ", "are zstd");
}

#[test]
fn rule_4_only_plain_entries() {
    let rule = "plain-entries: layer";
    for (what, kind) in [
        ("hard links", tar::EntryType::Link),
        ("device nodes or pipes", tar::EntryType::Block),
        ("device nodes or pipes", tar::EntryType::Fifo),
    ] {
        let spoilt = own().add(kind, "var/odd", 0o644, b"");
        one(&Spoilt::own(spoilt), &format!("error: {rule} 2: "), what);
    }
    let socket = own().add(tar::EntryType::new(b's'), "var/odd", 0o644, b"");
    one(
        &Spoilt::own(socket),
        &format!("error: {rule} 2: "),
        "member type 's'",
    );
    let links = Tar::new()
        .dir("var/")
        .dir("var/runtime/")
        .file("var/runtime/bootstrap", 0o755, b"#!")
        .add(tar::EntryType::Link, "a", 0o644, b"")
        .add(tar::EntryType::Link, "b", 0o644, b"")
        .add(tar::EntryType::Link, "c", 0o644, b"")
        .add(tar::EntryType::Link, "d", 0o644, b"");
    let what = "hard links: /a, /b, /c and 1 more";
    one(&Spoilt::base(links), &format!("warning: {rule} 1: "), what);
}

#[test]
fn rule_5_sizes() {
    let limits = |unpacked, manifest| Spoilt {
        limits: Limits {
            unpacked,
            manifest,
            ..LAMBDA
        },
        ..Spoilt::default()
    };
    one(&limits(1000, 25_400), "error: size: ", "more than 1000");
    one(
        &limits(1 << 30, 100),
        "warning: size: ",
        "the manifest has ",
    );
    let few = Spoilt {
        limits: Limits {
            layers: 1,
            ..LAMBDA
        },
        ..Spoilt::default()
    };
    one(&few, "warning: size: ", "2 layers; Docker runs 1 at most");
    assert_eq!(LAMBDA.layers, 127);
    assert_eq!(LAMBDA.unpacked, 10_000_000_000);
    assert_eq!(LAMBDA.manifest, 25_400);
}

#[test]
fn rule_6_what_starts_is_there_under_absolute_paths() {
    let config = |config: Edit| Spoilt {
        config,
        ..Spoilt::default()
    };
    for (edit, part) in [
        (
            (|config| config["config"]["Entrypoint"][0] = "var/runtime/bootstrap".into()) as Edit,
            "ENTRYPOINT var/runtime/bootstrap is not an absolute path",
        ),
        (
            |config| config["config"]["Entrypoint"][0] = "/var/nothing".into(),
            "ENTRYPOINT /var/nothing does not exist",
        ),
        (
            |config| config["config"]["Entrypoint"][0] = "/etc/os-release".into(),
            "cannot be run by everybody",
        ),
        (
            |config| config["config"]["Entrypoint"][0] = "/etc".into(),
            "cannot be run by everybody",
        ),
        (
            |config| config["config"] = json!({"Cmd": ["app"]}),
            "CMD app is not an absolute path",
        ),
        (
            |config| config["config"]["Env"] = json!(["A=1", "PATH"]),
            "the ENV entry \"PATH\" is no NAME=VALUE",
        ),
        (
            |config| config["config"]["Entrypoint"] = json!([]),
            "there is no ENTRYPOINT and no CMD",
        ),
        (
            |config| drop(config.as_object_mut().unwrap().remove("config")),
            "there is no ENTRYPOINT and no CMD",
        ),
        (
            |config| config["config"]["WorkingDir"] = "var/task".into(),
            "WORKDIR var/task is not an absolute path",
        ),
        (
            |config| config["config"]["WorkingDir"] = "/var/nothing".into(),
            "WORKDIR /var/nothing does not exist",
        ),
        (
            |config| config["config"]["WorkingDir"] = "/etc/os-release".into(),
            "is no directory",
        ),
    ] {
        one(&config(edit), "error: run: ", part);
    }
    let handler = config(|config| config["config"]["Cmd"] = json!(["app.handler"]));
    assert_eq!(handler.findings(), [""; 0], "a handler is no path");
}

#[test]
fn rule_6_everybody_can_read() {
    let rule = "readable: layer";
    let file = || Tar::new().file("secret", 0o640, b"");
    let dir = own().add(tar::EntryType::Directory, "closed/", 0o754, b"");
    one(
        &Spoilt::base(file()),
        &format!("warning: {rule} 1: "),
        "/secret",
    );
    one(&Spoilt::own(dir), &format!("error: {rule} 2: "), "/closed");
}

#[test]
fn rule_6_programs_are_for_the_architecture() {
    let arm = own().file("arm", 0o755, &elf(183, 3));
    let rule = "error: architecture: layer 2: ";
    one(&Spoilt::own(arm), rule, "not for amd64: /arm");
    let object = own().file("arm.o", 0o644, &elf(183, 1));
    assert_eq!(Spoilt::own(object).findings(), [""; 0]);
    let other = Spoilt {
        config: |config| config["architecture"] = "arm64".into(),
        ..Spoilt::default()
    };
    one(&other, rule, "not for arm64: /var/runtime/bootstrap");
    for (edit, part) in [
        (
            (|config| config["os"] = "windows".into()) as Edit,
            "windows/amd64",
        ),
        (
            |config| config["architecture"] = "riscv64".into(),
            "linux/riscv64",
        ),
    ] {
        let spoilt = Spoilt {
            config: edit,
            ..Spoilt::default()
        };
        one(&spoilt, "error: architecture: ", part);
    }
}

#[test]
fn rule_7_one_history_entry_for_each_layer() {
    let config = |config: Edit| Spoilt {
        config,
        ..Spoilt::default()
    };
    one(
        &config(|config| drop(config["history"].as_array_mut().unwrap().pop())),
        "error: history: ",
        "1 history entries for 2 layers",
    );
    one(
        &config(|config| config["history"][0]["empty_layer"] = true.into()),
        "error: history: ",
        "1 history entries for 2 layers",
    );
    one(
        &config(|config| config["history"][1]["created_by"] = "".into()),
        "error: history: layer 2: ",
        "does not say",
    );
    let empty = config(|config| {
        let label = json!({"created_by": "LABEL", "empty_layer": true});
        config["history"].as_array_mut().unwrap().insert(1, label);
    });
    assert_eq!(empty.findings(), [""; 0]);
}

#[test]
fn other_runtimes_take_more() {
    let any = |spoilt: Spoilt| Spoilt {
        options: Options {
            target: Target::Any,
            ..Options::default()
        },
        ..spoilt
    };
    let secret = || own().file("secret", 0o600, b"");
    assert_eq!(any(Spoilt::own(secret())).findings(), [""; 0]);
    let arm = any(Spoilt::own(own().file("arm", 0o755, &elf(183, 3))));
    one(
        &arm,
        "error: architecture: layer 2: ",
        "not for amd64: /arm",
    );
}

#[test]
fn bytes_are_what_they_say() {
    let rule = "error: bytes: ";
    let config = |config: Edit| Spoilt {
        config,
        ..Spoilt::default()
    };
    one(
        &config(|config| {
            config["rootfs"]["diff_ids"][1] = Digest::of(b"other").to_string().into();
        }),
        "error: bytes: layer 2: diffID is sha256:",
        "the configuration says",
    );
    one(
        &config(|config| drop(config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop())),
        rule,
        "1 diffIDs for 2 layers",
    );
    one(
        &config(|config| *config = json!([])),
        rule,
        "the configuration: ",
    );
    let manifest = |manifest: Edit| Spoilt {
        manifest,
        ..Spoilt::default()
    };
    one(
        &manifest(|manifest| manifest["layers"][1]["size"] = 7.into()),
        "error: bytes: layer 2: expected sha256:",
        "of 7 bytes",
    );
    one(
        &manifest(|manifest| manifest["config"]["size"] = 7.into()),
        rule,
        "of 7 bytes",
    );
    let files = |files: fn(&Path)| Spoilt {
        files,
        ..Spoilt::default()
    };
    one(
        &files(|dir| fs_err::write(dir.join("blobs/sha256/stray"), "").unwrap()),
        "warning: bytes: ",
        "nothing refers to the blob stray",
    );
    let dir = tempfile::tempdir().unwrap();
    Spoilt::default().report(dir.path());
    fs_err::write(dir.path().join("index.json"), "{").unwrap();
    let error = validate_layout(dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(error, SourceError::Json { .. }), "{error}");
}

#[test]
fn a_layer_that_cannot_be_decompressed_is_one_finding() {
    // Its digest is right: it was broken when it was made.
    fn cut() -> Vec<u8> {
        let whole = gzip(&own().finish());
        whole[..whole.len() - 20].to_vec()
    }
    let spoilt = Spoilt {
        manifest: |manifest| {
            manifest["layers"][1]["digest"] = Digest::of(&cut()).to_string().into();
            manifest["layers"][1]["size"] = cut().len().into();
        },
        files: |dir| {
            let whole = Digest::of(&gzip(&own().finish())).hex();
            fs_err::remove_file(dir.join("blobs/sha256").join(whole)).unwrap();
            let name = Digest::of(&cut()).hex();
            fs_err::write(dir.join("blobs/sha256").join(name), cut()).unwrap();
        },
        ..Spoilt::default()
    };
    one(&spoilt, "error: bytes: layer 2: ", "");
}

#[test]
fn a_damaged_layer_hides_nothing_else() {
    // The entrypoint comes after what is refused: whether it is there is not known.
    let socket = Tar::new().add(tar::EntryType::new(b's'), "odd", 0o644, b"");
    one(
        &Spoilt::own(socket),
        "error: plain-entries: layer 2: ",
        "type 's'",
    );
    let unfit = own().file("etc/os-release/below", 0o644, b"");
    let findings = Spoilt::own(unfit).findings();
    assert!(
        findings[0].starts_with("error: parents-first: layer 2: "),
        "{findings:#?}"
    );
    assert!(
        findings[1].contains("cannot put etc/os-release/below into etc/os-release,"),
        "{findings:#?}"
    );
    assert_eq!(findings.len(), 2, "{findings:#?}");
}

#[test]
fn every_damaged_blob_is_named() {
    let dir = tempfile::tempdir().unwrap();
    Spoilt::default().report(dir.path());
    let blobs = dir.path().join("blobs/sha256");
    for blob in fs_err::read_dir(&blobs).unwrap() {
        let path = blob.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let good = fs_err::read(&path).unwrap();
        for i in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[i] ^= 1;
            fs_err::write(&path, bad).unwrap();
            let report = validate_layout(dir.path(), &Options::default()).unwrap();
            let named =
                |finding: &Finding| finding.rule == Rule::Bytes && finding.detail.contains(&name);
            assert!(report.errors().any(named), "{name} byte {i}: {report:?}");
        }
        fs_err::remove_file(&path).unwrap();
        assert!(
            !validate_layout(dir.path(), &Options::default())
                .unwrap()
                .is_accepted(),
            "{name} missing"
        );
        fs_err::write(&path, good).unwrap();
    }
    assert!(
        validate_layout(dir.path(), &Options::default())
            .unwrap()
            .is_accepted()
    );
}

#[test]
fn an_image_without_marks_is_judged_as_a_whole() {
    let spoilt = Spoilt {
        config: |config| {
            drop(
                config["history"][1]
                    .as_object_mut()
                    .unwrap()
                    .remove("comment"),
            )
        },
        ..Spoilt::base(Tar::new().file("secret", 0o600, b""))
    };
    one(&spoilt, "error: readable: layer 1: ", "/secret");
}

#[test]
fn a_folder_that_is_no_layout_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = validate_layout(dir.path(), &Options::default()).unwrap_err();
    assert!(
        matches!(error, SourceError::Layout(LayoutError::NotALayout(_))),
        "{error}"
    );
}
