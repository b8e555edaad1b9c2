//! Inputs from the real registries, a few small ones, through the ordinary clients; then again without any network. An
//! image through a real registry server.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use imgbuild::arch::Arch;
use imgbuild::inputs::{
    Artifact, FetchOptions, Fetched, Fetcher, Input, Origin, Progress, ProgressMode, Source, Store,
};
use oci::Digest;
use oci::registry::Manifest;

fn input(name: &str, version: &str, sha256: &str, origin: Origin) -> Input {
    Input {
        name: name.to_owned(),
        artifacts: vec![Artifact {
            version: version.to_owned(),
            sha256: format!("sha256:{sha256}").parse().unwrap(),
            size: None,
            subdir: None,
            origins: vec![origin],
        }],
    }
}

fn inputs() -> Vec<Input> {
    let debian_package =
        |package: &str, version: &str, suite: &str, arch: &str| Origin::DebianPackage {
            package: package.into(),
            version: version.into(),
            source: package.into(),
            suite: suite.into(),
            arch: arch.into(),
        };
    vec![
        input(
            "six",
            "1.17.0",
            "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
            Origin::Wheel {
                name: "six".into(),
                version: "1.17.0".into(),
                filename: "six-1.17.0-py2.py3-none-any.whl".into(),
            },
        ),
        input(
            "zlib",
            "1.3.2",
            "ff20308ecabd635a2dc1dd5834a86c462cca20efba1d5d3ddab1f8aea3455cb2",
            Origin::Crate {
                name: "libz-sys".into(),
                version: "1.1.31".into(),
            },
        ),
        input(
            "bzip2",
            "1.0.8",
            "ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269",
            Origin::DebianSource {
                package: "bzip2".into(),
                version: "1.0.8-6".into(),
                suite: "trixie".into(),
                file: "bzip2_1.0.8.orig.tar.gz".into(),
            },
        ),
        input(
            "mmdebstrap",
            "1.3.5",
            "0ecb8da772c8e5b7f73b59cb6d1f02d789f8bcd9a6b5f19ed548fe12c26a76ca",
            // As after a point release: it lies in the main archive now.
            debian_package("mmdebstrap", "1.3.5-7", "bookworm-security", "all"),
        ),
    ]
}

fn open(root: &Path) -> Store {
    Store::open(root, Progress::new(ProgressMode::Lines)).unwrap()
}

fn fetch(root: &Path, options: FetchOptions) -> Vec<Fetched> {
    let store = open(root);
    Fetcher::new(&store, options)
        .fetch_all(&inputs())
        .unwrap_or_else(|error| {
            panic!(
                "{error}\n{:?}\n{:?}",
                std::error::Error::source(&error).map(ToString::to_string),
                error.hint()
            )
        })
}

#[test]
fn registries_give_what_is_pinned_and_the_store_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let first = fetch(dir.path(), FetchOptions::default());
    assert_eq!(
        first
            .iter()
            .map(|one| one.name.as_str())
            .collect::<Vec<_>>(),
        ["six", "zlib", "bzip2", "mmdebstrap"]
    );
    assert!(
        first
            .iter()
            .all(|one| matches!(one.source, Source::Origin(_)) && !one.fallback)
    );
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("partial")).unwrap().count(), 0);

    let offline = FetchOptions {
        offline: true,
        ..FetchOptions::default()
    };
    let second = fetch(dir.path(), offline.clone());
    assert!(second.iter().all(|one| one.source == Source::Store));

    // The store's own blobs are a mirror for another machine.
    let elsewhere = tempfile::tempdir().unwrap();
    let third = fetch(
        elsewhere.path(),
        FetchOptions {
            mirrors: vec![dir.path().to_owned()],
            ..offline
        },
    );
    assert!(
        third
            .iter()
            .all(|one| matches!(one.source, Source::Mirror(_)))
    );
}

#[test]
fn other_bytes_than_those_pinned_are_named_and_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let pinned = Digest::of(b"other bytes");
    let wanted: Vec<Input> = inputs()
        .into_iter()
        .map(|mut input| {
            input.artifacts[0].sha256 = pinned;
            input
        })
        .collect();
    let error = Fetcher::new(&store, FetchOptions::default())
        .fetch_all(&wanted)
        .map(drop)
        .unwrap_err();
    let said = std::error::Error::source(&error).unwrap().to_string();
    for input in inputs() {
        let got = format!("expected {pinned}, got {}", input.artifacts[0].sha256);
        let line = said
            .lines()
            .find(|line| line.starts_with(&format!("{}: ", input.name)));
        assert!(
            line.is_some_and(|line| line.ends_with(&got)),
            "{}: {said}",
            input.name
        );
        assert_eq!(store.blob(&input.artifacts[0].sha256).unwrap(), None);
    }
    assert_eq!(store.blob(&pinned).unwrap(), None);
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with("somebody serves other bytes of six than the lock pins"),
        "{hint}"
    );
}

