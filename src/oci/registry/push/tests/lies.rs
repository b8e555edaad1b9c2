//! Bytes that are not what they should be, and answers that are not true.

use super::*;

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
