//! Pushes into a registry that misbehaves on script.

mod failures;
mod lies;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::super::fake::{Answer, Fault, Registry, Request as Received, State, answer};
use super::super::{Clock, Endpoint, Http, HttpOptions, Platform, Reference, Secret};
use super::*;
use crate::media_type;

const REPOSITORY: &str = "team/python";

/// Blobs in memory, by digest.
#[derive(Clone, Default)]
pub(in crate::registry) struct Blobs(pub BTreeMap<Digest, Vec<u8>>);

impl Blobs {
    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Descriptor {
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        self.0.insert(digest, bytes);
        Descriptor {
            media_type: kind.to_owned(),
            digest,
            size,
        }
    }

    pub fn open(&self, blob: &Descriptor) -> io::Result<OpenBlob> {
        let bytes: Arc<[u8]> = self.0[&blob.digest].clone().into();
        Ok(Arc::new(move |from| {
            let mut reader = io::Cursor::new(bytes.clone());
            reader.set_position(from);
            Ok(Box::new(reader))
        }))
    }
}

/// An image of a configuration and layers of these sizes.
fn image(name: &str, layers: &[usize]) -> (Graph, Blobs) {
    let mut blobs = Blobs::default();
    let mut all = vec![blobs.add(
        media_type::CONFIG,
        format!("{{\"name\":\"{name}\"}}").into_bytes(),
    )];
    for (i, size) in layers.iter().enumerate() {
        let bytes = format!("{name} {i} ")
            .into_bytes()
            .into_iter()
            .cycle()
            .take(*size)
            .collect();
        all.push(blobs.add(media_type::LAYER_GZIP, bytes));
    }
    let describe = |blob: &Descriptor| serde_json::json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::MANIFEST,
        "config": describe(&all[0]),
        "layers": all[1..].iter().map(describe).collect::<Vec<_>>(),
    });
    let graph = Graph {
        documents: vec![Document::new(
            media_type::MANIFEST,
            manifest.to_string().into_bytes(),
        )],
        blobs: all,
    };
    (graph, blobs)
}

fn options() -> HttpOptions {
    HttpOptions {
        clock: Clock::simulated(),
        ..HttpOptions::default()
    }
}

/// Hears nothing.
struct Deaf;

impl Watch for Deaf {
    fn at(&self, _: &Descriptor, _: u64) {}
    fn done(&self, _: &Descriptor, _: &Outcome) {}
}

fn push(
    registry: &Registry,
    graph: &Graph,
    blobs: &Blobs,
    tags: &[&str],
) -> Result<Pushed, PushError> {
    push_with(registry, graph, blobs, tags, &[])
}

fn push_with(
    registry: &Registry,
    graph: &Graph,
    blobs: &Blobs,
    tags: &[&str],
    mount_from: &[String],
) -> Result<Pushed, PushError> {
    push_to(&registry.address, options(), graph, blobs, tags, mount_from)
}

fn push_to(
    host: &str,
    options: HttpOptions,
    graph: &Graph,
    blobs: &Blobs,
    tags: &[&str],
    mount_from: &[String],
) -> Result<Pushed, PushError> {
    let http = Http::new(options);
    let reference: Reference = format!("{host}/{REPOSITORY}").parse().unwrap();
    let endpoint = Endpoint::new(&http, &reference).unwrap();
    let root = graph.root().digest;
    let tags: Vec<(String, Digest)> = tags.iter().map(|tag| ((*tag).to_owned(), root)).collect();
    let push = Push {
        endpoint: &endpoint,
        repository: REPOSITORY,
        graph,
        open: &|blob| blobs.open(blob),
        mount_from,
        watch: Arc::new(Deaf),
    };
    push.run(&tags)
}

/// Every blob is there, byte for byte, and the tag leads to the root.
#[track_caller]
fn complete(registry: &Registry, graph: &Graph, blobs: &Blobs, tag: &str) {
    let state = registry.state();
    for blob in &graph.blobs {
        let key = (REPOSITORY.to_owned(), blob.digest.to_string());
        assert_eq!(state.blobs.get(&key), Some(&blobs.0[&blob.digest]));
    }
    let key = (REPOSITORY.to_owned(), tag.to_owned());
    assert_eq!(state.manifests[&key].1, graph.root().bytes);
}

#[track_caller]
fn unmoved(registry: &Registry, tag: &str) {
    assert!(
        !registry
            .state()
            .manifests
            .contains_key(&(REPOSITORY.to_owned(), tag.to_owned()))
    );
}

/// Goes wrong the first time that a request fits.
fn once(
    fits: impl Fn(&Received) -> bool + Send + 'static,
    fault: impl FnMut() -> Fault + Send + 'static,
) -> impl FnMut(&Received) -> Option<Fault> + Send + 'static {
    times(1, fits, fault)
}

fn times(
    mut left: usize,
    fits: impl Fn(&Received) -> bool + Send + 'static,
    mut fault: impl FnMut() -> Fault + Send + 'static,
) -> impl FnMut(&Received) -> Option<Fault> + Send + 'static {
    move |request| {
        if left == 0 || !fits(request) {
            return None;
        }
        left -= 1;
        Some(fault())
    }
}

fn is_put_of_a_large_blob(request: &Received) -> bool {
    let length = request
        .headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.method == "PUT" && request.path.contains("/blobs/uploads/") && length > 100_000
}

