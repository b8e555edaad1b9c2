//! The promises of the targets for layers, on random ones: what `make fuzz` looks for longer.

use proptest::collection::vec;
use proptest::prelude::*;

use super::script;
use crate::entry::{Entry, Kind};
use crate::layer::LayerWriter;
use crate::tree::Tree;
use crate::{Epoch, ImagePath, layer_tree};

/// Each entry, and the bytes of each file.
fn contents(tree: &Tree) -> Vec<(ImagePath, String, Vec<u8>)> {
    tree.iter()
        .map(|(path, entry)| {
            let bytes = match &entry.kind {
                Kind::File(content) => content.read(1 << 20).expect("it can be read"),
                _ => Vec::new(),
            };
            (path.clone(), line(entry), bytes)
        })
        .collect()
}

fn line(entry: &Entry) -> String {
    let Entry {
        kind,
        mode,
        uid,
        gid,
        mtime: _,
        xattrs,
    } = entry;
    let kind = match kind {
        Kind::File(_) => "a file".to_owned(),
        kind => format!("{kind:?}"),
    };
    format!("{kind} {mode:o} {uid} {gid} {xattrs:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(50_000) })]

    #[test]
    fn layers_merge_as_the_naive_model_says(bytes in vec(any::<u8>(), 0..200)) {
        super::merge(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_tree_as_a_layer_on_nothing_is_the_same_tree(bytes in vec(any::<u8>(), 0..200), threads in 1..3usize) {
        let dir = tempfile::tempdir().unwrap();
        for mut tree in script::layers(&bytes) {
            if tree.dereference_hardlinks().is_err() {
                continue;
            }
            let layer = LayerWriter::new(dir.path(), Epoch::default(), threads).write(&tree).unwrap();
            let read = layer_tree(&layer, &dir.path().join("scratch")).unwrap();
            prop_assert_eq!(contents(&read), contents(&tree));
            prop_assert!(read.whiteouts().eq(tree.whiteouts()));
            let merged = Tree::new().with_layer(read).unwrap();
            prop_assert_eq!(contents(&merged), contents(&tree));
        }
    }
}
