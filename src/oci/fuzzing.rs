//! Every parser of bytes from elsewhere in this crate, as a function of bytes: for `tests/fuzz`, whose seeds are tried
//! here as well. A target panics when its parser does, and when what was parsed breaks a promise.

pub(crate) mod model;
pub(crate) mod script;

use std::path::Path;

use oci_spec::image::{ImageConfiguration, ImageManifest};

use crate::entry::{Content, Entry, Kind};
use crate::image::{ImageBuilder, Platform};
use crate::limits::Limits;
pub use crate::registry::fuzzing::{
    docker_config, index, link, manifest, range, reference, retry_after, www_authenticate,
};
use crate::tar_reader::{Member, Stream, TarReader};
use crate::tar_writer::{Times, write_tar};
pub use crate::validate::fuzzing::elf;
use crate::{Epoch, Tree, validate};

/// A name in `tests/fuzz/fuzz_targets` and `tests/fuzz/seeds`, and what is tried.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("oci_config", config),
    ("oci_docker_config", docker_config),
    ("oci_elf", elf),
    ("oci_index", index),
    ("oci_link", link),
    ("oci_manifest", manifest),
    ("oci_merge", merge),
    ("oci_range", range),
    ("oci_reference", reference),
    ("oci_retry_after", retry_after),
    ("oci_tar", tar),
    ("oci_www_authenticate", www_authenticate),
];

/// Small enough that the fuzzer's own bound on memory means something.
const LIMITS: Limits = Limits {
    entries: 10_000,
    size: 16 << 20,
    ratio: 500,
    metadata: 1 << 20,
};

/// A tar's members, its tree, and the same tree written and read again.
pub fn tar(bytes: &[u8]) {
    let bytes = with_checksums(bytes);
    let members = || TarReader::new(Stream(&*bytes), Path::new("fuzz.tar"), LIMITS);
    for member in members().flatten() {
        if let Member::Entry(_, entry) = member
            && let Kind::File(Content::File { offset, len, .. }) = entry.kind
        {
            assert!(offset + len <= bytes.len().next_multiple_of(512) as u64 + len);
        }
    }
    let Ok(tree) = Tree::from_members(members()) else {
        return;
    };
    check_parents(&tree);
    let Some(mut tree) = in_memory(tree, &bytes) else {
        return;
    };
    if tree.dereference_hardlinks().is_err() {
        return;
    }
    let listing = tree.listing();
    if let Ok(written) = write_tar(&tree, Times::Epoch(Epoch::default()), Vec::new()) {
        let again = TarReader::new(Stream(&*written), Path::new("again.tar"), Limits::default());
        let again = Tree::from_members(again).expect("what is written can be read");
        assert_eq!(again.listing(), listing);
    }
    if let Ok(root) = Tree::new().with_layer(tree) {
        check_parents(&root);
        assert_eq!(root.whiteouts().count(), 0);
    }
}

/// Layers made as the bytes say, on top of each other, against a model that is as simple as it can be.
pub fn merge(bytes: &[u8]) {
    let layers = script::layers(bytes);
    let (mut root, mut model) = (Ok(Tree::new()), Some(model::Root::default()));
    for layer in layers {
        model = model.and_then(|model| model.with_layer(&layer));
        root = root.and_then(|root| root.with_layer(layer));
        assert_eq!(root.is_ok(), model.is_some(), "{root:?}");
    }
    if let (Ok(root), Some(model)) = (root, model) {
        check_parents(&root);
        assert_eq!(model::lines(&root), model.lines());
    }
}

/// A base image's configuration.
pub fn config(bytes: &[u8]) {
    let platform = Platform::linux("amd64");
    let builder = ImageBuilder::new(platform, Epoch::default());
    let _ = builder.base(Vec::new(), bytes).map(ImageBuilder::build);
    if let Ok(config) = ImageConfiguration::from_reader(bytes) {
        let manifest = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;
        let manifest = ImageManifest::from_reader(manifest.as_bytes()).expect("it is a manifest");
        validate::fuzzing::documents(&config, &manifest);
    }
}

/// Checksums set right where the reader will look for them: without it hardly any changed byte would get past them.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + 512) {
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = block[124..136].iter().filter(|b| matches!(b, b'0'..=b'7'));
        let size = digits.fold(0, |size: usize, b| size << 3 | usize::from(b - b'0'));
        at = at
            .saturating_add(512)
            .saturating_add(size.next_multiple_of(512));
    }
    bytes
}

/// The tree with the content of its files taken out of the tar; nothing if the tar ends before.
fn in_memory(tree: Tree, tar: &[u8]) -> Option<Tree> {
    let mut copy = Tree::new();
    for whiteout in tree.whiteouts() {
        copy.white_out(whiteout.clone()).ok()?;
    }
    for (path, entry) in tree.iter() {
        let mut entry: Entry = entry.clone();
        if let Kind::File(Content::File { offset, len, .. }) = entry.kind {
            let start = usize::try_from(offset).ok()?;
            let content = tar.get(start..start.checked_add(usize::try_from(len).ok()?)?)?;
            entry.kind = Kind::File(content.into());
        }
        copy.insert(path.clone(), entry).ok()?;
    }
    Some(copy)
}

fn check_parents(tree: &Tree) {
    for (path, _) in tree.iter() {
        let parent = path.parent();
        assert!(
            parent.is_none_or(|parent| tree.get(&parent).is_some_and(Entry::is_dir)),
            "{path} is in no directory"
        );
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests;
