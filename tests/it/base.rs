//! The base's real origins: an image and a root file system laid out like Amazon's, served by a real registry and a real web
//! server, through the project's own definition file with other addresses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use oci::{
    Content, Digest, Entry, Epoch, ImageBuilder, ImagePath, Kind, LayerWriter, Layout, Platform,
    RunConfig, Tree,
};
use serde_json::Value;

use crate::support::{Server, definitions, edit, image, imgbuild, program, run};

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

/// A root file system that says of itself what Amazon Linux 2023 says: os-release, and the version of its C library.
fn amazon(scratch: &Path) -> Tree {
    let built = Layout::open(image()).unwrap().image().unwrap();
    let tar = scratch.join("base.tar");
    built.layers()[0].unpack_to(&tar).unwrap();
    let mut root = Tree::from_tar(&tar).unwrap();
    let os_release = "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"2023\"\n";
    root.insert(path("usr/lib/os-release"), Entry::file(os_release, 0o644))
        .unwrap();
    let library = root
        .resolve(&path("usr/lib/x86_64-linux-gnu/libc.so.6"))
        .unwrap();
    let mut bytes = root.content(&library).unwrap().read(64 << 20).unwrap();
    let banner = b"release version 2.36";
    let at = bytes
        .windows(banner.len())
        .position(|window| window == banner)
        .unwrap();
    bytes[at..at + banner.len()].copy_from_slice(b"release version 2.34");
    root.insert(library, Entry::file(Content::from(bytes), 0o755))
        .unwrap();
    root
}

/// The image of `root` with Docker's media types behind an index, in a registry. Returns the index's digest and the layer's.
fn push(root: &Tree, registry: &str, scratch: &Path) -> (Digest, String) {
    let epoch = Epoch::new(1_790_000_000).unwrap();
    let layer = LayerWriter::new(&scratch.join("blobs"), epoch, 2)
        .write(root)
        .unwrap();
    let run_config = RunConfig {
        cmd: vec!["/bin/bash".into()],
        ..RunConfig::default()
    };
    let builder = ImageBuilder::new(Platform::linux("amd64"), epoch)
        .layer(layer, "base")
        .run(run_config);
    let layout = scratch.join("layout");
    Layout::write(&layout, &builder.build().unwrap(), "latest").unwrap();
    let target = format!("docker://{registry}/amazonlinux/amazonlinux:2023");
    let source = format!("oci:{}", layout.display());
    run(&mut program(
        "skopeo",
        [
            "copy",
            "--format",
            "v2s2",
            "--dest-tls-verify=false",
            &source,
            &target,
        ],
    ))
    .succeeded();
    let raw = run(&mut program(
        "skopeo",
        ["inspect", "--raw", "--tls-verify=false", &target],
    ))
    .succeeded()
    .stdout;
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [{
            "mediaType": manifest["mediaType"],
            "digest": Digest::of(raw.as_bytes()).to_string(),
            "size": raw.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
        }],
    })
    .to_string();
    let url = format!("http://{registry}/v2/amazonlinux/amazonlinux/manifests/index");
    let kind = "Content-Type: application/vnd.docker.distribution.manifest.list.v2+json";
    run(&mut program(
        "curl",
        [
            "--silent", "--fail", "-X", "PUT", "-H", kind, "--data", &index, &url,
        ],
    ))
    .succeeded();
    (Digest::of(index.as_bytes()), layer)
}

/// Amazon's servers, as far as a build sees them.
struct Amazon {
    registry: Server,
    web: Server,
    index: Digest,
    layer: String,
    rootfs: Digest,
    _folder: tempfile::TempDir,
}

/// Shared by the tests that run at the same time; a static would not stop them at the end.
fn servers() -> Arc<Amazon> {
    static SERVERS: Mutex<Weak<Amazon>> = Mutex::new(Weak::new());
    let mut shared = SERVERS.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| -> PathBuf {
            let path = folder.path().join(name);
            fs_err::create_dir(&path).unwrap();
            path
        };
        let (scratch, web, storage) = (place("scratch"), place("web"), place("registry"));
        let registry = Server::start(|address| {
            let config = folder.path().join("registry.yml");
            let text = format!(
                "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
                storage.display()
            );
            fs_err::write(&config, text).unwrap();
            let mut command = program("docker-registry", ["serve"]);
            command.arg(config);
            command
        });
        let root = amazon(&scratch);
        let (index, layer) = push(&root, &registry.address, &scratch);
        let tar = scratch.join("rootfs.tar");
        let epoch = Epoch::new(1_790_000_000).unwrap();
        let out = fs_err::File::create(&tar).unwrap();
        oci::tar_writer::write_tar(&root, oci::tar_writer::Times::Epoch(epoch), out).unwrap();
        run(program("xz", ["-0", "--threads=2"]).arg(&tar)).succeeded();
        let xz = scratch.join("rootfs.tar.xz");
        let (rootfs, _) = Digest::of_reader(fs_err::File::open(&xz).unwrap()).unwrap();
        fs_err::rename(&xz, web.join("rootfs.tar.xz")).unwrap();
        let web = Server::start(|address| {
            let port = address.rsplit(':').next().unwrap();
            let mut command = program("python3", ["-m", "http.server", port, "--bind", "127.0.0.1"]);
            command.arg("--directory").arg(&web);
            command
        });
        let amazon = Arc::new(Amazon { registry, web, index, layer, rootfs, _folder: folder });
        *shared = Arc::downgrade(&amazon);
        amazon
    })
}

