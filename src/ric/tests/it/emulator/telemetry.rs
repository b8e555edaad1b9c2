//! The Telemetry API and the older Logs API.

use std::time::{Duration, Instant};

use super::{COMMON, Emulator, extension, journal};
use crate::function::{Function, function};
use crate::host;

/// An extension that subscribes as VERSION says, keeps what it gets in `received`, a batch in a line, and waits for its end.
const SUBSCRIBER: &str = r#"
import http.server, socket, socketserver, threading
last = threading.Event()
class Batches(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, self.headers["Content-Type"]) == ("/in?a=b", "application/json")
        with open("received", "a") as file: file.write(json.dumps([self.command, batch]) + "\n")
        self.send_response(200)
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *_): pass
class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        batch = [json.loads(line) for line in self.rfile]
        if not batch: last.set()
        with open("received", "a") as file: file.write(json.dumps(["TCP", batch]) + "\n")
name = os.path.basename(__file__)
me = register(name, "INVOKE", "SHUTDOWN")
if PROTOCOL == "TCP":
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lines)
    destination = {"protocol": "TCP", "port": server.server_address[1]}
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Batches)
    uri = "http://sandbox.localdomain:%d/in?a=b" % server.server_address[1]
    destination = {"protocol": "HTTP", "URI": uri, "method": PROTOCOL}
threading.Thread(target=server.serve_forever, daemon=True).start()
status, _, body = call("PUT", PATH, {"Lambda-Extension-Identifier": me}, json.dumps({"schemaVersion": VERSION,
    "types": TYPES, "destination": destination, "buffering": {"timeoutMs": 25}}))
assert (status, body) == (200, '"OK"'), body
print("extension says hello", flush=True)
while next_event(me)["eventType"] != "SHUTDOWN": pass
# Nobody confirms what comes over TCP: an empty connection behind the others shows that they have arrived.
if PROTOCOL == "TCP":
    socket.create_connection(server.server_address).close()
    last.wait(5)
    server.server_close()
"#;

const FUNCTION: &str = r#"
print("imported")
def handler(event, context):
    print('{"level": "INFO"}')
    if event == "raise": raise ValueError("no")
    if event == "exit": os._exit(1)
    print("part", end="", flush=True)
    print("no line", end="", file=sys.stderr)
    return "four"
"#;

fn subscriber(protocol: &str, path: &str, version: &str, types: &str) -> Option<Function> {
    let f = function(&format!("{COMMON}\n{FUNCTION}"))?;
    let head =
        format!("PROTOCOL, PATH, VERSION, TYPES = '{protocol}', '{path}', '{version}', {types}\n");
    extension(&f, "subscriber", &(head + SUBSCRIBER));
    Some(f)
}

/// Type and record of everything that was received, with what differs each time replaced, each kind in its own order.
fn received(f: &Function) -> Vec<(String, String)> {
    let code = r#"
import json, re
for line in open("received"):
    method, batch = json.loads(line)
    for event in batch:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
        def plain(value, key=""):
            if isinstance(value, dict): return {k: plain(v, k) for k, v in value.items()}
            if isinstance(value, list): return [plain(v) for v in value]
            if key.endswith("Ms") or key == "maxMemoryUsedMB":
                assert value >= 0
                return 0
            if key in ("requestId", "start"): return key.upper()
            return value
        record = event["record"]
        if isinstance(record, str): record = re.sub("[0-9a-f-]{36}", "ID", record)
        print(method + " " + event["type"] + "|" + json.dumps(plain(record), separators=(",", ":")))
"#;
    let output = f
        .command(f.executable.python.to_str().unwrap())
        .args(["-c", code])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let pair = |line: &str| {
        line.split_once('|')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn of<'a>(records: &'a [(String, String)], kind: &str) -> Vec<&'a str> {
    let found = records
        .iter()
        .filter(|(own, _)| own.split(' ').nth(1) == Some(kind));
    found.map(|(_, record)| record.as_str()).collect()
}

