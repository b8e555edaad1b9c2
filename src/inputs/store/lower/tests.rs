//! Reading from somebody else's store.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use super::super::Store;
use super::*;
use crate::inputs::{ProgressMode, StoreError};

fn over(own: &Path, lower: &Path) -> (Store, Arc<Mutex<Vec<String>>>) {
    let (progress, lines) = Progress::kept(ProgressMode::Lines);
    (Store::open(own, progress).unwrap().over(Some(lower)), lines)
}

/// Everything that writing would change.
fn state(folder: &Path) -> Vec<(PathBuf, i64, i64, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        if metadata.is_dir() {
            found.extend(state(&path));
        }
        found.push((path, changed.0, changed.1, metadata.len()));
    }
    found.sort();
    found
}

#[test]
fn what_is_whole_there_is_used_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (own, lower) = (dir.path().join("own"), dir.path().join("lower"));
    let (progress, _) = Progress::kept(ProgressMode::Quiet);
    let shared = Store::open(&lower, progress).unwrap();
    let put = |bytes: &[u8]| shared.insert_bytes(bytes).unwrap();
    let ((good, _), (flipped, path), (cut, short)) = (put(b"good"), put(b"flip"), put(b"cut off"));
    fs::write(path, "flop").unwrap();
    fs::write(short, "cut").unwrap();
    let (key, broken) = (Digest::of(b"key"), Digest::of(b"broken"));
    shared.record_step(&key, &good).unwrap();
    shared.record_step(&broken, &good).unwrap();
    fs::write(lower.join(format!("steps/{}.json", broken.hex())), "\"sha").unwrap();
    shared
        .directory("zig-1", |_| Ok::<(), StoreError>(()))
        .unwrap();
    drop(shared);
    let before = state(&lower);

    let (store, lines) = over(&own, &lower);
    assert_eq!(store.blob(&good).unwrap(), Some(blob_path(&lower, &good)));
    for damaged in [&flipped, &cut] {
        assert_eq!(store.blob(damaged).unwrap(), None);
        assert_eq!(store.blob(damaged).unwrap(), None);
    }
    assert_eq!(store.blob(&Digest::of(b"missing")).unwrap(), None);
    assert_eq!(store.step_output(&key).unwrap(), Some(good));
    assert_eq!(store.step_output::<Digest>(&broken).unwrap(), None);
    let made = |_: &Path| -> Result<(), StoreError> { panic!("made again") };
    assert!(store.directory("zig-1", made).unwrap().starts_with(&lower));
    let said = lines.lock().unwrap().clone();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|line| line.contains("is damaged")
        && line.ends_with("passed over")
        && line.contains(lower.to_str().unwrap())));
    let whole = store.obtain(&flipped, |part| {
        Ok::<(), StoreError>(fs::write(part, "flip")?)
    });
    assert!(whole.unwrap().starts_with(&own));
    store.prune(&Default::default()).unwrap();
    store.verify().unwrap();
    drop(store);
    assert_eq!(state(&lower), before);
}

#[test]
fn one_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (store, lines) = over(&dir.path().join("own"), &dir.path().join("nowhere"));
    assert_eq!(store.blob(&Digest::of(b"a")).unwrap(), None);
    assert!(lines.lock().unwrap()[0].contains("there is no store in"));
}
