//! Requests that are none, callers that do not behave, settings that make no sense: the emulator goes on, or says why not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Emulator, PATH, command, free_address};
use crate::function::function;

const ECHO: &str =
    "import os\ndef handler(event, context): return os.environ.get(str(event), event)\n";

/// Sends bytes; gives the first line of what comes back until the connection is closed.
fn send(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // The emulator may close the connection before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn requests_that_are_none() {
    let Some(f) = function(ECHO) else { return };
    let emulator = Emulator::start(&f);
    let runtime_api = emulator.invoke("\"AWS_LAMBDA_RUNTIME_API\"").body;
    let post = format!("POST {PATH} HTTP/1.1\r\n");
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let (bad, cut) = ("HTTP/1.1 400 Bad Request", "HTTP/1.1 408 Request Timeout");
    for (request, expected) in [
        (String::new(), ""),
        ("\r\n\r\n\r\n".to_owned(), cut),
        ("\0\u{1}\u{2}\r\n\r\n".to_owned(), bad),
        ("GET\r\n\r\n".to_owned(), bad),
        ("GET / HTTP/2\r\n\r\n".to_owned(), bad),
        ("\u{16}\u{3}\u{1}\u{2}".to_owned(), cut),
        (post.clone(), cut),
        (format!("{post}no colon\r\n\r\n"), bad),
        (format!("{post}Content-Length: -1\r\n\r\n"), bad),
        (
            format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\n1"),
            bad,
        ),
        (
            format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1"),
            bad,
        ),
        (format!("{post}Transfer-Encoding: gzip\r\n\r\n1"), bad),
        (format!("{post}Content-Length: 10\r\n\r\n1"), cut),
        (
            format!("{post}Content-Length: 99999999999999999999999\r\n\r\n1"),
            "HTTP/1.1 413 Payload Too Large",
        ),
        (format!("{chunked}x\r\n"), bad),
        (format!("{chunked}ffffffffffffffff\r\n"), bad),
        (format!("{chunked}fffffffffffffff\r\n1"), cut),
        (format!("{chunked}1\r\n11\r\n0\r\n\r\n"), bad),
        (
            format!("{post}{}\r\n\r\n", "x: y\r\n".repeat(1_000_000)),
            bad,
        ),
        (format!("{post}x: {}\r\n\r\n", "y".repeat(3_000_000)), bad),
        (
            "POST /2015-03-31/functions/%/invocations HTTP/1.1\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "HTTP/1.1 404 Not Found",
        ),
        (
            "POST /2015-03-31/functions/..%2f/invocations HTTP/1.1\r\nConnection: close\r\n\r\n"
                .to_owned(),
            "HTTP/1.1 404 Not Found",
        ),
    ] {
        let start: String = request.chars().take(100).collect();
        assert_eq!(
            send(&emulator.address, request.as_bytes()),
            expected,
            "{start:?}"
        );
        // The other port is no weaker.
        let line = send(runtime_api.trim_matches('"'), request.as_bytes());
        assert!(
            ["", bad, cut, "HTTP/1.1 404 Not Found"].contains(&line.as_str()),
            "{start:?}: {line}"
        );
    }
    assert_eq!(emulator.invoke("1").body, "1");
    let (code, stdout, stderr) = emulator.stop();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // The empty body that a chunked request of nothing has is the function's business; all else never reached it.
    assert_eq!(stdout.matches("START").count(), 2, "{stdout}");
}

#[test]
fn connections_that_are_left_open_disturb_nobody() {
    let Some(f) = function(ECHO) else { return };
    let emulator = Emulator::start(&f);
    let half = format!("POST {PATH} HTTP/1.1\r\nContent-Length: 9\r\n\r\n1");
    let idle: Vec<TcpStream> = (0..300)
        .map(|number| {
            let mut stream = TcpStream::connect(&emulator.address).unwrap();
            let length = [0, 20, half.len()][number % 3];
            stream.write_all(&half.as_bytes()[..length]).unwrap();
            stream
        })
        .collect();
    assert_eq!(emulator.invoke("1").body, "1");
    let begun = Instant::now();
    assert_eq!(emulator.stop().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3));
    drop(idle);
}

#[test]
fn one_connection_carries_many_requests() {
    let Some(f) = function(ECHO) else { return };
    let emulator = Emulator::start(&f);
    let mut stream = TcpStream::connect(&emulator.address).unwrap();
    let one = format!("POST {PATH} HTTP/1.1\r\nContent-Length: 1\r\n\r\n1");
    let expects = format!(
        "POST {PATH} HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\n\r\n"
    );
    let last = format!("POST {PATH} HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n3");
    stream
        .write_all([one, expects, last].concat().as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let bodies: Vec<&str> = answer
        .split("HTTP/1.1 ")
        .filter_map(|part| part.split_once("\r\n\r\n"))
        .map(|(_, body)| body)
        .collect();
    assert_eq!(bodies, ["1", "", "2", "3"], "{answer}");
    emulator.stop();
}

#[test]
fn events_beyond_the_queue_are_refused() {
    let Some(f) = function("import time\ndef handler(event, context): time.sleep(event)\n") else {
        return;
    };
    let emulator = Emulator::start(&f);
    emulator.invoke("0");
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..1001 {
        let mut stream = TcpStream::connect(&emulator.address).unwrap();
        let one =
            format!("POST {PATH} HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n60");
        stream.write_all(one.as_bytes()).unwrap();
        streams.push(stream);
    }
    thread::sleep(Duration::from_millis(1000));
    let reply = emulator.invoke("0");
    assert_eq!(reply.status, 429, "{}", reply.body);
    assert!(
        reply
            .head
            .contains("X-Amzn-ErrorType: TooManyRequestsException"),
        "{}",
        reply.head
    );
    assert_eq!(emulator.stop().0, Some(0));
}

#[test]
fn settings_that_make_no_sense_are_said() {
    let Some(f) = function(ECHO) else { return };
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_TIMEOUT", "soon"),
        ("AWS_LAMBDA_FUNCTION_TIMEOUT", "0"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "-1"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "99999999999999999999"),
    ] {
        let output = command(&f, &free_address())
            .env(name, value)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let expected = format!(
            "aws-lambda-rie: {name} is \"{value}\": expected a whole number from 1 to 1000000\n"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    }
}

#[test]
fn a_runtime_that_cannot_be_started_is_named() {
    let Some(f) = function(ECHO) else { return };
    let emulator = Emulator::start_with(&f, &["/nowhere/runtime"]);
    for _ in 0..2 {
        let reply = emulator.invoke("1");
        assert_eq!(reply.status, 502);
        assert!(
            reply
                .body
                .contains("cannot start /nowhere/runtime: No such file or directory"),
            "{}",
            reply.body
        );
        assert!(
            reply
                .body
                .contains("\"errorType\":\"Runtime.InvalidEntrypoint\""),
            "{}",
            reply.body
        );
    }
    assert_eq!(emulator.stop().0, Some(0));
}
