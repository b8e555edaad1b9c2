//! Pushes into a registry that misbehaves on script.

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
fn an_upload_that_was_cut_goes_on_where_it_broke() {
    let size = 11_000_000;
    let (graph, blobs) = image("a", &[size]);
    for cut in [0, 1, 2, 65_536, 5_000_000, size - 1] {
        let fault = once(is_put_of_a_large_blob, move || Fault::CutBody(cut));
        let registry = Registry::scripted(State::default(), fault);
        push(&registry, &graph, &blobs, &["1"]).unwrap();
        complete(&registry, &graph, &blobs, "1");
        let state = registry.state();
        let patches = state
            .requests
            .iter()
            .filter(|request| request.method == "PATCH");
        let resent: usize = patches.map(|request| request.body.len()).sum();
        let (again, resumed) = if cut <= 1 { (2, 0) } else { (1, size - cut) };
        let whole = state
            .requests
            .iter()
            .filter(|request| is_put_of_a_large_blob(request))
            .count();
        assert_eq!((whole, resent), (again, resumed), "cut at {cut}");
    }
}

#[test]
fn pieces_that_break_go_on_too() {
    let (graph, blobs) = image("a", &[11_000_000]);
    let mut cuts = vec![700_000, 100, 3_000_000].into_iter();
    let script = move |request: &Received| {
        (is_put_of_a_large_blob(request) || request.method == "PATCH")
            .then(|| cuts.next().map(Fault::CutBody))?
    };
    let registry = Registry::scripted(State::default(), script);
    push(&registry, &graph, &blobs, &["1"]).unwrap();
    complete(&registry, &graph, &blobs, "1");
}

#[test]
fn a_registry_that_wants_pieces_gets_them() {
    let (graph, blobs) = image("a", &[11_000_000]);
    for (least, pieces) in [
        (None, [4 << 20, 4 << 20, 11_000_000 - (8 << 20)].as_slice()),
        (Some(6_000_000), &[6_000_000, 5_000_000]),
    ] {
        for (early, refusal) in [
            (false, answer(413).code("SIZE_INVALID")),
            (false, answer(405)),
            (true, answer(413)),
        ] {
            let setup = State {
                chunk_min: least,
                ..State::default()
            };
            let refuses = move |request: &Received| {
                let fault = if early { Fault::Early } else { Fault::Answer };
                is_put_of_a_large_blob(request).then(|| fault(refusal.clone()))
            };
            let registry = Registry::scripted(setup, refuses);
            push(&registry, &graph, &blobs, &["1"]).unwrap();
            complete(&registry, &graph, &blobs, "1");
            let state = registry.state();
            let patches = state
                .requests
                .iter()
                .filter(|request| request.method == "PATCH");
            let sizes: Vec<usize> = patches.map(|request| request.body.len()).collect();
            assert_eq!(sizes, pieces);
        }
    }
}

#[test]
fn pieces_that_are_too_large_to_hold_are_refused() {
    let (graph, blobs) = image("a", &[300_000]);
    let setup = State {
        chunk_min: Some(1 << 40),
        ..State::default()
    };
    let refuses =
        |request: &Received| is_put_of_a_large_blob(request).then(|| Fault::Answer(answer(413)));
    let registry = Registry::scripted(setup, refuses);
    let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
    assert!(matches!(error, PushError::Chunk { .. }), "{error}");
    unmoved(&registry, "1");
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let (graph, blobs) = image("a", &[300_000]);
    type Fits = fn(&Received) -> bool;
    let places: [(&str, Fits); 5] = [
        ("tag", |request| {
            request.method == "HEAD" && request.path.contains("/manifests/")
        }),
        ("question", |request| {
            request.method == "HEAD" && request.path.contains("/blobs/")
        }),
        ("session", |request| request.method == "POST"),
        ("bytes", is_put_of_a_large_blob),
        ("manifest", |request| {
            request.method == "PUT" && request.path.contains("/manifests/")
        }),
    ];
    type Make = fn() -> Fault;
    let faults: [(&str, Make); 5] = [
        ("408", || Fault::Answer(answer(408))),
        ("429", || {
            Fault::Answer(answer(429).header("Retry-After", 2))
        }),
        ("500", || Fault::Answer(answer(500))),
        ("503", || Fault::Early(answer(503))),
        ("silence", || Fault::Silence),
    ];
    for (place, fits) in places {
        for (name, fault) in faults {
            let registry = Registry::scripted(State::default(), times(2, fits, fault));
            let pushed = push(&registry, &graph, &blobs, &["1"]);
            pushed.unwrap_or_else(|error| panic!("{name} at {place}: {error:?}"));
            complete(&registry, &graph, &blobs, "1");
        }
    }
}

