//! What a store must survive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::super::ProgressMode;
use super::*;

fn open(root: &Path) -> (Store, Arc<Mutex<Vec<String>>>) {
    let (progress, lines) = Progress::kept(ProgressMode::Lines);
    (Store::open(root, progress).unwrap(), lines)
}

fn count(root: &Path, folder: &str) -> usize {
    fs::read_dir(root.join(folder)).unwrap().count()
}

#[test]
fn bytes_become_a_file_named_by_their_digest() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (digest, path) = store.insert_bytes(b"abc").unwrap();
    assert_eq!(digest, Digest::of(b"abc"));
    assert_eq!(path, dir.path().join("blobs/sha256").join(digest.hex()));
    assert_eq!(
        fs::read(store.blob(&digest).unwrap().unwrap()).unwrap(),
        b"abc"
    );
    assert_eq!(store.blob(&Digest::of(b"other")).unwrap(), None);
    assert_eq!(store.insert_file(&path).unwrap(), (digest, path));
    drop(store.writer().unwrap());
    assert!(matches!(
        store.writer().unwrap().finish_as(&digest),
        Err(StoreError::Mismatch { .. })
    ));
    assert_eq!(
        (count(dir.path(), "tmp"), count(dir.path(), "blobs/sha256")),
        (0, 1)
    );
}

#[test]
fn damage_is_found_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    for damage in [&b"abd"[..], b"ab", b""] {
        let (digest, path) = open(dir.path()).0.insert_bytes(b"abc").unwrap();
        fs::write(&path, damage).unwrap();
        let (store, lines) = open(dir.path());
        assert_eq!(store.blob(&digest).unwrap(), None);
        assert!(lines.lock().unwrap()[0].contains("is damaged"), "{lines:?}");
        assert!(!path.exists());
    }
}

#[test]
fn steps_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (store, lines) = open(dir.path());
    let key = Digest::of(b"key");
    assert_eq!(store.step_output::<Vec<u32>>(&key).unwrap(), None);
    store.record_step(&key, &[1, 2]).unwrap();
    assert_eq!(
        store.step_output::<Vec<u32>>(&key).unwrap(),
        Some(vec![1, 2])
    );
    fs::write(store.record_path("steps", &key), "[1,").unwrap();
    assert_eq!(store.step_output::<Vec<u32>>(&key).unwrap(), None);
    assert!(lines.lock().unwrap()[0].contains("is damaged"));
}

#[test]
fn a_folder_is_made_once_by_many() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let made = AtomicUsize::new(0);
    let make = |path: &Path| {
        made.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        Ok::<(), StoreError>(fs::write(path.join("file"), "x")?)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let path = store.directory("zig-1", make).unwrap();
                assert_eq!(fs::read(path.join("file")).unwrap(), b"x");
            });
        }
    });
    assert_eq!(
        (made.load(Ordering::SeqCst), count(dir.path(), "tmp")),
        (1, 0)
    );
}

#[test]
fn a_folder_without_its_marker_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let make = |text: &'static str| {
        move |path: &Path| Ok::<(), StoreError>(fs::write(path.join("file"), text)?)
    };
    let path = store.directory("zig-1", make("old")).unwrap();
    fs::remove_file(dir.path().join("unpacked/zig-1.complete")).unwrap();
    store.directory("zig-1", make("new")).unwrap();
    assert_eq!(fs::read(path.join("file")).unwrap(), b"new");
    let failed = store.directory("bad", |_| Err::<(), _>(StoreError::Name("x".into())));
    assert!(failed.is_err());
    assert!(!dir.path().join("unpacked/bad").exists());
}

#[test]
fn names_stay_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "/a",
        "a\0",
        ".gate",
        "x.complete",
        &"a".repeat(201),
    ] {
        assert!(
            matches!(store.lock(name), Err(StoreError::Name(_))),
            "{name:?}"
        );
        assert!(
            store.directory(name, |_| Ok::<(), StoreError>(())).is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn only_the_dead_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mine = store.temporary().unwrap();
    let writer = store.writer().unwrap();
    fs::create_dir_all(dir.path().join("tmp/dead/inside")).unwrap();
    fs::write(dir.path().join("tmp/dead-file"), "x").unwrap();
    let (_other, _) = open(dir.path());
    assert!(mine.path().is_dir());
    assert_eq!(count(dir.path(), "tmp"), 2);
    drop((mine, writer));
    assert_eq!(count(dir.path(), "tmp"), 0);
}

#[test]
fn old_transfers_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path());
    let (old, new) = (
        dir.path().join("partial/old"),
        dir.path().join("partial/new"),
    );
    fs::write(&new, "x").unwrap();
    let file = fs::File::create(&old).unwrap();
    file.set_modified(
        file.metadata().unwrap().modified().unwrap() - PARTIAL_AGE - Duration::from_secs(60),
    )
    .unwrap();
    open(dir.path());
    assert_eq!((old.exists(), new.exists()), (false, true));
}

#[test]
fn a_blob_is_downloaded_once_and_waiting_is_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = open(dir.path());
    let (second, lines) = open(dir.path());
    let digest = Digest::of(b"abc");
    let (started, downloads) = (std::sync::Barrier::new(2), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            first.obtain(&digest, |part| {
                started.wait();
                std::thread::sleep(Duration::from_millis(1500));
                downloads.fetch_add(1, Ordering::SeqCst);
                Ok::<(), StoreError>(fs::write(part, "abc")?)
            })
        });
        started.wait();
        second
            .obtain(&digest, |_| -> Result<(), StoreError> {
                panic!("downloaded twice")
            })
            .unwrap();
    });
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
    assert_eq!(
        *lines.lock().unwrap(),
        [format!(
            "waiting for blob-{}, which is in use",
            digest.hex()
        )]
    );
}

#[test]
fn a_broken_download_leaves_its_part_and_a_wrong_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let digest = Digest::of(b"abc");
    let broken = store.obtain(&digest, |part| {
        fs::write(part, "ab")?;
        Err::<(), StoreError>(io::Error::other("broke").into())
    });
    assert!(broken.is_err());
    let other = Digest::of(b"other");
    let never = store.obtain(&other, |part| {
        fs::write(part, "")?;
        Err::<(), StoreError>(io::Error::other("broke").into())
    });
    assert!(never.is_err());
    assert_eq!(count(dir.path(), "partial"), 1);
    let wrong = store.obtain(&digest, |part| {
        assert_eq!(fs::read(part)?, b"ab");
        Ok::<(), StoreError>(fs::write(part, "abd")?)
    });
    assert!(matches!(wrong, Err(StoreError::Mismatch { .. })));
    assert_eq!(
        (
            count(dir.path(), "partial"),
            count(dir.path(), "blobs/sha256")
        ),
        (0, 0)
    );
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let root = file.join("store");
    let (progress, _) = Progress::kept(ProgressMode::Quiet);
    let error = Store::open(&root, progress).err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot use the store in {}", root.display())
    );
    assert!(error.hint().unwrap().contains("--cache-dir"));
    let full = StoreError::from(io::Error::from(io::ErrorKind::StorageFull));
    assert!(full.hint().unwrap().contains("the disk is full"));
}
