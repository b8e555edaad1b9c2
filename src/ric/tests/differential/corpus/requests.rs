//! The Runtime API's side: headers, statuses, framing, and connections.

use crate::case::{Case, case};
use crate::compare::compare;

const ECHO: &str = "def handler(event, context):\n    if event == 'fail': raise ValueError('failed')\n    return event\n";

/// A post that is refused: what is printed, and whether the process goes on.
fn refused() -> Vec<Case> {
    let mut all = Vec::new();
    for status in [
        200, 201, 202, 204, 299, 300, 301, 304, 400, 403, 404, 410, 413, 429, 500, 502, 503,
    ] {
        let one = case(&format!("response answered {status}"), ECHO)
            .event("1")
            .answer(
                status,
                if matches!(status, 204 | 304) {
                    ""
                } else {
                    "{\"errorType\": \"Why\"}"
                },
            );
        all.push(one.event("2"));
    }
    for status in [202, 400, 403, 410, 413, 500] {
        all.push(
            case(&format!("error answered {status}"), ECHO)
                .event("\"fail\"")
                .answer(status, "why")
                .event("2"),
        );
    }
    all
}

/// What `next` may answer.
fn answers() -> Vec<Case> {
    let id = "Lambda-Runtime-Aws-Request-Id: r\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\nContent-Type: application/json\r\n";
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{id}{rest}");
    let one =
        |name: &str, message: String| case(name, ECHO).raw_event("raw", message).event("\"then\"");
    let mut all = vec![
        one(
            "chunked",
            ok("Transfer-Encoding: chunked\r\n\r\n3\r\n\"ab\r\n2;x=y\r\nc\"\r\n0\r\n\r\n"),
        ),
        one(
            "chunked with a trailer",
            ok("Transfer-Encoding: chunked\r\n\r\n1\r\n5\r\n0\r\nX-Trailer: t\r\n\r\n"),
        ),
        one(
            "100 before it",
            format!(
                "HTTP/1.1 100 Continue\r\n\r\n{}",
                ok("Content-Length: 1\r\n\r\n5")
            ),
        ),
        one(
            "lower case names",
            ok("content-length: 1\r\n\r\n5")
                .to_lowercase()
                .replace("http/1.1 200 ok", "HTTP/1.1 200 OK"),
        ),
        one(
            "no reason",
            ok("Content-Length: 1\r\n\r\n5").replace("200 OK", "200"),
        ),
        one(
            "status 201",
            ok("Content-Length: 1\r\n\r\n5").replace("200 OK", "201 Created"),
        ),
        one(
            "status 299",
            ok("Content-Length: 1\r\n\r\n5").replace("200 OK", "299 X"),
        ),
        one(
            "two ids",
            ok("Lambda-Runtime-Aws-Request-Id: second\r\nContent-Length: 1\r\n\r\n5"),
        ),
        one(
            "spaces around values",
            ok("Content-Length:   1   \r\nLambda-Runtime-Trace-Id: \t x \t\r\n\r\n5"),
        ),
        one(
            "no space behind the colon",
            ok("Content-Length:1\r\nLambda-Runtime-Trace-Id:x\r\n\r\n5"),
        ),
        one(
            "keep-alive headers",
            ok("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 1\r\n\r\n5"),
        ),
        one("empty body", ok("Content-Length: 0\r\n\r\n")),
        one(
            "empty request id",
            ok("Content-Length: 1\r\n\r\n5").replace("Request-Id: r\r\n", "Request-Id: \r\n"),
        ),
    ];
    for (name, message) in [
        ("status 404", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_owned()),
        ("status 500", ok("Content-Length: 1\r\n\r\n5").replace("200 OK", "500 X")),
        ("status 403", "HTTP/1.1 403 Forbidden\r\nContent-Length: 36\r\n\r\n{\"errorType\":\"InvalidStateTransition\"}".to_owned()),
        ("no request id", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n5".to_owned()),
        ("no HTTP", "hello\r\n\r\n".to_owned()),
    ] {
        all.push(case(name, ECHO).raw_event("raw", message).closing());
    }
    for (name, message) in [
        ("closed at once", String::new()),
        (
            "closed in the head",
            "HTTP/1.1 200 OK\r\nLambda-Run".to_owned(),
        ),
        ("closed in the body", ok("Content-Length: 10\r\n\r\n12345")),
        (
            "closed in a chunk",
            ok("Transfer-Encoding: chunked\r\n\r\n5\r\n123"),
        ),
        (
            "closed behind it",
            ok("Connection: close\r\nContent-Length: 1\r\n\r\n5"),
        ),
        ("body until the end", ok("\r\n5")),
    ] {
        all.push(
            case(name, ECHO)
                .raw_event("raw", message)
                .closing()
                .event("\"then\""),
        );
    }
    all.push(one(
        "no content type",
        ok("Content-Length: 1\r\n\r\n5").replace("Content-Type: application/json\r\n", ""),
    ));
    all.push(one(
        "deadline zero",
        ok("Content-Length: 1\r\n\r\n5").replace("4102444800000", "0"),
    ));
    all.push(one(
        "no deadline",
        ok("Content-Length: 1\r\n\r\n5")
            .replace("Lambda-Runtime-Deadline-Ms: 4102444800000\r\n", ""),
    ));
    all
}

/// Large events and results, and an X-Ray cause around its limit.
fn sizes() -> Case {
    let source = "\
def handler(event, context):
    if isinstance(event, int):
        raise ValueError('x' * event)
    return event if isinstance(event, str) else bytes(event)
";
    let mut all = case("sizes", source);
    for size in [1, 16_000, 16_384, 16_385, 65_536, 1_000_000, 5_500_000] {
        all = all.event_with(
            &format!("text of {size}"),
            format!("\"{}\"", "a".repeat(size)).as_bytes(),
            &[],
        );
        all = all.event_with(
            &format!("bytes of {size}"),
            &vec![b'b'; size],
            &[("Content-Type", "x/y")],
        );
    }
    for size in [1000, 1_048_000, 1_048_400, 1_048_570, 1_048_576, 1_050_000] {
        all = all.event(&size.to_string());
    }
    all
}

fn kept() -> Vec<Case> {
    let closing = "def handler(event, context):\n    return event\n";
    let mut many = case("a hundred events", ECHO);
    for n in 0..100 {
        many = many.event(&n.to_string());
    }
    vec![
        many,
        case("a fork in the handler", "import os\ndef handler(event, context):\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\n    return event\n").event("1").event("2"),
        case("a thread that goes on", "import threading, time\ndef handler(event, context):\n    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n    return threading.active_count() > 1\n").event("1").event("2"),
        case("threads in the handler", "import threading\ndef handler(event, context):\n    return [threading.active_count(), threading.current_thread() is threading.main_thread(), threading.current_thread().name]\n").event("1"),
        case("descriptors", "import os\ndef handler(event, context):\n    os.set_inheritable(1, True)\n    return event\n").event("1").event("2"),
        case("changed folder", "import os\ndef handler(event, context):\n    os.chdir('/')\n    if event: 1 / 0\n    return os.getcwd()\n").event("0").event("1"),
        case("changed environment", "import os\ndef handler(event, context):\n    os.environ['AWS_LAMBDA_RUNTIME_API'] = 'elsewhere:1'\n    os.environ['AWS_EXECUTION_ENV'] = 'AWS_Lambda_python3.11'\n    return 'ü'\n").event("0").event("1"),
        case("cleared environment", "import os\ndef handler(event, context):\n    os.environ.clear()\n    if event: raise ValueError('ü')\n    return ['ü', context.function_name]\n").event("0").event("1"),
        case("recursion limit", "import sys\nsys.setrecursionlimit(60)\ndef handler(event, context):\n    return event\n").event("0").event("[[[[1]]]]"),
        case("gc off", "import gc\ngc.disable()\ndef handler(event, context):\n    return gc.isenabled()\n").event("1"),
        case("json patched", "import json\njson.dumps = json.loads = None\ndef handler(event, context):\n    return event\n").event("{\"a\": 1}"),
        case("json encoder patched", "import json\njson.JSONEncoder.default = lambda self, o: 'patched'\ndef handler(event, context):\n    return {1, 2}\n").event("{\"a\": 1}"),
        case("ids echoed", closing).event_with("id", b"1", &[("Lambda-Runtime-Invocation-Id", "a b/c")]).event_with("none", b"1", &[("Lambda-Runtime-Invocation-Id", "")]),
        case("id echoed on errors", ECHO).event_with("id", b"\"fail\"", &[("Lambda-Runtime-Invocation-Id", "i-1")]).event_with("bad", b"{", &[("Lambda-Runtime-Invocation-Id", "i-2")]),
        case("a generator", "def handler(event, context):\n    yield 'part'\n    yield b'and part'\n").event("1").event("2"),
        case("a coroutine", "async def handler(event, context):\n    return event\n").event("5"),
        case("modified handler", "def handler(event, context):\n    global handler\n    handler = None\n    return event\n").event("1").event("2"),
    ]
}

#[test]
fn requests() {
    let mut cases = refused();
    cases.extend(answers());
    cases.push(sizes());
    cases.extend(kept());
    compare("requests", cases);
}