#[test]
fn an_extension_gets_everything_that_happens() {
    let types = "['platform', 'function', 'extension']";
    let Some(f) = subscriber("POST", "/2022-07-01/telemetry", "2022-12-13", types) else {
        return;
    };
    let f = f
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "9");
    let emulator = Emulator::start(&f);
    let trace = "X-Amzn-Trace-Id: Root=1;Sampled=1\r\n";
    assert_eq!(
        emulator.request("POST", super::PATH, trace, b"1").body,
        "\"four\""
    );
    assert_eq!(emulator.invoke("\"raise\"").status, 200);
    assert_eq!(emulator.stop().0, Some(0));
    let records = received(&f);
    let platform: Vec<&str> = records
        .iter()
        .filter_map(|(kind, _)| kind.strip_prefix("POST platform."))
        .collect();
    let invocation = ["start", "runtimeDone", "report"];
    assert_eq!(
        platform,
        [
            &[
                "initStart",
                "telemetrySubscription",
                "initRuntimeDone",
                "extension",
                "initReport"
            ][..],
            &invocation,
            &invocation
        ]
        .concat()
    );
    let init = "\"initializationType\":\"on-demand\",\"phase\":\"init\"";
    let tracing = "\"tracing\":{\"type\":\"X-Amzn-Trace-Id\",\"value\":\"Root=1;Sampled=1\"}";
    let span = |name| format!("{{\"name\":\"{name}\",\"start\":\"START\",\"durationMs\":0}}");
    let (latency, duration) = (span("responseLatency"), span("responseDuration"));
    let metrics =
        "\"durationMs\":0,\"billedDurationMs\":0,\"memorySizeMB\":3008,\"maxMemoryUsedMB\":0";
    let id = "\"requestId\":\"REQUESTID\"";
    for (kind, expected) in [
        (
            "platform.initStart",
            vec![format!("{{{init},\"functionName\":\"test_function\",\"functionVersion\":\"$LATEST\"}}")],
        ),
        (
            "platform.telemetrySubscription",
            vec!["{\"name\":\"subscriber\",\"state\":\"Subscribed\",\"types\":[\"platform\",\"function\",\"extension\"]}".to_owned()],
        ),
        ("platform.initRuntimeDone", vec![format!("{{{init},\"status\":\"success\"}}")]),
        (
            "platform.extension",
            vec!["{\"name\":\"subscriber\",\"state\":\"Ready\",\"events\":[\"INVOKE\",\"SHUTDOWN\"]}".to_owned()],
        ),
        (
            "platform.initReport",
            vec![format!("{{{init},\"status\":\"success\",\"metrics\":{{\"durationMs\":0}}}}")],
        ),
        (
            "platform.start",
            vec![
                format!("{{{id},\"version\":\"$LATEST\",{tracing}}}"),
                format!("{{{id},\"version\":\"$LATEST\"}}"),
            ],
        ),
        (
            "platform.runtimeDone",
            vec![
                format!("{{{id},\"status\":\"success\",{tracing},\"spans\":[{latency},{duration}],\"metrics\":{{\"durationMs\":0,\"producedBytes\":6}}}}"),
                format!("{{{id},\"status\":\"error\",\"errorType\":\"Runtime.Unknown\",\"metrics\":{{\"durationMs\":0,\"producedBytes\":0}}}}"),
            ],
        ),
        (
            "platform.report",
            vec![
                format!("{{{id},\"status\":\"success\",\"metrics\":{{{metrics},\"initDurationMs\":0}}}}"),
                format!("{{{id},\"status\":\"error\",\"errorType\":\"Runtime.Unknown\",\"metrics\":{{{metrics}}}}}"),
            ],
        ),
        ("extension", vec!["\"extension says hello\"".to_owned()]),
    ] {
        assert_eq!(of(&records, kind), expected, "{kind}");
    }
    let mut lines = of(&records, "function");
    // The two streams of a process have no common order.
    lines[1..4].sort_unstable();
    assert_eq!(
        lines[..4],
        [
            "\"imported\"",
            "\"no line\"",
            "\"part\"",
            "{\"level\":\"INFO\"}"
        ]
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("{\"timestamp\"")
                && line.contains("\"errorMessage\":\"no\"")),
        "{lines:?}"
    );
}

#[test]
fn the_logs_api_has_its_own_records() {
    let Some(f) = subscriber("PUT", "/2020-08-15/logs", "2020-08-15", "['platform']") else {
        return;
    };
    let emulator = Emulator::start(&f);
    emulator.invoke("1");
    emulator.invoke("\"exit\"");
    emulator.stop();
    let records = received(&f);
    let kinds: Vec<&str> = records
        .iter()
        .map(|(kind, _)| kind.strip_prefix("PUT platform.").unwrap())
        .collect();
    let invocation = ["start", "end", "report"];
    let failed = [
        "logsSubscription",
        "extension",
        "start",
        "fault",
        "end",
        "report",
    ];
    assert_eq!(
        kinds,
        [
            &["logsSubscription", "extension"][..],
            &invocation,
            &failed[2..]
        ]
        .concat()
    );
    let fault = "\"RequestId: ID Error: Runtime exited with error: exit status 1\"";
    assert_eq!(of(&records, "platform.fault"), [fault]);
}