#[test]
fn what_fails_for_ever_moves_no_tag() {
    let (graph, blobs) = image("a", &[300_000, 10]);
    for status in [400, 403, 500] {
        let script = move |request: &Received| {
            let sends = is_put_of_a_large_blob(request) || request.method == "PATCH";
            sends.then(|| Fault::Answer(answer(status)))
        };
        let registry = Registry::scripted(State::default(), script);
        let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
        assert!(matches!(error, PushError::Blob { .. }), "{status}: {error}");
        unmoved(&registry, "1");
        assert_eq!(registry.count("PUT", "/manifests/"), 0);
    }
}

#[test]
fn a_blob_whose_answer_was_lost_is_not_sent_twice() {
    let (graph, blobs) = image("a", &[300_000]);
    let registry = Registry::scripted(
        State::default(),
        once(is_put_of_a_large_blob, || Fault::Silence),
    );
    push(&registry, &graph, &blobs, &["1"]).unwrap();
    complete(&registry, &graph, &blobs, "1");
    let state = registry.state();
    let sent: usize = state
        .requests
        .iter()
        .filter(|request| request.method != "HEAD" && request.path.contains("/blobs/uploads/"))
        .map(|request| request.body.len())
        .sum();
    assert_eq!(
        sent as u64,
        graph.blobs.iter().map(|blob| blob.size).sum::<u64>()
    );
}

#[test]
fn a_session_that_is_forgotten_begins_anew() {
    let (graph, blobs) = image("a", &[300_000]);
    for code in [
        "BLOB_UPLOAD_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "DIGEST_INVALID",
    ] {
        let status = if code == "BLOB_UPLOAD_UNKNOWN" {
            404
        } else {
            400
        };
        let forgets = move || Fault::Answer(answer(status).code(code));
        let registry =
            Registry::scripted(State::default(), times(2, is_put_of_a_large_blob, forgets));
        push(&registry, &graph, &blobs, &["1"]).unwrap();
        complete(&registry, &graph, &blobs, "1");
        let registry =
            Registry::scripted(State::default(), times(99, is_put_of_a_large_blob, forgets));
        push(&registry, &graph, &blobs, &["1"]).unwrap_err();
        unmoved(&registry, "1");
    }
}

#[test]
fn damaged_bytes_never_arrive() {
    for size in [10, 300_000] {
        let (graph, good) = image("a", &[size]);
        let layer = graph.blobs[1].digest;
        type Damage = fn(&mut Vec<u8>);
        let damages: [Damage; 4] = [
            |bytes| bytes[5] ^= 1,
            |bytes| *bytes.last_mut().unwrap() ^= 1,
            |bytes| bytes.truncate(bytes.len() - 1),
            |bytes| bytes.push(0),
        ];
        for (i, damage) in damages.iter().enumerate() {
            let mut blobs = good.clone();
            damage(blobs.0.get_mut(&layer).unwrap());
            let registry = Registry::start(State::default());
            let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
            assert!(
                matches!(error, PushError::Damaged { .. }),
                "{size} {i}: {error:?}"
            );
            unmoved(&registry, "1");
            // Not even the whole of it went over the line.
            let state = registry.state();
            let put = state
                .requests
                .iter()
                .find(|request| request.method == "PUT" && request.path.contains(&layer.hex()));
            assert!(put.is_none_or(|put| put.body.len() < size), "{size} {i}");
            assert_eq!(state.requests.iter().filter(|request| request.path.contains(&layer.hex()) && request.method == "PUT").count(), usize::from(put.is_some()));
        }
        // Before pieces are sent, too.
        let mut blobs = good.clone();
        blobs.0.get_mut(&layer).unwrap()[5] ^= 1;
        let refuses = |request: &Received| {
            (request.method == "PUT" && request.path.contains("uploads"))
                .then(|| Fault::Answer(answer(413)))
        };
        let registry = Registry::scripted(State::default(), refuses);
        let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
        assert!(
            matches!(error, PushError::Damaged { .. } | PushError::Blob { .. }),
            "{error:?}"
        );
        unmoved(&registry, "1");
    }
}

#[test]
fn a_registry_that_stores_something_else_is_noticed() {
    let (graph, blobs) = image("a", &[10]);
    let lies = |request: &Received| {
        (request.method == "PUT" && request.path.contains("/manifests/")).then_some(Fault::Change(
            |answer| {
                answer.headers[0].1 = Digest::of(b"other").to_string();
            },
        ))
    };
    let registry = Registry::scripted(State::default(), lies);
    let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
    assert!(matches!(error, PushError::Digest { .. }), "{error}");
}