#[test]
fn a_first_push_sends_each_blob_once_and_the_manifest_last() {
    let (graph, blobs) = image("a", &[10, 300_000, 20]);
    for absolute in [false, true] {
        let registry = Registry::start(State {
            absolute,
            ..State::default()
        });
        let pushed = push(&registry, &graph, &blobs, &["1"]).unwrap();
        assert_eq!((pushed.sent, pushed.mounted, pushed.there), (4, 0, 0));
        assert_eq!(
            pushed.bytes,
            graph.blobs.iter().map(|blob| blob.size).sum::<u64>()
        );
        assert_eq!(pushed.moved, ["1"]);
        complete(&registry, &graph, &blobs, "1");
        let log = registry.log();
        assert_eq!(log.last().unwrap(), "PUT /v2/team/python/manifests/1");
        // The tag; for each blob a question, a session and the bytes; the manifest.
        assert_eq!(log.len(), 1 + 3 * 4 + 1, "{log:#?}");
    }
}

#[test]
fn nothing_is_sent_when_the_tag_stands() {
    let (graph, blobs) = image("a", &[10, 20]);
    let registry = Registry::start(State::default());
    push(&registry, &graph, &blobs, &["1", "latest"]).unwrap();
    let before = registry.log().len();
    let pushed = push(&registry, &graph, &blobs, &["1", "latest"]).unwrap();
    assert_eq!((pushed.sent, pushed.moved.len()), (0, 0));
    assert_eq!(registry.log().len() - before, 2);
    let before = registry.log().len();
    let pushed = push(&registry, &graph, &blobs, &["1", "2"]).unwrap();
    assert_eq!(
        (pushed.sent, pushed.there, pushed.moved),
        (0, 3, vec!["2".to_owned()])
    );
    let log = registry.log();
    assert_eq!(
        log[before..]
            .iter()
            .filter(|line| line.starts_with("PUT"))
            .count(),
        1,
        "{log:#?}"
    );
}

#[test]
fn blobs_are_taken_from_another_repository() {
    let (graph, blobs) = image("a", &[10, 20]);
    let base = &graph.blobs[1].digest;
    let setup = |no_mount| {
        let mut state = State {
            no_mount,
            ..State::default()
        };
        state.blobs.insert(
            ("team/base".to_owned(), base.to_string()),
            blobs.0[base].clone(),
        );
        Registry::start(state)
    };
    let from = ["team/other".to_owned(), "team/base".to_owned()];
    let registry = setup(false);
    let pushed = push_with(&registry, &graph, &blobs, &["1"], &from).unwrap();
    assert_eq!((pushed.mounted, pushed.sent), (1, 2));
    complete(&registry, &graph, &blobs, "1");
    // A session that was opened in vain is given up.
    assert_eq!(registry.count("DELETE", "/blobs/uploads/"), 3);

    let registry = setup(true);
    let pushed = push_with(&registry, &graph, &blobs, &["1"], &from).unwrap();
    assert_eq!((pushed.mounted, pushed.sent), (0, 3));
    complete(&registry, &graph, &blobs, "1");

    let refuses = |request: &Received| {
        request
            .path
            .contains("mount=")
            .then(|| Fault::Answer(answer(403).code("DENIED")))
    };
    let registry = Registry::scripted(State::default(), refuses);
    push_with(&registry, &graph, &blobs, &["1"], &from).unwrap();
    complete(&registry, &graph, &blobs, "1");
}

#[test]
fn an_index_is_there_before_its_tags_move() {
    let (amd64, mut blobs) = image("amd64", &[10, 20]);
    let (arm64, others) = image("arm64", &[30]);
    blobs.0.extend(others.0);
    let platform = |architecture: &str| Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: None,
    };
    let graph = Graph::index(vec![
        (amd64.clone(), platform("amd64")),
        (arm64.clone(), platform("arm64")),
    ]);
    let root = graph.root().digest;
    let tags = [
        ("1-amd64".to_owned(), amd64.root().digest),
        ("1-arm64".to_owned(), arm64.root().digest),
        ("1".to_owned(), root),
    ];
    let run = |registry: &Registry| {
        let http = Http::new(options());
        let reference: Reference = format!("{}/{REPOSITORY}", registry.address)
            .parse()
            .unwrap();
        let endpoint = Endpoint::new(&http, &reference).unwrap();
        let push = Push {
            endpoint: &endpoint,
            repository: REPOSITORY,
            graph: &graph,
            open: &|blob| blobs.open(blob),
            mount_from: &[],
            watch: Arc::new(Deaf),
        };
        push.run(&tags)
    };
    let registry = Registry::start(State::default());
    assert_eq!(run(&registry).unwrap().moved, ["1-amd64", "1-arm64", "1"]);
    complete(&registry, &graph, &blobs, "1");
    let kind = |tag: &str| {
        registry.state().manifests[&(REPOSITORY.to_owned(), tag.to_owned())]
            .0
            .clone()
    };
    assert_eq!(
        [kind("1-amd64"), kind("1-arm64"), kind("1")],
        [
            media_type::MANIFEST,
            media_type::MANIFEST,
            media_type::INDEX
        ]
    );
    assert!(run(&registry).unwrap().moved.is_empty());

    let index = root.to_string();
    let refuses = move |request: &Received| {
        (request.method == "PUT" && request.path.ends_with(&index))
            .then(|| Fault::Answer(answer(400)))
    };
    let registry = Registry::scripted(State::default(), refuses);
    run(&registry).unwrap_err();
    for tag in ["1", "1-amd64", "1-arm64"] {
        unmoved(&registry, tag);
    }
}
