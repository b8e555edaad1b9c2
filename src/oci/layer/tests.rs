use super::*;
use crate::gzip::tests::sample;
use crate::{Entry, ImagePath};

fn path(text: &str) -> ImagePath {
    text.parse().unwrap()
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.insert(
        path("var/lang/bin/python"),
        Entry::file(sample(1_500_000), 0o755),
    )
    .unwrap();
    tree.insert(path("var/lang/bin/python3"), Entry::symlink("python"))
        .unwrap();
    tree
}

fn write(dir: &Path, threads: usize) -> Layer {
    LayerWriter::new(dir, Epoch::default(), threads)
        .write(&tree())
        .unwrap()
}

#[test]
fn a_layer_is_a_blob_under_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("not/there/yet");
    let layer = write(&blobs, 2);
    let bytes = fs_err::read(layer.path()).unwrap();
    assert_eq!(LayerDigest(Digest::of(&bytes)), layer.digest());
    assert_eq!(bytes.len() as u64, layer.size());
    assert_eq!(layer.path(), blobs.join(layer.digest().0.hex()));
    assert_eq!(fs_err::read_dir(&blobs).unwrap().count(), 1);
    let again = Layer::from_blob(
        layer.path(),
        layer.digest(),
        layer.size(),
        layer.media_type(),
    );
    assert_eq!(again.unwrap(), layer);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(write(other.path(), 1).digest(), layer.digest());
}

#[test]
fn the_tar_comes_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let layer = write(dir.path(), 2);
    let tar = dir.path().join("layer.tar");
    layer.unpack_to(&tar).unwrap();
    assert_eq!(
        DiffId(Digest::of(&fs_err::read(&tar).unwrap())),
        layer.diff_id()
    );
    assert_eq!(Tree::from_tar(&tar).unwrap().listing(), tree().listing());
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = tree();
    tree.insert(path(".wh.x"), Entry::file("", 0o644)).unwrap();
    let error = LayerWriter::new(dir.path(), Epoch::default(), 2)
        .write(&tree)
        .unwrap_err();
    assert!(matches!(error, LayerError::Tar(_)), "{error}");
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_unwritable_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, "").unwrap();
    let error = LayerWriter::new(&file, Epoch::default(), 1)
        .write(&Tree::new())
        .unwrap_err();
    assert!(error.to_string().contains("/file"), "{error}");
}

#[test]
fn every_damaged_byte_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = Tree::new();
    small
        .insert(path("f"), Entry::file("content", 0o644))
        .unwrap();
    let layer = LayerWriter::new(dir.path(), Epoch::default(), 1)
        .write(&small)
        .unwrap();
    let good = fs_err::read(layer.path()).unwrap();
    let blob = dir.path().join("damaged");
    let check = || Layer::from_blob(&blob, layer.digest(), layer.size(), media_type::LAYER_GZIP);
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 0x10;
        fs_err::write(&blob, &bad).unwrap();
        let error = check().expect_err("a flipped bit");
        assert!(
            matches!(error, LayerError::Digest { .. }),
            "byte {i}: {error}"
        );
    }
    for len in [0, 5, good.len() - 1] {
        fs_err::write(&blob, &good[..len]).unwrap();
        assert!(
            matches!(check(), Err(LayerError::Digest { .. })),
            "cut to {len}"
        );
    }
    fs_err::write(&blob, [&good[..], b"x"].concat()).unwrap();
    assert!(matches!(check(), Err(LayerError::Digest { .. })));
}