#[test]
fn a_package_that_the_archives_dropped_is_said_to_be_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut gone = inputs().pop().unwrap();
    if let Origin::DebianPackage { version, .. } = &mut gone.artifacts[0].origins[0] {
        "0.1-1".clone_into(version);
    }
    let error = Fetcher::new(&store, FetchOptions::default())
        .fetch_all(&[gone])
        .map(drop)
        .unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with("archives drop what was replaced"),
        "{hint}"
    );
}

/// A real registry, stopped when dropped.
struct DockerRegistry {
    process: Child,
    address: String,
    dir: tempfile::TempDir,
}

impl DockerRegistry {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let root = dir.path().join("registry");
        let configuration = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n",
            root.display()
        );
        let file = dir.path().join("c.yml");
        fs::write(&file, configuration).unwrap();
        let process = command("docker-registry")
            .arg("serve")
            .arg(file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if std::net::TcpStream::connect(&address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            process,
            address,
            dir,
        }
    }

    /// Pushes a layout made by hand with skopeo; returns the digest that skopeo reports.
    fn push(&self, layout: &Path, name: &str, format: &str) -> Digest {
        let digest = self.dir.path().join("digest");
        let output = command("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--quiet",
                "--dest-tls-verify=false",
                "--format",
                format,
                "--digestfile",
            ])
            .arg(&digest)
            .arg(format!("oci:{}:1", layout.display()))
            .arg(format!("docker://{}/{name}:1", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        fs::read_to_string(digest).unwrap().trim().parse().unwrap()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests look at the program from outside"
)]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// An OCI layout with one image of two layers, tagged `1`.
fn write_layout(layout: &Path) {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{}}}"#,
            bytes.len()
        )
    };
    let tars = ["etc/os-release", "etc/passwd"].map(|name| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(name.len() as u64);
        tar.append_data(&mut header, name, name.as_bytes()).unwrap();
        tar.into_inner().unwrap()
    });
    let diff_ids = tars
        .each_ref()
        .map(|tar| format!(r#""{}""#, Digest::of(tar)))
        .join(",");
    let layers = tars.map(|tar| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        blob("layer.v1.tar+gzip", &gzip.finish().unwrap())
    });
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}}}}"#
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        blob("config.v1+json", config.as_bytes()),
        layers.join(",")
    );
    let manifest = blob("manifest.v1+json", manifest.as_bytes());
    let tagged = format!(
        r#"{},"annotations":{{"org.opencontainers.image.ref.name":"1"}}}}"#,
        &manifest[..manifest.len() - 1]
    );
    fs::write(
        layout.join("index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{tagged}]}}"#),
    )
    .unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}

#[test]
fn an_image_comes_from_a_real_registry_and_stays() {
    let registry = DockerRegistry::start();
    let layout = registry.dir.path().join("layout");
    write_layout(&layout);
    let base = |name: &str, format: &str| {
        let digest = registry.push(&layout, name, format);
        let origin = Origin::Oci {
            reference: format!("{}/{name}@{digest}", registry.address),
            arch: Arch::Amd64,
        };
        input(name, "1", &digest.hex(), origin)
    };
    let inputs = [base("team/oci", "oci"), base("team/docker", "v2s2")];
    assert_ne!(inputs[0].artifacts[0].sha256, inputs[1].artifacts[0].sha256);
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fetch = |options: FetchOptions| Fetcher::new(&store, options).fetch_all(&inputs);
    let offline = FetchOptions {
        offline: true,
        ..FetchOptions::default()
    };
    fetch(offline.clone()).unwrap_err();
    for fetched in fetch(FetchOptions::default()).unwrap() {
        let manifest = Manifest::parse(&fs::read(&fetched.path).unwrap()).unwrap();
        assert_eq!(manifest.layers.len(), 2);
        assert!(
            manifest
                .blobs()
                .all(|blob| store.blob(&blob.digest).unwrap().is_some())
        );
    }
    let fetched = fetch(offline.clone()).unwrap();
    assert!(fetched.iter().all(|one| one.source == Source::Store));

    // Without one of its layers, an image is not there.
    let manifest = Manifest::parse(&fs::read(&fetched[0].path).unwrap()).unwrap();
    fs::remove_file(store.blob(&manifest.layers[1].digest).unwrap().unwrap()).unwrap();
    fetch(offline).unwrap_err();
    assert!(matches!(
        fetch(FetchOptions::default()).unwrap()[0].source,
        Source::Origin(_)
    ));

    let nothing = input(
        "nothing",
        "1",
        &Digest::of(b"").hex(),
        Origin::Oci {
            reference: format!("{}/no/such", registry.address),
            arch: Arch::Amd64,
        },
    );
    let error = Fetcher::new(&store, FetchOptions::default())
        .fetch(&nothing)
        .unwrap_err();
    let tried = std::error::Error::source(&error).unwrap().to_string();
    assert!(tried.contains("404 Not Found (MANIFEST_UNKNOWN"), "{tried}");
}