#[test]
fn a_registry_that_counts_wrongly_is_noticed() {
    let (graph, blobs) = image("a", &[9_000_000]);
    let script = |request: &Received| match request.method.as_str() {
        "PUT" if is_put_of_a_large_blob(request) => Some(Fault::Answer(answer(413))),
        "PATCH" => Some(Fault::Change(|answer| {
            answer.headers[0].1 = "0-99999999".to_owned()
        })),
        _ => None,
    };
    let registry = Registry::scripted(State::default(), script);
    let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
    assert!(matches!(error, PushError::Range { .. }), "{error}");
    unmoved(&registry, "1");
}

#[test]
fn a_registry_that_takes_less_of_a_piece_gets_the_rest() {
    let (graph, blobs) = image("a", &[9_000_000]);
    let taken = Arc::new(Mutex::new(0));
    let count = taken.clone();
    let script = move |request: &Received| {
        if is_put_of_a_large_blob(request) {
            return Some(Fault::Answer(answer(413)));
        }
        let mut count = count.lock().unwrap();
        *count += usize::from(request.method == "PATCH");
        // What a proxy makes of a piece that it passes on in part.
        (request.method == "PATCH" && *count == 2).then_some(Fault::CutBody(1_000_000))
    };
    let registry = Registry::scripted(State::default(), script);
    push(&registry, &graph, &blobs, &["1"]).unwrap();
    complete(&registry, &graph, &blobs, "1");
    assert_eq!(*taken.lock().unwrap(), 3);
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let (graph, blobs) = image("a", &[10, 300_000, 30]);
    for good_for in [1, 2, 5, 8, 12] {
        let setup = State {
            guarded: true,
            token: Some(("none".to_owned(), good_for)),
            ..State::default()
        };
        let registry = Registry::start(setup);
        push(&registry, &graph, &blobs, &["1"])
            .unwrap_or_else(|error| panic!("{good_for}: {error:?}"));
        complete(&registry, &graph, &blobs, "1");
        let tokens = registry.count("GET", "/token");
        assert!((1..=3).contains(&tokens), "{good_for}: {tokens} tokens");
    }
}

#[test]
fn an_upload_is_not_led_astray() {
    let (graph, blobs) = image("a", &[10]);
    for location in ["", "ftp://127.0.0.1/x", "http://", "file:///etc/passwd"] {
        let script = move |request: &Received| {
            (request.method == "POST")
                .then(|| Fault::Answer(answer(202).header("Location", location)))
        };
        let registry = Registry::scripted(State::default(), script);
        push(&registry, &graph, &blobs, &["1"]).unwrap_err();
        unmoved(&registry, "1");
    }
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

#[test]
fn a_tag_that_may_not_move_is_explained() {
    let (graph, blobs) = image("a", &[10]);
    let refusal = || -> Answer {
        let body = r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists and the repository is immutable"}]}"#;
        answer(400).body(body.as_bytes())
    };
    let script = move |request: &Received| {
        (request.method == "PUT" && request.path.ends_with("/manifests/1"))
            .then(|| Fault::Answer(refusal()))
    };
    let registry = Registry::scripted(State::default(), script);
    let error = push(&registry, &graph, &blobs, &["1"]).unwrap_err();
    assert_eq!(
        error.hint().as_deref(),
        Some("the tag may not be moved; push under another tag")
    );
}

#[test]
fn amazons_registry_gets_a_blob_whole_or_not_at_all() {
    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let (graph, blobs) = image("a", &[9_000_000]);
    // The registry stands behind a proxy, since nothing on this machine has such a name.
    let through = |registry: &Registry| {
        let mut options = options();
        let proxy = Secret::new(format!("http://{}", registry.address));
        options.network.proxies.http = Some(("http_proxy", proxy));
        options.network.plain_http.insert(ECR.to_owned());
        push_to(ECR, options, &graph, &blobs, &["1"], &[])
    };
    let mut cuts = vec![5_000_000, 100, 8_999_999].into_iter();
    let script = move |request: &Received| {
        is_put_of_a_large_blob(request).then(|| cuts.next().map(Fault::CutBody))?
    };
    let registry = Registry::scripted(State::default(), script);
    through(&registry).unwrap();
    complete(&registry, &graph, &blobs, "1");
    assert_eq!(registry.count("PATCH", ""), 0);

    let hangs_up = |request: &Received| (request.method == "POST").then_some(Fault::Silence);
    let registry = Registry::scripted(State::default(), hangs_up);
    let error = through(&registry).unwrap_err();
    let said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(
        said.contains("repository is missing, or there is no permission"),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("ecr:InitiateLayerUpload"));
    unmoved(&registry, "1");
}

#[test]
fn a_slow_registry_is_waited_for() {
    let (graph, blobs) = image("a", &[10]);
    let slow = |request: &Received| {
        (request.method == "PUT").then_some(Fault::Slow(std::time::Duration::from_millis(300)))
    };
    let registry = Registry::scripted(State::default(), slow);
    push(&registry, &graph, &blobs, &["1"]).unwrap();
    complete(&registry, &graph, &blobs, "1");
}
