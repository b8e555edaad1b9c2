//! One image in every place it can be, and each place damaged.

use std::io::Write;

use super::*;
use crate::entry::Entry;
use crate::gzip::GzipWriter;
use crate::registry::faulty::{Answer, Request, Server};
use crate::registry::{Http, HttpOptions};
use crate::{
    Epoch, Image, ImageBuilder, LayerWriter, Platform as Machine, RunConfig, Tree, write_tarball,
};

fn image(dir: &Path, architecture: &str) -> Image {
    let writer = LayerWriter::new(dir, Epoch::default(), 1);
    let mut builder = ImageBuilder::new(Machine::linux(architecture), Epoch::default());
    for name in ["lower", "upper"] {
        let mut tree = Tree::new();
        let text = format!("{name} {architecture}");
        tree.insert(name.parse().unwrap(), Entry::file(text, 0o644))
            .unwrap();
        builder = builder.layer(writer.write(&tree).unwrap(), name);
    }
    builder.run(RunConfig::default()).build().unwrap()
}

fn open_with<'h>(
    text: &str,
    scratch: &Path,
    connect: &dyn Fn(&Reference) -> Result<Registry<'h>, PullError>,
) -> Result<ImageSource<'h>, SourceError> {
    let location = Location::parse(text, None).unwrap();
    ImageSource::open(&location, &Access { scratch, connect })
}

fn open(text: impl AsRef<str>, scratch: &Path) -> Result<ImageSource<'static>, SourceError> {
    open_with(text.as_ref(), scratch, &|_| panic!("no registry is asked"))
}

/// Reads everything that the image has.
fn read(source: &ImageSource) -> Result<SourceImage, SourceError> {
    let image = source.image(None)?;
    for layer in &image.manifest.layers {
        let mut bytes = Vec::new();
        let read = source.blob(layer)?.read_to_end(&mut bytes);
        read.map_err(|e| SourceError::io("read", Path::new("layer"), e))?;
        assert_eq!(Digest::of(&bytes), layer.digest);
    }
    Ok(image)
}

/// Adds an image to a layout that has one.
fn add(layout: &Path, image: &Image, name: &str) {
    let other = layout.with_extension("other");
    Layout::write(&other, image, name).unwrap();
    let document = |dir: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs_err::read(dir.join("index.json")).unwrap()).unwrap()
    };
    let mut index = document(layout);
    let entry = document(&other)["manifests"][0].take();
    index["manifests"].as_array_mut().unwrap().push(entry);
    fs_err::write(layout.join("index.json"), index.to_string()).unwrap();
    for blob in fs_err::read_dir(other.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let to = layout.join("blobs/sha256").join(blob.file_name());
        fs_err::copy(blob.path(), to).unwrap();
    }
}

#[test]
fn a_layout_and_both_kinds_of_archive_hold_the_same_image() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), "amd64");
    let (layout, tar) = (dir.path().join("layout"), dir.path().join("image.tar"));
    Layout::write(&layout, &image, "a").unwrap();
    write_tarball(&tar, &image, "team/a:1").unwrap();
    let gzipped = dir.path().join("image.tgz");
    let mut gzip = GzipWriter::new(Vec::new(), 1).unwrap();
    gzip.write_all(&fs_err::read(&tar).unwrap()).unwrap();
    fs_err::write(&gzipped, gzip.finish().unwrap()).unwrap();

    let [layout, tar, gzipped] = [layout, tar, gzipped].map(|path| path.display().to_string());
    for text in [
        layout.clone(),
        format!("{layout}:a"),
        format!("oci:{layout}@{}", image.manifest_digest()),
        tar.clone(),
        format!("{tar}:team/a:1"),
        format!("{tar}:docker.io/team/a:1"),
        gzipped,
    ] {
        let source = open(&text, dir.path()).expect(&text);
        let found = read(&source).expect(&text);
        assert_eq!(found.manifest_bytes, image.manifest(), "{text}");
        assert_eq!(found.config_bytes, image.config(), "{text}");
        assert_eq!(found.digest(), image.manifest_digest(), "{text}");
        let layer = &found.manifest.layers[1];
        let mut rest = Vec::new();
        let file = source.blob_file(layer).unwrap();
        file.open(10).unwrap().read_to_end(&mut rest).unwrap();
        let whole = fs_err::read(image.layers()[1].path()).unwrap();
        assert_eq!(rest, whole[10..], "{text}");
    }
    for (text, message) in [
        (
            format!("{layout}:b"),
            "not exactly one image :b; there are a",
        ),
        (format!("{tar}:b"), "there are"),
        (format!("oci-archive:{layout}"), "holds no image"),
        (format!("oci:{tar}"), "holds no image"),
        (format!("{}/blobs", layout), "is no OCI layout"),
        (format!("{layout}@{}", Digest::of(b"?")), "is missing"),
        (format!("{layout}/index.json"), "cannot read the archive"),
    ] {
        let error = open(&text, dir.path()).err().expect(&text);
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert!(error.hint().is_some(), "{text}: {error:?}");
    }
}