/// The project's definitions with `change` applied to images/al2023.yaml, and a lock of them.
fn locked(change: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = definitions();
    change(&folder.path().join("images/al2023.yaml"));
    run(imgbuild(["lock", "./recipes/python3.13.yaml", "--quiet"]).current_dir(folder.path()))
        .succeeded();
    folder
}

fn build(folder: &Path) -> crate::support::Outcome {
    run(imgbuild(["build", "./recipes/python3.13.yaml"]).current_dir(folder))
}

const IMAGE: &str = "public.ecr.aws/amazonlinux/amazonlinux@sha256:12052e9b5d3fd85769abbdd863dd038e1890c9ace31d5fdbe1afa78eda97d061";
const URL: &str = "https://amazon-linux-docker-sources.s3.amazonaws.com/al2023/2023.12.20260930.0/al2023-container-2023.12.20260930.0-x86_64.tar.xz";
const SHA256: &str = "sha256:215a257916d6076fc21d4d76e18c745816f149ec0be080a29e578ac54e2ca61e";

fn from_registry(servers: &Amazon, definition: &Path) {
    edit(
        definition,
        IMAGE,
        &format!(
            "{}/amazonlinux/amazonlinux@{}",
            servers.registry.address, servers.index
        ),
    );
}

fn from_web(servers: &Amazon, definition: &Path) {
    edit(
        definition,
        URL,
        &format!("http://{}/rootfs.tar.xz", servers.web.address),
    );
    edit(definition, SHA256, &servers.rootfs.to_string());
}

#[test]
fn the_image_in_the_registry_is_the_base_byte_for_byte() {
    let servers = servers();
    let folder = locked(|definition| from_registry(&servers, definition));
    let outcome = build(folder.path()).succeeded();
    assert!(!outcome.stderr.contains("base: "), "{}", outcome.stderr);
    let layout = folder.path().join("dist/python3.13");
    let built = Layout::open(&layout).unwrap().image().unwrap();
    assert_eq!(built.layers()[0].digest().to_string(), servers.layer);
    let config: Value = serde_json::from_slice(built.config()).unwrap();
    let name = config["config"]["Labels"]["org.opencontainers.image.base.name"]
        .as_str()
        .unwrap();
    assert_eq!(
        name,
        format!(
            "{}/amazonlinux/amazonlinux@{}",
            servers.registry.address, servers.index
        )
    );
    assert_eq!(config["history"][0]["created_by"], "base");
    run(imgbuild(["verify"]).arg(&layout)).succeeded();
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/functions");
    let mut invoke = imgbuild(["invoke"]);
    invoke
        .arg(&layout)
        .arg("--code")
        .arg(functions)
        .args(["--handler", "versions.handler"]);
    assert!(run(&mut invoke).succeeded().stdout.contains("1.44.5"));
}

#[test]
fn the_published_root_file_system_serves_when_the_registry_does_not() {
    let servers = servers();
    let folder = locked(|definition| {
        edit(
            definition,
            "public.ecr.aws/amazonlinux",
            "127.0.0.1:1/amazonlinux",
        );
        from_web(&servers, definition);
    });
    let outcome = build(folder.path()).succeeded();
    assert!(!outcome.stderr.contains("base: "), "{}", outcome.stderr);
    let layout = folder.path().join("dist/python3.13");
    let built = Layout::open(&layout).unwrap().image().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let root = built.root_tree(scratch.path()).unwrap();
    let os_release = String::from_utf8(root.read(&path("etc/os-release")).unwrap()).unwrap();
    assert!(os_release.contains("ID=\"amzn\""), "{os_release}");
    let bash = root.get(&root.resolve(&path("bin/bash")).unwrap()).unwrap();
    assert!(matches!(bash.kind, Kind::File(_)) && bash.mode == 0o755);
}

#[test]
fn a_base_that_is_something_else_is_refused() {
    let servers = servers();
    let folder = locked(|definition| {
        from_registry(&servers, definition);
        edit(definition, "VERSION_ID: \"2023\"", "VERSION_ID: \"2\"");
    });
    let said = build(folder.path()).refused();
    assert!(
        said.contains("VERSION_ID in /etc/os-release is \"2023\", expected \"2\""),
        "{said}"
    );
    let folder = locked(|definition| {
        from_registry(&servers, definition);
        edit(definition, "glibc: \"2.34\"", "glibc: \"2.26\"");
    });
    let said = build(folder.path()).refused();
    assert!(
        said.contains("its C library is glibc 2.34, expected 2.26"),
        "{said}"
    );
}

#[test]
fn a_root_file_system_with_other_bytes_is_not_taken() {
    let servers = servers();
    let folder = locked(|definition| {
        edit(
            definition,
            "public.ecr.aws/amazonlinux",
            "127.0.0.1:1/amazonlinux",
        );
        edit(
            definition,
            URL,
            &format!("http://{}/rootfs.tar.xz", servers.web.address),
        );
        edit(definition, "stand_in: debian12\n", "");
    });
    let said = build(folder.path()).refused();
    assert!(
        said.contains(&format!("expected {SHA256}, got {}", servers.rootfs)),
        "{said}"
    );
    let partial = fs_err::metadata(
        crate::support::cache()
            .join("partial")
            .join(SHA256.trim_start_matches("sha256:")),
    );
    assert_eq!(
        partial.map_or(0, |file| file.len()),
        0,
        "the wrong bytes were kept"
    );
}
