//! The Runtime API, as a runtime of any kind uses it: here a script that sends what it likes.

use super::{COMMON, Emulator, journal, request};
use crate::function::{Function, function};
use crate::host;
use std::thread;

/// What a runtime needs that sends raw bytes.
const RAW: &str = r#"
import socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
def raw(data, ends=False):
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(data)
        if ends: connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    return answer.decode()
def next_invocation():
    status, head, body = call("GET", "/2018-06-01/runtime/invocation/next")
    return head, body
def answer(head, body, mode="response", headers={}):
    path = "/2018-06-01/runtime/invocation/%s/%s" % (head["Lambda-Runtime-Aws-Request-Id"], mode)
    status, _, text = call("POST", path, headers, body)
    return status, text.strip()
"#;

/// A runtime that is this script.
fn runtime(source: &str) -> Option<(Function, String)> {
    let f = function("")?.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "30");
    let path = f.folder.join("runtime");
    let python = f.executable.python.display();
    host::write(&path, &format!("#!{python}\n{COMMON}\n{RAW}\n{source}"));
    host::make_executable(&path);
    let path = path.to_str().unwrap().to_owned();
    Some((f, path))
}

#[test]
fn a_runtime_is_told_what_it_does_wrong() {
    let source = r#"
P = "/2018-06-01/runtime/"
note("early %d" % call("POST", P + "invocation/x/response", {}, "1")[0])
head, body = next_invocation()
note("%s %s" % (head["Content-Type"], body))
assert 0 < int(head["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000 <= 30_000
note("second next %d %s" % call("GET", P + "invocation/next")[::2])
note("init error %d" % call("POST", P + "init/error", {}, "{}")[0])
note("other id %d %s" % call("POST", P + "invocation/other/response", {}, "1")[::2])
own = {"Lambda-Runtime-Invocation-Id": head["Lambda-Runtime-Invocation-Id"]}
note("stale %d" % answer(head, "1", headers={"Lambda-Runtime-Invocation-Id": "stale"})[0])
note("answer %d %s" % answer(head, "[1]", headers={"Content-Type": "text/x-own", **own}))
note("again %d" % answer(head, "1")[0])
head, body = next_invocation()
note("mode %d" % answer(head, "1", headers={"Lambda-Runtime-Function-Response-Mode": "own"})[0])
head, body = next_invocation()
note("error %d" % answer(head, '{"errorType": "Own"}', "error")[0])
note("nowhere %d %d" % (call("GET", P)[0], call("PUT", P + "invocation/next")[0]))
note("restore %d" % call("GET", P + "restore/next")[0])
next_invocation()
"#;
    let Some((f, path)) = runtime(source) else {
        return;
    };
    let emulator = Emulator::start_with(&f, &[&path]);
    let reply = emulator.invoke("{\"a\": 1}");
    assert_eq!((reply.status, reply.body.as_str()), (200, "[1]"));
    assert!(
        reply.head.contains("\r\nContent-Type: text/x-own\r\n"),
        "{}",
        reply.head
    );
    let reply = emulator.invoke("2");
    assert!(reply.is_function_error() && reply.body.contains("Runtime.InvalidResponseModeHeader"));
    let reply = emulator.invoke("3");
    assert!(reply.is_function_error() && reply.body == "{\"errorType\": \"Own\"}");
    emulator.stop();
    let transition =
        "{\"errorMessage\":\"Transition is not allowed\",\"errorType\":\"InvalidStateTransition\"}";
    assert_eq!(
        journal(&f),
        [
            "early 400",
            "application/json {\"a\": 1}",
            &format!("second next 403 {transition}"),
            "init error 403",
            "other id 400 {\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}",
            "stale 410",
            "answer 202 {\"status\":\"OK\"}",
            "again 403",
            "mode 400",
            "error 202",
            "nowhere 404 404",
            "restore 200",
        ]
    );
}

#[test]
fn a_response_that_is_cut_is_an_error() {
    let source = r#"
while True:
    head, body = next_invocation()
    start = "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\n" % head["Lambda-Runtime-Aws-Request-Id"]
    streaming = start + "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer_text = {
        "cut": lambda: raw((streaming + "5\r\nhello\r\n").encode(), True),
        "cut in chunk": lambda: raw((streaming + "5\r\nhe").encode(), True),
        "no chunk": lambda: raw((streaming + "5\r\nhello\r\nxyz\r\n").encode()),
        "cut length": lambda: raw((start + "Content-Length: 5\r\n\r\nhe").encode(), True) + str(answer(head, '"whole"')),
    }[json.loads(body)]()
    note(answer_text.split("\r\n")[0])
"#;
    let Some((f, path)) = runtime(source) else {
        return;
    };
    let emulator = Emulator::start_with(&f, &[&path]);
    for event in ["cut", "cut in chunk", "no chunk"] {
        let reply = emulator.invoke(&format!("\"{event}\""));
        assert_eq!(
            (reply.status, reply.is_function_error()),
            (200, true),
            "{event}"
        );
        assert!(
            reply
                .body
                .contains("\"errorType\":\"Runtime.TruncatedResponse\""),
            "{}",
            reply.body
        );
    }
    // What was not begun can be sent once more.
    assert_eq!(emulator.invoke("\"cut length\"").body, "\"whole\"");
    emulator.stop();
    assert_eq!(journal(&f), ["HTTP/1.1 400 Bad Request"].repeat(4));
}

#[test]
fn a_slow_caller_slows_the_function_down() {
    let source = r#"
head, body = next_invocation()
path = "/2018-06-01/runtime/invocation/%s/response" % head["Lambda-Runtime-Aws-Request-Id"]
def pieces():
    for number in range(60):
        note("piece %d" % number)
        yield b"x" * 1_000_000
connection = http.client.HTTPConnection(host, int(port))
connection.request("POST", path, pieces(), {"Lambda-Runtime-Function-Response-Mode": "streaming"}, encode_chunked=True)
note("answer %d" % connection.getresponse().status)
next_invocation()
"#;
    use std::io::{Read, Write};
    use std::time::Duration;
    let Some((f, path)) = runtime(source) else {
        return;
    };
    let emulator = Emulator::start_with(&f, &[&path]);
    let mut stream = std::net::TcpStream::connect(&emulator.address).unwrap();
    let head = "POST /2021-11-15/functions/function/response-streaming-invocations HTTP/1.1\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1";
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 100]).unwrap();
    thread::sleep(Duration::from_millis(700));
    let before = journal(&f).len();
    thread::sleep(Duration::from_millis(300));
    assert_eq!(journal(&f).len(), before, "it waits");
    assert!(before < 40, "{before} pieces of 1 MB went somewhere");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 60_000_000);
    emulator.stop();
    assert_eq!(journal(&f).last().map(String::as_str), Some("answer 202"));
}

