//! Lines that break, registries that fail for a while, and ones that want it otherwise.

use super::*;

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
fn pieces_go_on_at_the_address_of_the_last_answer() {
    let (graph, blobs) = image("a", &[9_000_000]);
    let mut pieces = 0;
    // The first answer names another address; the one before is no longer known.
    let script = move |request: &Received| match request.method.as_str() {
        "PUT" if is_put_of_a_large_blob(request) => Some(Fault::Answer(answer(413))),
        "PATCH" => {
            pieces += 1;
            Some(match pieces {
                2 => Fault::Answer(answer(500)),
                _ => Fault::Change(|answer| answer.headers[1].1.push_str("&step=1")),
            })
        }
        "GET" if !request.path.contains("&step=1") => Some(Fault::Answer(answer(404))),
        _ => None,
    };
    let registry = Registry::scripted(State::default(), script);
    push(&registry, &graph, &blobs, &["1"]).unwrap();
    complete(&registry, &graph, &blobs, "1");
    let state = registry.state();
    let patches = state
        .requests
        .iter()
        .filter(|request| request.method == "PATCH");
    let sizes: Vec<usize> = patches.map(|request| request.body.len()).collect();
    assert_eq!(sizes, [4 << 20, 4 << 20, 4 << 20, 9_000_000 - (8 << 20)]);
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
