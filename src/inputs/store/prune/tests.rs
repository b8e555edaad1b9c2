//! What goes and what stays; and what a check of everything finds.

use std::time::SystemTime;

use serde_json::json;

use super::*;
use crate::inputs::{Progress, ProgressMode};

fn open(root: &Path) -> Store {
    Store::open(root, Progress::kept(ProgressMode::Quiet).0).unwrap()
}

/// Makes everything in the store look as if it had last been used so long ago.
fn age(root: &Path, days: u64) {
    let then = SystemTime::UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(days * 24 * 3600);
    let then = SystemTime::UNIX_EPOCH + then;
    for folder in ["blobs/sha256", "steps", "unpacked", "partial"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let file = fs::File::open(entry.unwrap().path()).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}

fn removed(pruned: &Pruned) -> Vec<String> {
    let path = |entry: &Entry| entry.path.display().to_string();
    pruned.removed.iter().map(path).collect()
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[test]
fn by_age_and_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (old, _) = store.insert_bytes(b"old").unwrap();
    store
        .directory("zig-1", |path| {
            Ok::<(), crate::inputs::StoreError>(fs::write(path.join("file"), "1234")?)
        })
        .unwrap();
    age(dir.path(), 40);
    let (new, _) = store.insert_bytes(b"newer").unwrap();
    drop(store);
    let by_age = |days: u64, dry_run| Policy {
        older_than: Some(Duration::from_secs(days * 24 * 3600)),
        dry_run,
        ..Policy::default()
    };
    let store = open(dir.path());
    assert!(store.prune(&Policy::default()).unwrap().removed.is_empty());
    assert!(store.prune(&by_age(50, false)).unwrap().removed.is_empty());
    let both = [blob(&old), "unpacked/zig-1".to_owned()];
    assert_eq!(removed(&store.prune(&by_age(30, true)).unwrap()), both);
    assert!(dir.path().join("unpacked/zig-1").exists());
    let by_size = Policy {
        max_bytes: Some(9),
        ..Policy::default()
    };
    let pruned = store.prune(&by_size).unwrap();
    assert_eq!((removed(&pruned), pruned.left), (vec![blob(&old)], 9));
    assert_eq!(
        removed(&store.prune(&by_age(30, false)).unwrap()),
        both[1..]
    );
    let left: Vec<_> = fs::read_dir(dir.path().join("unpacked")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(store.blob(&new).unwrap().is_some());
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_nothing_leads_to() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = |bytes: &[u8]| store.insert_bytes(bytes).unwrap().0;
    let (output, layer, config, stray) = (put(b"out"), put(b"layer"), put(b"{}"), put(b"stray"));
    let gone = Digest::of(b"gone");
    let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
    store.record_step(&key, &json!({"digest": output})).unwrap();
    store.record_step(&other, &json!([gone])).unwrap();
    let descriptor = |digest: &Digest, kind: &str| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": 5});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor(&config, "config.v1+json"),
        "layers": [descriptor(&layer, "layer.v1.tar+gzip")],
    });
    let manifest = put(manifest.to_string().as_bytes());
    fs::write(dir.path().join("blobs/sha256/.tmpAbC"), "half").unwrap();
    fs::write(dir.path().join("partial/x"), "half").unwrap();
    drop(store);
    age(dir.path(), 1);
    let store = open(dir.path());
    let policy = Policy {
        not_reached_from: Some([manifest].into()),
        ..Policy::default()
    };
    let mut expected = [
        "blobs/sha256/.tmpAbC".to_owned(),
        blob(&stray),
        "partial/x".to_owned(),
        format!("steps/{}.json", other.hex()),
    ];
    expected.sort();
    assert_eq!(removed(&store.prune(&policy).unwrap()), expected);
    for digest in [output, layer, config, manifest] {
        assert!(store.blob(&digest).unwrap().is_some());
    }
}

#[test]
fn what_a_living_process_uses_stays() {
    let dir = tempfile::tempdir().unwrap();
    let digests =
        [&b"used"[..], b"idle"].map(|bytes| open(dir.path()).insert_bytes(bytes).unwrap().0);
    // Nobody notes the use of this.
    let unnoted = dir.path().join("blobs/sha256/strange");
    fs::write(&unnoted, "bytes").unwrap();
    age(dir.path(), 40);
    let everything = Policy {
        max_bytes: Some(0),
        ..Policy::default()
    };
    let living = open(dir.path());
    let path = living.blob(&digests[0]).unwrap().unwrap();
    let folder = living
        .directory("zig-1", |path| {
            Ok::<(), crate::inputs::StoreError>(fs::write(path.join("file"), "1")?)
        })
        .unwrap();
    let pruned = open(dir.path()).prune(&everything).unwrap();
    assert_eq!(removed(&pruned), [blob(&digests[1])]);
    assert_eq!(pruned.in_use.len(), 3);
    assert!(path.exists() && folder.exists() && unnoted.exists());
    drop(living);
    let pruned = open(dir.path()).prune(&everything).unwrap();
    assert_eq!((pruned.in_use.len(), pruned.left), (0, 0));
    assert!(!path.exists() && !folder.exists() && !unnoted.exists());
}

#[test]
fn everything_is_read_and_what_is_damaged_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (flipped, path) = store.insert_bytes(b"abc").unwrap();
    fs::write(&path, "abd").unwrap();
    let (cut, path) = store.insert_bytes(b"abcdef").unwrap();
    fs::write(&path, "abc").unwrap();
    let (good, _) = store.insert_bytes(b"good").unwrap();
    let key = Digest::of(b"key");
    store.record_step(&key, &good).unwrap();
    let record = format!("steps/{}.json", key.hex());
    fs::write(dir.path().join(&record), "[").unwrap();
    for name in ["whole", "changed", "more", "less"] {
        let fill =
            |path: &Path| Ok::<(), crate::inputs::StoreError>(fs::write(path.join("file"), "1")?);
        store.directory(name, fill).unwrap();
    }
    let unpacked = dir.path().join("unpacked");
    fs::write(unpacked.join("changed/file"), "2").unwrap();
    fs::write(unpacked.join("more/other"), "").unwrap();
    fs::remove_file(unpacked.join("less/file")).unwrap();
    let (read, damages) = store.verify().unwrap();
    let mut found: Vec<String> = damages
        .iter()
        .map(|damage| damage.entry.path.display().to_string())
        .collect();
    let mut expected = vec![blob(&flipped), blob(&cut), record];
    expected.extend(["changed", "more", "less"].map(|name| format!("unpacked/{name}")));
    found.sort();
    expected.sort();
    assert_eq!((read, found), (8, expected));
    let (read, damages) = store.verify().unwrap();
    assert_eq!((read, damages.len()), (2, 0));
    let made = store.directory("less", |_| Ok::<(), crate::inputs::StoreError>(()));
    assert!(made.is_ok());
}
