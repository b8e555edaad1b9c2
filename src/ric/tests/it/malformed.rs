//! Servers that do not behave: every case has a defined end, and none of them hangs.

use crate::function::{Function, function};

const ECHO: &str = "def handler(event, context):\n    return event\n";
const OK: &str = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: own\r\n";

/// What has to come of a malformed second answer to `next`, between two good ones.
enum End {
    /// It is an event: the body of its answer. The third event comes, too.
    Served(&'static str),
    /// The process ends with exit code 1 and says this.
    Failed(&'static str),
}
use End::{Failed, Served};

fn check(what: &str, f: Function, end: &End) {
    let outcome = f.event("3").run();
    let stdout = outcome.stdout_without_times();
    match end {
        Served(body) => {
            assert_eq!(outcome.posts(), ["1", body, "3"], "{what}");
            assert_eq!(outcome.status, None, "{what}: {stdout}");
        }
        Failed(reason) => {
            assert_eq!(outcome.posts(), ["1"], "{what}: {stdout}");
            assert_eq!(outcome.code(), Some(1), "{what}: {stdout}");
            let line = format!("[ERROR] TIME LAMBDA_RUNTIME {reason}\n");
            assert_eq!(stdout, line, "{what}");
        }
    }
}

const NO_RESPONSE: &str = "Failed to get next invocation. No Response from endpoint: ";

#[test]
fn answers_to_next() {
    let unmarshal = "{\"errorMessage\": \"Unable to unmarshal input: Expecting value: line 1 column 1 (char 0)\", \
        \"errorType\": \"Runtime.UnmarshalError\", \"requestId\": \"own\", \"stackTrace\": []}";
    let failed = |reason: &str| Failed(format!("{NO_RESPONSE}{reason}").leak());
    let status = |code: u16| {
        Failed(format!("Failed to get next invocation. Http Response code: {code}").leak())
    };
    let large_header = |kilobytes: usize| format!("X: {}\r\n", "y".repeat(kilobytes * 1024));
    let cases = [
        ("no HTTP", "hello\r\n\r\n".into(), failed("malformed head")),
        (
            "another protocol",
            "HTTP/2 200\r\n\r\n".into(),
            failed("malformed head"),
        ),
        (
            "status is no number",
            "HTTP/1.1 abc\r\n\r\n".into(),
            failed("malformed head"),
        ),
        (
            "a line that is no header",
            format!("{OK}nonsense\r\n\r\n"),
            failed("malformed head"),
        ),
        (
            "a folded header",
            format!("{OK}X: 1\r\n folded\r\n\r\n"),
            failed("malformed head"),
        ),
        (
            "a head beyond the limit",
            format!("{OK}{}\r\n", large_header(1025)),
            failed("head too long"),
        ),
        (
            "a large head",
            format!("{OK}{}Content-Length: 1\r\n\r\n5", large_header(900)),
            Served("5"),
        ),
        (
            "many headers",
            format!(
                "{OK}{}Content-Length: 1\r\n\r\n5",
                "a: b\r\n".repeat(50_000)
            ),
            Served("5"),
        ),
        (
            "headers of odd bytes",
            format!("{OK}X: \u{1}\0\u{e9}\u{7f}\r\nContent-Length: 1\r\n\r\n5"),
            Served("5"),
        ),
        (
            "no length and a closed connection",
            format!("{OK}\r\n5"),
            Served("5"),
        ),
        (
            "a negative length",
            format!("{OK}Content-Length: -1\r\n\r\n"),
            failed("malformed length"),
        ),
        (
            "a length that is no number",
            format!("{OK}Content-Length: 1a\r\n\r\n5"),
            failed("malformed length"),
        ),
        (
            "two lengths",
            format!("{OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n55"),
            failed("malformed length"),
        ),
        (
            "a length beyond memory",
            format!("{OK}Content-Length: 99999999999999999999\r\n\r\n5"),
            failed("body too long"),
        ),
        (
            "a length that never comes",
            format!("{OK}Content-Length: 1000000000\r\n\r\n5"),
            failed("unexpected end of file"),
        ),
        (
            "a length too small",
            format!("{OK}Content-Length: 1\r\n\r\n567"),
            Served("5"),
        ),
        (
            "an empty event",
            format!("{OK}Content-Length: 0\r\n\r\n"),
            Served(unmarshal),
        ),
        (
            "chunks",
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\n\r\n"),
            Served("5"),
        ),
        (
            "chunks and a length",
            format!(
                "{OK}Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n5\r\n0\r\nA: b\r\n\r\n"
            ),
            Served("5"),
        ),
        (
            "a chunk without a size",
            format!("{OK}Transfer-Encoding: chunked\r\n\r\nx\r\n5\r\n0\r\n\r\n"),
            failed("malformed chunk"),
        ),
        (
            "a chunk longer than its size",
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n1\r\n567\r\n0\r\n\r\n"),
            failed("malformed chunk"),
        ),
        (
            "a chunk of any size",
            format!("{OK}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n5"),
            failed("malformed chunk"),
        ),
        (
            "chunks that end early",
            format!("{OK}Transfer-Encoding: chunked\r\n\r\n2\r\n5"),
            failed("unexpected end of file"),
        ),
        (
            "another encoding",
            format!("{OK}Transfer-Encoding: gzip\r\n\r\n5"),
            failed("malformed length"),
        ),
        (
            "continue first",
            format!(
                "{}{OK}Content-Length: 1\r\n\r\n5",
                "HTTP/1.1 100 Continue\r\n\r\n".repeat(3)
            ),
            Served("5"),
        ),
        (
            "no content",
            "HTTP/1.1 204 No\r\nLambda-Runtime-Aws-Request-Id: own\r\nContent-Length: 9\r\n\r\n"
                .into(),
            Served(unmarshal),
        ),
        (
            "an empty 300",
            "HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n".into(),
            status(300),
        ),
        (
            "an empty 304",
            "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n".into(),
            status(304),
        ),
        (
            "a 403 with a body",
            "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\n{}".into(),
            status(403),
        ),
        (
            "a 500 up to the end",
            "HTTP/1.1 500 No\r\n\r\nwhy".into(),
            status(500),
        ),
        (
            "a 999",
            "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n".into(),
            status(999),
        ),
        (
            "no request id",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n5".into(),
            Failed("Failed to find header lambda-runtime-aws-request-id in response"),
        ),
        (
            "a request id that is no part of a line",
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a b\r\nContent-Length: 1\r\n\r\n5"
                .into(),
            Failed("Malformed header lambda-runtime-aws-request-id in response"),
        ),
    ];
    for (what, message, end) in &cases {
        let Some(f) = function(ECHO) else { return };
        check(what, f.event("1").last_words(message), end);
    }
}

#[test]
fn answers_to_next_that_stop_at_any_byte() {
    let whole = format!("{OK}Content-Length: 4\r\n\r\ntrue");
    for end in 1..=whole.len() {
        let Some(f) = function(ECHO) else { return };
        let expected = if end == whole.len() {
            Served("true")
        } else {
            Failed(format!("{NO_RESPONSE}unexpected end of file").leak())
        };
        check(
            &format!("{end} bytes"),
            f.event("1").last_words(&whole[..end]),
            &expected,
        );
    }
}

#[test]
fn a_connection_that_was_closed_in_the_pause_is_replaced() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f.event("1").last_words("").event("2").run();
    assert_eq!((outcome.posts(), outcome.status), (vec!["1", "2"], None));
}

#[test]
fn slow_answers_are_waited_for() {
    for framing in [
        "Content-Length: 4\r\n\r\ntrue",
        "Transfer-Encoding: chunked\r\n\r\n2\r\ntr\r\n2\r\nue\r\n0\r\nX: y\r\n\r\n",
    ] {
        let Some(f) = function(ECHO) else { return };
        let f = f.event("1").raw_event(&format!("{OK}{framing}")).slowly();
        check(framing, f, &Served("true"));
    }
}

#[test]
fn answers_to_a_post_that_stop_at_any_byte() {
    let whole = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nOK";
    for end in 0..=whole.len() {
        let Some(f) = function(ECHO) else { return };
        let f = f.event("1").event("2").raw_post(&whole[..end]).closing();
        let outcome = f.run();
        match end {
            // A reused connection may have been closed before the post came: it is sent once more.
            0 => assert_eq!((outcome.posts(), outcome.code()), (vec!["1", "1"], Some(1))),
            _ if end == whole.len() => {
                assert_eq!((outcome.posts(), outcome.status), (vec!["1", "2"], None));
            }
            _ => assert_eq!(
                (outcome.posts(), outcome.code()),
                (vec!["1"], Some(1)),
                "{end}"
            ),
        }
        let said = outcome.stdout_without_times();
        let line = "[ERROR] TIME LAMBDA_RUNTIME Failed to post handler success response. \
            Http response code: -1. unexpected end of file\n";
        assert_eq!(said, if end == whole.len() { "" } else { line }, "{end}");
    }
}

#[test]
fn answers_to_a_post() {
    for (answer, lives, said) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, ""),
        (
            "HTTP/1.1 299 Fine\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            true,
            "",
        ),
        (
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nmore than that",
            true,
            "",
        ),
        (
            "HTTP/1.0 202 Accepted\r\nContent-Length: 0\r\n\r\n",
            true,
            "",
        ),
        ("HTTP/1.1 204 No\r\nContent-Length: 7\r\n\r\n", true, ""),
        (
            "HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
            false,
            "302. ",
        ),
        (
            "HTTP/1.1 400 No\r\nContent-Length: 3\r\n\r\nwhy",
            false,
            "400. why",
        ),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\n\u{e9}!",
            false,
            "403. \u{e9}!",
        ),
        (
            "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
            true,
            "410. ",
        ),
        (
            "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n",
            false,
            "500. why",
        ),
        ("nonsense\r\n\r\n", false, "-1. malformed head"),
        (
            "HTTP/1.1 202 OK\r\nContent-Length: x\r\n\r\n",
            false,
            "-1. malformed length",
        ),
    ] {
        let Some(f) = function("def handler(event, context):\n    return 1 // event\n") else {
            return;
        };
        // The first is a response, the second an error.
        let outcome = f.event("1").event("0").raw_post(answer).run();
        let posts = outcome.posts();
        assert_eq!(
            (posts.len(), outcome.code()),
            if lives { (2, None) } else { (1, Some(1)) },
            "{answer}"
        );
        let stdout = outcome.stdout_without_times();
        let line = format!(
            "[ERROR] TIME LAMBDA_RUNTIME Failed to post handler success response. Http response code: {said}\n"
        );
        let count = if said.is_empty() { 0 } else { posts.len() };
        assert_eq!(stdout.matches(&line).count(), count, "{answer}: {stdout}");
    }
}