#[test]
fn a_layout_of_several_images_is_their_index() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let [amd64, arm64] = ["amd64", "arm64"].map(|name| image(dir.path(), name));
    Layout::write(&layout, &amd64, "3.13-amd64").unwrap();
    add(&layout, &arm64, "3.13-arm64");
    let source = open(layout.display().to_string(), dir.path()).unwrap();
    assert_eq!(source.top().media_type, media_type::INDEX);
    let wanted = Platform {
        os: "linux".to_owned(),
        architecture: "arm64".to_owned(),
        variant: None,
    };
    let found = source.image(Some(&wanted)).unwrap();
    assert_eq!(found.digest(), arm64.manifest_digest());
    let error = source.image(None).unwrap_err().to_string();
    assert!(
        error.contains("only for linux/amd64, linux/arm64"),
        "{error}"
    );
    let other = Platform {
        architecture: "riscv64".to_owned(),
        ..wanted.clone()
    };
    let error = source.image(Some(&other)).unwrap_err().to_string();
    assert!(error.contains("no image for linux/riscv64"), "{error}");
    let named = open(format!("{}:3.13-amd64", layout.display()), dir.path()).unwrap();
    assert_eq!(read(&named).unwrap().digest(), amd64.manifest_digest());
    let error = named.image(Some(&wanted)).unwrap_err().to_string();
    assert!(error.contains("only for linux/amd64"), "{error}");
}

#[test]
fn damage_is_noticed_in_every_blob() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), "amd64");
    let layout = dir.path().join("layout");
    let blobs = [
        image.manifest_digest().0,
        image.config_digest().0,
        image.layers()[1].digest().0,
    ];
    for blob in blobs {
        for damage in [
            (|bytes: &mut Vec<u8>| bytes[20] ^= 1) as fn(&mut Vec<u8>),
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| bytes.push(0),
        ] {
            fs_err::remove_dir_all(&layout).ok();
            Layout::write(&layout, &image, "a").unwrap();
            let path = layout.join("blobs/sha256").join(blob.hex());
            let mut bytes = fs_err::read(&path).unwrap();
            damage(&mut bytes);
            fs_err::write(&path, bytes).unwrap();
            let source = open(layout.display().to_string(), dir.path()).unwrap();
            assert!(read(&source).is_err(), "{blob}");
        }
    }
}

/// Serves an image as `team/a:1`, and its layers spoilt on demand.
fn serve(image: &Image, spoil: bool) -> Server {
    let mut blobs = vec![(image.config_digest().0, image.config().to_vec())];
    for layer in image.layers() {
        let mut bytes = fs_err::read(layer.path()).unwrap();
        bytes[20] ^= u8::from(spoil);
        blobs.push((layer.digest().0, bytes));
    }
    let (digest, manifest) = (image.manifest_digest(), image.manifest().to_vec());
    Server::start(move |request: &Request| {
        let path = request.path.strip_prefix("/v2/team/a/").unwrap_or_default();
        if path == "manifests/1" || path == format!("manifests/{digest}") {
            return Answer::ok(&manifest).header("Content-Type", media_type::MANIFEST);
        }
        let blob = blobs.iter().find(|(d, _)| path == format!("blobs/{d}"));
        blob.map_or(Answer::status(404), |(_, bytes)| Answer::ok(bytes))
    })
}

#[test]
fn a_registry_is_read_blob_by_blob() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), "amd64");
    let http = Http::new(HttpOptions::default());
    let connect = |reference: &Reference| Registry::new(&http, reference.clone());
    let server = serve(&image, false);
    let name = format!("{}/team/a:1", server.address());
    let source = open_with(&name, dir.path(), &connect).unwrap();
    assert_eq!(server.requests().len(), 1, "no blob before it is needed");
    let found = read(&source).unwrap();
    assert_eq!(found.manifest_bytes, image.manifest());
    read(&source).unwrap();
    assert_eq!(server.requests().len(), 4, "each blob once");

    let server = serve(&image, true);
    let name = format!("{}/team/a:1", server.address());
    let source = open_with(&name, dir.path(), &connect).unwrap();
    assert!(read(&source).is_err());

    let name = format!("{}/team/a:2", server.address());
    let error = open_with(&name, dir.path(), &connect).err().unwrap();
    assert!(error.to_string().contains("404"), "{error}");
}

#[test]
fn layers_kept_elsewhere_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path(), "amd64");
    let layout = dir.path().join("layout");
    Layout::write(&layout, &image, "a").unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(image.manifest()).unwrap();
    manifest["layers"][0]["urls"] = serde_json::json!(["http://169.254.169.254/"]);
    let bytes = manifest.to_string();
    let digest = Digest::of(bytes.as_bytes());
    fs_err::write(layout.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
    let source = open(format!("{}@{digest}", layout.display()), dir.path()).unwrap();
    let error = source.image(None).unwrap_err();
    assert!(error.to_string().contains("not followed"), "{error}");
}