#[test]
fn newer_logs_come_over_tcp_too() {
    let Some(f) = subscriber(
        "TCP",
        "/2020-08-15/logs/",
        "2021-03-18",
        "['platform', 'function']",
    ) else {
        return;
    };
    let emulator = Emulator::start(&f);
    emulator.invoke("1");
    emulator.stop();
    let records = received(&f);
    assert_eq!(of(&records, "platform.runtimeDone").len(), 1, "{records:?}");
    // Objects are passed on as text in these schemas.
    let lines = of(&records, "function");
    assert!(
        lines.contains(&"\"{\\\"level\\\": \\\"INFO\\\"}\""),
        "{lines:?}"
    );
    assert!(records.iter().all(|(kind, _)| kind.starts_with("TCP ")));
}

#[test]
fn bad_subscriptions_are_refused() {
    let source = r#"
me = register("bad", "INVOKE")
def put(path, headers, body):
    status, _, answer = call("PUT", path, headers, body)
    note("%d %s" % (status, answer))
own = {"Lambda-Extension-Identifier": me}
good = {"schemaVersion": "2025-01-29", "types": ["platform"], "destination": {"protocol": "HTTP", "URI": "http://localhost:1/"}}
put("/2022-07-01/telemetry", {}, json.dumps(good))
put("/2022-07-01/telemetry", {"Lambda-Extension-Identifier": "12345678-1234-1234-1234-123456789012"}, json.dumps(good))
put("/2022-07-01/telemetry", own, "nonsense")
put("/2022-07-01/telemetry", own, json.dumps({**good, "types": [], "destination": {"protocol": "HTTP", "URI": "http://localhost/"}}))
put("/2020-08-15/logs", own, "{}")
put("/2022-07-01/telemetry", own, json.dumps(good))
put("/2020-08-15/logs", own, json.dumps({"types": ["function"], "destination": {"protocol": "TCP", "port": 1}}))
next_event(me)
put("/2022-07-01/telemetry", own, json.dumps(good))
put("/2020-08-15/logs", own, "{\"types\": [\"function\"], \"destination\": {\"protocol\": \"TCP\", \"port\": 1}}")
next_event(me)
"#;
    let Some(f) = function("def handler(event, context): return 1\n") else {
        return;
    };
    extension(&f, "bad", source);
    let emulator = Emulator::start(&f);
    assert_eq!(emulator.invoke("1").body, "1");
    // A subscriber that does not listen delays nothing for long.
    let begun = Instant::now();
    assert_eq!(emulator.stop().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(4));
    let error = |status, message, kind| {
        format!("{status} {{\"errorMessage\":\"{message}\",\"errorType\":\"{kind}\"}}")
    };
    assert_eq!(
        journal(&f),
        [
            error(
                403,
                "Missing Lambda-Extension-Identifier header",
                "Extension.MissingExtensionIdentifier"
            ),
            error(
                403,
                "Unknown extension 12345678-1234-1234-1234-123456789012",
                "Extension.UnknownExtensionIdentifier"
            ),
            error(400, "the body is not a JSON object", "ValidationError"),
            error(
                400,
                "types should not be empty; URI port is not provided",
                "ValidationError"
            ),
            error(
                400,
                "types should not be empty; destination is not provided",
                "Logs.ValidationError"
            ),
            "200 \"OK\"".to_owned(),
            error(
                400,
                "this extension has subscribed through the other API",
                "ValidationError"
            ),
            error(
                403,
                "Telemetry API subscription is closed",
                "Telemetry.SubscriptionClosed"
            ),
            error(
                403,
                "Logs API subscription is closed",
                "Logs.SubscriptionClosed"
            ),
        ]
    );
}

#[test]
fn a_flood_of_lines_arrives_in_batches_or_is_counted() {
    let Some(f) = subscriber(
        "POST",
        "/2022-07-01/telemetry",
        "2025-01-29",
        "['platform', 'function']",
    ) else {
        return;
    };
    host::write(
        &f.folder.join("app.py"),
        "def handler(event, context):\n    for number in range(event): print('line', number)\n",
    );
    let emulator = Emulator::start(&f);
    assert_eq!(emulator.invoke("30000").body, "null");
    assert_eq!(emulator.invoke("1").body, "null");
    emulator.stop();
    let records = received(&f);
    let dropped: u32 = of(&records, "platform.logsDropped")
        .iter()
        .map(|record| {
            let rest = record.split_once("\"droppedRecords\":").unwrap().1;
            rest.split([',', '}'])
                .next()
                .unwrap()
                .parse::<u32>()
                .unwrap()
        })
        .sum();
    let lines = of(&records, "function").len() as u32;
    assert!(lines + dropped >= 30_001, "{lines} and {dropped} dropped");
    let batches = String::from_utf8(host::read(&f.folder.join("received"))).unwrap();
    for batch in batches.lines() {
        assert!(batch.matches("\"time\"").count() <= 1000);
    }
}
