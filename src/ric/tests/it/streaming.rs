//! Handlers that return generators: the response goes out in pieces.

use std::thread;
use std::time::{Duration, Instant};

use crate::fake_api::Request;
use crate::function::{Function, Outcome, Running, function};
use crate::host;

/// `body`: the statements of a generator, which can wait for a file with [`WAIT`].
fn generator(body: &str) -> Option<Function> {
    let body = body.replace('\n', "\n    ");
    function(&format!("{WAIT}def handler(event, context):\n    {body}\n"))
}

const WAIT: &str =
    "import os, time\ndef wait(name):\n    while not os.path.exists(name): time.sleep(0.005)\n";

fn responses(requests: &[Request]) -> Vec<&Request> {
    let is_response = |r: &&Request| r.line().ends_with("/response");
    requests.iter().filter(is_response).collect()
}

fn wait_until(running: &Running, what: &str, done: impl Fn(&[Request]) -> bool) {
    let started = Instant::now();
    while !done(&running.requests()) {
        let requests = running.requests();
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{what}: {requests:?}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_type_of_piece_is_a_chunk_and_the_request_says_so() {
    let source = "yield b'by'\nyield 'teé'\nyield b''\nyield bytearray(b'array')\nyield memoryview(b'view')[::2]";
    let Some(f) = generator(source) else { return };
    let outcome = f
        .event_with(b"{}", &[("Lambda-Runtime-Invocation-Id", "i7")])
        .event("1")
        .run();
    let found = responses(&outcome.requests);
    let agent = found[0].header("User-Agent").unwrap();
    assert_eq!(
        found[0].head,
        format!(
            "POST /2018-06-01/runtime/invocation/request-1/response HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\n\
             content-type: application/octet-stream\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\
             Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\
             User-Agent: {agent}\r\nlambda-runtime-invocation-id: i7\r\nTransfer-Encoding: chunked"
        )
    );
    for response in found {
        assert_eq!(response.text(), "byteéarrayve");
        assert_eq!(response.chunks, [2, 4, 5, 2]);
        assert_eq!(response.trailers.as_deref(), Some(""));
    }
    let connections: Vec<usize> = outcome.requests.iter().map(|r| r.connection).collect();
    assert_eq!(
        connections,
        [0, 1, 0, 2, 0],
        "each response has a connection of its own"
    );
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

#[test]
fn a_piece_is_sent_before_the_next_is_made() {
    let source = "yield 'one'\nwait('go')\nyield 'two'";
    let Some(f) = generator(source) else { return };
    let f = f.event("1");
    let mut running = f.start();
    wait_until(&running, "the first piece", |requests| {
        responses(requests).iter().any(|r| r.text() == "one")
    });
    host::write(&f.folder.join("go"), "");
    running.wait_until_idle();
    assert_eq!(responses(&running.finish().requests)[0].text(), "onetwo");
    host::remove(&f.folder);
}

fn error_of(request: &Request) -> (String, String) {
    let trailers = request.trailers.clone().expect("the body has an end");
    let value = |name: &str| {
        let line = trailers.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(": ").to_owned()
    };
    let body = value("Lambda-Runtime-Function-Error-Body");
    let script =
        "import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.argv[1], validate=True))";
    let decoded = host::command("python3")
        .args(["-c", script, &body])
        .output()
        .unwrap();
    assert!(decoded.status.success(), "{body}");
    (
        value("Lambda-Runtime-Function-Error-Type"),
        String::from_utf8(decoded.stdout).unwrap(),
    )
}

#[test]
fn an_error_in_the_middle_is_in_the_trailers_and_the_log() {
    let source = "if event: yield 'a'\nraise KeyError('é')";
    let Some(f) = generator(source) else { return };
    let path = f.folder.join("app.py").display().to_string();
    let minor = f.executable.minor;
    let outcome = f.event("1").event("0").event("1").run();
    let found = responses(&outcome.requests);
    let (kind, error) = error_of(found[0]);
    let e = if minor >= 12 { "é" } else { "\\u00e9" };
    assert_eq!((kind.as_str(), found[0].text()), ("KeyError", "a"));
    assert_eq!(
        error,
        format!(
            "{{\"errorMessage\": \"'{e}'\", \"errorType\": \"KeyError\", \"requestId\": \"request-1\", \"stackTrace\": \
             [\"  File \\\"{path}\\\", line 6, in handler\\n    raise KeyError('{e}')\\n\"]}}"
        )
    );
    assert_eq!(found.len(), 2, "the second one had not begun");
    let posts: Vec<&str> = outcome.requests.iter().map(Request::line).collect();
    assert_eq!(
        posts[3],
        "POST /2018-06-01/runtime/invocation/request-2/error"
    );
    assert_eq!(
        outcome
            .stdout
            .matches("[ERROR] KeyError: 'é'\rTraceback")
            .count(),
        3
    );
    assert_eq!(outcome.status, None);
}

#[test]
fn pieces_of_other_types_are_marshal_errors() {
    for (piece, what) in [
        ("5", "Object of type int is not bytes or str"),
        ("None", "Object of type NoneType is not bytes or str"),
        ("[98]", "Object of type list is not bytes or str"),
        (
            "'\\ud800'",
            "'utf-8' codec can't encode character '\\\\ud800' in position 0: surrogates not allowed",
        ),
    ] {
        let source = format!(
            "try:\n    if event: yield 'a'\n    yield {piece}\nfinally:\n    print('closed')"
        );
        let Some(f) = generator(&source) else { return };
        let outcome = f.event("1").event("0").run();
        let error = |id: &str| {
            format!(
                "{{\"errorMessage\": \"Unable to marshal response: {what}\", \"errorType\": \"Runtime.MarshalError\", \
                 \"requestId\": \"{id}\", \"stackTrace\": []}}"
            )
        };
        let (kind, body) = error_of(&outcome.requests[1]);
        assert_eq!(
            (kind, body),
            ("Runtime.MarshalError".into(), error("request-1"))
        );
        assert_eq!(outcome.requests[3].text(), error("request-2"));
        assert!(outcome.requests[3].line().ends_with("/error"));
        assert_eq!(outcome.stdout.matches("closed\n").count(), 2, "{piece}");
    }
}

#[test]
fn a_dict_comes_first_as_the_head_of_an_http_response() {
    let source =
        "yield {'statusCode': 201, 'headers': {'x': 'é'}}\nyield 'body'\nif event: yield {}";
    let Some(f) = generator(source) else { return };
    let outcome = f.event("0").event("1").run();
    for (index, response) in responses(&outcome.requests).iter().enumerate() {
        assert_eq!(
            response.header("content-type"),
            Some("application/vnd.awslambda.http-integration-response")
        );
        let head = "{\"statusCode\": 201, \"headers\": {\"x\": \"\\u00e9\"}}\0\0\0\0\0\0\0\0";
        assert_eq!(response.text(), format!("{head}body"));
        assert_eq!(response.chunks, [head.len(), 4]);
        assert_eq!(response.trailers.as_deref() == Some(""), index == 0);
    }
}

#[test]
fn a_generator_without_pieces_is_an_empty_response() {
    let Some(f) = generator("return\nyield") else {
        return;
    };
    let outcome = f.event("1").run();
    let found = responses(&outcome.requests)[0];
    assert_eq!((found.text(), found.trailers.as_deref()), ("", Some("")));
}

#[test]
fn a_reader_that_rests_slows_the_generator_down() {
    const PIECES: usize = 600;
    let source = "for number in range(600):\n    yield b'x' * 65536\n    with open('made', 'w') as f: f.write(str(number))";
    let Some(f) = generator(source) else { return };
    let f = f.event("1").event("2");
    let made = || {
        let text = host::read(&f.folder.join("made"));
        String::from_utf8(text)
            .unwrap()
            .parse::<usize>()
            .unwrap_or(0)
    };
    let mut running = f.start();
    running.pause(true);
    wait_until(&running, "the generator makes something", |_| made() > 0);
    let stalled = loop {
        let before = made();
        thread::sleep(Duration::from_millis(300));
        if before > 0 && made() == before {
            break before;
        }
    };
    assert!(stalled < PIECES / 2, "{stalled} pieces are in flight");
    running.pause(false);
    running.wait_until_idle();
    let outcome = running.finish();
    for response in responses(&outcome.requests) {
        assert_eq!(response.body.len(), PIECES * 65536);
        assert!(response.body.iter().all(|&byte| byte == b'x'));
    }
    host::remove(&f.folder);
}

#[test]
fn signal_handlers_run_while_the_reader_rests() {
    let source = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n\
        while True:\n    yield b'x' * 65536\n    open('made', 'w').close()";
    let Some(f) = generator(source) else { return };
    let f = f.event("1");
    let running = f.start();
    running.pause(true);
    wait_until(&running, "the generator runs", |_| {
        f.folder.join("made").exists()
    });
    thread::sleep(Duration::from_millis(300));
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(outcome.code(), Some(4));
    assert_eq!(
        responses(&outcome.requests)[0].trailers,
        None,
        "the response has no end"
    );
    host::remove(&f.folder);
}

#[test]
fn a_peer_that_goes_away_closes_the_generator_and_the_next_event_comes() {
    let source = "try:\n    while event:\n        yield b'x' * 1000\n        time.sleep(0.01)\n    yield b'end'\n\
        finally:\n    print('closed', event)";
    let Some(f) = generator(source) else { return };
    let outcome = f.event("1").event("0").chunk_limit(3).run();
    let found = responses(&outcome.requests);
    assert_eq!(found[0].chunks, [1000; 3]);
    assert_eq!((found[1].text(), outcome.status), ("end", None));
    let expected = "[ERROR] TIME LAMBDA_RUNTIME Failed to post handler success response. Http response code: -1. ";
    let lines = outcome.stdout_without_times();
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with(expected), "{lines:?}");
    assert_eq!(lines[1..], ["closed 1", "closed 0"]);
}

#[test]
fn an_exception_while_closing_is_logged() {
    let source = "try:\n    while True: yield b'x' * 1000; time.sleep(0.01)\nfinally:\n    raise ValueError('closing')";
    let Some(f) = generator(source) else { return };
    let outcome = f.event("1").event("2").chunk_limit(1).run();
    assert_eq!(
        outcome
            .stdout
            .matches("[ERROR] ValueError: closing\r")
            .count(),
        2
    );
    assert_eq!(outcome.status, None);
}

#[test]
fn a_refused_stream_is_treated_as_any_refused_answer() {
    for (status, code) in [(410, None), (413, None), (500, Some(1))] {
        let Some(f) = generator("yield 'a'") else {
            return;
        };
        let outcome = f.event("1").post(status, "why").run();
        let line = format!("Http response code: {status}. why\n");
        assert!(outcome.stdout.ends_with(&line), "{}", outcome.stdout);
        assert_eq!(outcome.code(), code);
    }
}

#[test]
fn what_ends_the_process_ends_it_in_the_middle_too() {
    let Some(f) = generator("yield 'a'\nraise SystemExit(7)") else {
        return;
    };
    let outcome: Outcome = f.event("1").run();
    assert_eq!(outcome.code(), Some(7));
    assert_eq!(responses(&outcome.requests)[0].trailers, None);
}

#[test]
fn other_iterators_are_results() {
    let Some(f) = function("def handler(event, context): return iter([b'a'])\n") else {
        return;
    };
    let outcome = f.event("1").run();
    assert!(outcome.posts()[0].contains("Object of type list_iterator is not JSON serializable"));
}

#[test]
fn streams_pass_an_agent_that_replaced_a_name() {
    let source = "import awslambdaric.bootstrap as b\nold = b.handle_event_request\n\
        def replaced(*a, **k):\n    print('replaced')\n    return old(*a, **k)\nb.handle_event_request = replaced\n\
        def handler(event, context):\n    if event: yield 'a'\n    if event < 2: yield 'b'\n    raise ValueError('no')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    let found = responses(&outcome.requests);
    assert_eq!((found[0].text(), found[1].text()), ("ab", "a"));
    assert_eq!(error_of(found[1]).0, "ValueError");
    assert_eq!(outcome.stdout.matches("replaced\n").count(), 2);
}