#[test]
fn only_gzip_is_a_layer() {
    let dir = tempfile::tempdir().unwrap();
    let blob = dir.path().join("blob");
    let from = |bytes: &[u8], media_type: &str| {
        fs_err::write(&blob, bytes).unwrap();
        Layer::from_blob(
            &blob,
            LayerDigest(Digest::of(bytes)),
            bytes.len() as u64,
            media_type,
        )
    };
    let gzip = |bytes: &[u8]| {
        let mut writer = GzipWriter::new(Vec::new(), 1).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    for media_type in [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "",
    ] {
        let error = from(&gzip(b"x"), media_type).unwrap_err();
        assert!(matches!(error, LayerError::MediaType { .. }), "{error}");
        assert!(error.hint().is_some());
    }
    for bytes in [
        &b""[..],
        b"plain",
        b"\x28\xb5\x2f\xfd\x04\x00",
        &gzip(b"cut")[..20],
    ] {
        let error = from(bytes, media_type::LAYER_GZIP).unwrap_err();
        assert!(matches!(error, LayerError::NotGzip { .. }), "{error}");
    }
    let trailing = [&gzip(b"a")[..], b"garbage"].concat();
    assert!(from(&trailing, media_type::LAYER_GZIP).is_err());
    // Several members are one file, whoever made them; Docker's type names the same bytes.
    let members = [gzip(b"a"), gzip(b"b")].concat();
    let layer = from(&members, media_type::DOCKER_LAYER_GZIP).unwrap();
    assert_eq!(layer.diff_id(), DiffId(Digest::of(b"ab")));
    assert_eq!(layer.media_type(), media_type::LAYER_GZIP);
}

#[test]
fn a_bomb_stops_early() {
    let dir = tempfile::tempdir().unwrap();
    let blob = dir.path().join("bomb");
    // Many times the same member: 300 MB of zeros in 300 kB.
    let mut writer = GzipWriter::new(Vec::new(), 1).unwrap();
    writer.write_all(&vec![0; 1 << 20]).unwrap();
    let bytes = writer.finish().unwrap().repeat(300);
    fs_err::write(&blob, &bytes).unwrap();
    let digest = LayerDigest(Digest::of(&bytes));
    let error = Layer::from_blob(&blob, digest, bytes.len() as u64, media_type::LAYER_GZIP);
    assert!(matches!(error, Err(LayerError::Bomb { .. })), "{error:?}");
}

/// Every kind of member: both ways of writing a name, an attribute, bits beyond 0777, a file of several gzip blocks.
fn everything() -> Tree {
    let mut tree = tree();
    let long = format!("opt/{}/{}", "directory".repeat(12), "name".repeat(30));
    let mut capable = Entry::file("", 0o4755);
    (capable.uid, capable.gid) = (7, 70_000);
    capable
        .xattrs
        .insert("security.capability".to_owned(), vec![1, 0, 0xab]);
    for (name, entry) in [
        ("usr/bin/ping", capable),
        ("tmp", Entry::dir(0o1777)),
        (&long, Entry::file("far below", 0o644)),
        ("var/large", Entry::file(sample(3_000_017), 0o644)),
        ("var/link", Entry::symlink(format!("/{long}"))),
    ] {
        tree.insert(path(name), entry).unwrap();
    }
    tree.white_out(crate::Whiteout::Path(path("etc/gone")))
        .unwrap();
    tree
}

#[test]
fn the_bytes_are_the_ones_that_digests_are_made_with() {
    let dir = tempfile::tempdir().unwrap();
    for threads in [1, 2, 3, 8] {
        let epoch = Epoch::new(1_700_000_000).unwrap();
        let layer = LayerWriter::new(dir.path(), epoch, threads)
            .write(&everything())
            .unwrap();
        assert_eq!(
            (
                LayerWriter::FORMAT,
                layer.diff_id().to_string(),
                layer.digest().to_string(),
                layer.size()
            ),
            (
                "tar 1, gzip 2",
                "sha256:68885a0892a0d8b1dcd99eaf172d27cbebce8bd9f9764b23c92054236f189a10"
                    .to_owned(),
                "sha256:eb44ed015b23e3fe08aaa1ccbdb0630e6c201d719034d7a857849b401a82c955"
                    .to_owned(),
                992_702
            ),
            "{threads} threads: the encoders changed, and with them the digest of every layer: that needs another FORMAT, and another compat number"
        );
    }
}