#[test]
fn a_caller_that_leaves_does_not_stop_the_function() {
    let source = "\ndef pieces():\n    for number in range(50):\n        yield 'x' * 100_000\n        time.sleep(0.01)\n    note('complete')\ndef handler(event, context):\n    return pieces() if event else 1\n";
    let Some(f) = function(&format!("{COMMON}{source}")) else {
        return;
    };
    let emulator = Emulator::start(&f);
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(&emulator.address).unwrap();
    let head = "POST /2021-11-15/functions/function/response-streaming-invocations HTTP/1.1\r\nContent-Length: 1\r\n\r\n1";
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    assert_eq!(emulator.invoke("0").body, "1");
    let (_, stdout, _) = emulator.stop();
    assert_eq!(journal(&f), ["complete"]);
    assert!(
        !stdout.contains("LAMBDA_RUNTIME"),
        "nor is it told: {stdout}"
    );
}

#[test]
fn a_runtime_that_asks_again_on_another_connection_gets_the_event() {
    let source = r#"
head, body = next_invocation()
answer(head, body)
waiting = socket.create_connection((host, int(port)))
waiting.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
time.sleep(0.2)
waiting.close()
while True:
    head, body = next_invocation()
    answer(head, body)
"#;
    let Some((f, path)) = runtime(source) else {
        return;
    };
    let emulator = Emulator::start_with(&f, &[&path]);
    assert_eq!(emulator.invoke("[1]").body, "[1]");
    thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(emulator.invoke("[2]").body, "[2]");
    emulator.stop();
}

const CONCURRENT: &str = r#"
import os, time
def handler(event, context):
    if event == "late":
        time.sleep(2)
        return "late"
    open(event, "w").close()
    while len([name for name in os.listdir(".") if name.startswith("at-")]) < 3: time.sleep(0.01)
    return event
"#;

#[test]
fn several_events_at_once_in_one_environment() {
    let Some(f) = function(CONCURRENT) else {
        return;
    };
    let f = f.variable("AWS_LAMBDA_MAX_CONCURRENCY", "3");
    let emulator = Emulator::start(&f);
    let callers: Vec<_> = (0..3)
        .map(|number| {
            let address = emulator.address.clone();
            let event = format!("\"at-{number}\"");
            thread::spawn(move || {
                let body = request(&address, "POST", super::PATH, "", event.as_bytes()).body;
                assert_eq!(body, event);
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    let (code, stdout, _) = emulator.stop();
    assert_eq!(code, Some(0));
    assert_eq!(stdout.matches("Init Duration").count(), 1, "{stdout}");
}

#[test]
fn a_timeout_ends_one_of_several_events_only() {
    let Some(f) = function(CONCURRENT) else {
        return;
    };
    let f = f
        .variable("AWS_LAMBDA_MAX_CONCURRENCY", "2")
        .variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "1");
    let emulator = Emulator::start(&f);
    assert_eq!(
        emulator.invoke("\"late\"").body,
        "Task timed out after 1.00 seconds"
    );
    for event in ["\"at-0\"", "\"at-1\""] {
        let address = emulator.address.clone();
        thread::spawn(move || request(&address, "POST", super::PATH, "", event.as_bytes()));
    }
    thread::sleep(std::time::Duration::from_millis(1500));
    host::write(&f.folder.join("at-2"), "");
    assert_eq!(emulator.invoke("\"at-3\"").body, "\"at-3\"");
    let (_, stdout, _) = emulator.stop();
    assert_eq!(
        stdout.matches("Init Duration").count(),
        1,
        "the environment goes on: {stdout}"
    );
    assert!(
        stdout.contains("410"),
        "the late answer is refused: {stdout}"
    );
}