#[test]
fn a_refusal_before_the_end_of_a_large_response_is_read() {
    // The server answers and closes without having read the body.
    let Some(f) = function("def handler(event, context):\n    return 'x' * event\n") else {
        return;
    };
    let outcome = f
        .event("50000000")
        .event("1")
        .refusing("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        .run();
    let line = "[ERROR] TIME LAMBDA_RUNTIME Failed to post handler success response. Http response code: 413. big\n";
    assert_eq!(outcome.stdout_without_times(), line.repeat(2));
    assert_eq!(outcome.status, None);
}

#[test]
fn answers_to_an_init_error() {
    for (answer, end) in [
        ("HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "awslambdaric.lambda_runtime_client.LambdaRuntimeClientError: Request to Lambda Runtime \
             '/2018-06-01/runtime/init/error' endpoint failed. Reason: '200'. Response body: 'b'''",
        ),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy",
            "awslambdaric.lambda_runtime_client.LambdaRuntimeClientError: Request to Lambda Runtime \
             '/2018-06-01/runtime/init/error' endpoint failed. Reason: '403'. Response body: 'b'why''",
        ),
        ("", "OSError: unexpected end of file"),
        ("HTTP/1.1 2", "OSError: unexpected end of file"),
        ("nonsense\n\n", "OSError: malformed head"),
    ] {
        let Some(f) = function("raise ValueError('import')\n") else {
            return;
        };
        let outcome = f.raw_post(answer).closing().run();
        assert_eq!(
            (outcome.code(), outcome.posts().len()),
            (Some(1), 1),
            "{answer}"
        );
        let last = outcome.stderr.lines().last().unwrap_or_default();
        assert_eq!(last, end, "{answer}");
    }
}
