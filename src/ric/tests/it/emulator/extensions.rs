//! The Extensions API.

use super::{COMMON, Emulator, extension, journal};
use crate::function::{Function, function};
use crate::host;

const QUIET: &str = r#"
me = register(os.path.basename(__file__), "INVOKE", "SHUTDOWN")
while next_event(me)["eventType"] != "SHUTDOWN": pass
"#;

fn noting(source: &str) -> Option<Function> {
    function(&format!("{COMMON}\n{source}"))
}

#[test]
fn programs_in_the_folder_are_started_in_order_and_register() {
    let Some(f) =
        noting("note('function')\ndef handler(event, context): return context.aws_request_id\n")
    else {
        return;
    };
    let f = f
        .variable("AWS_LAMBDA_FUNCTION_NAME", "shop")
        .variable("KEY", "value");
    let source = r#"
status, head, body = call("POST", "/2020-01-01/extension/register",
    {"Lambda-Extension-Name": "first", "Lambda-Extension-Accept-Feature": "other, accountId"}, '{"events": ["INVOKE"]}')
assert status == 200 and head["Content-Type"] == "application/json", (status, body)
note(body)
hidden = ["_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_EXECUTION_ENV"]
note(str([name in os.environ for name in hidden]))
note(str([os.environ[name] for name in ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "KEY")]))
me = head["Lambda-Extension-Identifier"]
status, head, body = call("GET", "/2020-01-01/extension/event/next", {"Lambda-Extension-Identifier": me})
event = json.loads(body)
note(" ".join(event) + " " + event["requestId"] + " " + event["invokedFunctionArn"] + " " + event["tracing"]["value"])
assert head["Lambda-Extension-Identifier"] == me and len(head["Lambda-Extension-Event-Identifier"]) == 36
next_event(me)
"#;
    extension(&f, "first", source);
    extension(
        &f,
        "second",
        "time.sleep(0.2)\nnote('second')\nme = register('second')\nnext_event(me)\n",
    );
    host::write(&f.folder.join("extensions/README"), "not a program");
    let emulator = Emulator::start(&f);
    let trace = "X-Amzn-Trace-Id: Root=1-2;Sampled=1\r\n";
    let reply = emulator.request("POST", super::PATH, trace, b"1");
    let id = reply.body.trim_matches('"').to_owned();
    let (_, stdout, stderr) = emulator.stop();
    assert_eq!(stderr, "");
    let arn = "arn:aws:lambda:us-east-1:012345678912:function:shop";
    assert_eq!(
        journal(&f),
        [
            r#"{"functionName":"shop","functionVersion":"$LATEST","handler":"app.handler","accountId":"012345678912"}"#,
            "[False, False, False, False, False]",
            "['shop', '3008', 'value']",
            "second",
            "function",
            &format!(
                "eventType deadlineMs requestId invokedFunctionArn tracing {id} {arn} Root=1-2;Sampled=1"
            ),
        ]
    );
    let lines: Vec<&str> = stdout
        .lines()
        .filter(|line| line.starts_with("EXT"))
        .collect();
    let line = |name, events| format!("EXTENSION\tName: {name}\tState: Ready\tEvents: [{events}]");
    assert_eq!(lines, [line("first", "INVOKE"), line("second", "")]);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let source = r#"
def post(path, headers, body=""):
    status, _, body = call("POST", "/2020-01-01/extension/" + path, headers, body)
    return status, json.loads(body) if status != 404 else None
def show(answer):
    status, body = answer
    results.append([status, body["errorType"], body["errorMessage"].replace(str(me), "ME")])
results, me = [], None
name = {"Lambda-Extension-Name": "internal"}
show(post("register", {}, "{}"))
show(post("register", name, "nonsense"))
show(post("register", name, "[]"))
show(post("register", name, '{"events": "INVOKE"}'))
show(post("register", name, '{"events": [1]}'))
show(post("register", name, '{"events": ["SHUTDOWN"]}'))
show(post("register", name, '{"events": ["OTHER"]}'))
show(post("register", name, '{"configurationKeys": ["a"]}'))
me = register("internal", "INVOKE")
own, kind = {"Lambda-Extension-Identifier": me}, {"Lambda-Extension-Function-Error-Type": "Fatal.Any"}
show(post("register", name, "{}"))
show(post("init/error", kind))
show(post("init/error", {"Lambda-Extension-Identifier": "x", **kind}))
show(post("init/error", own))
unknown = {"Lambda-Extension-Identifier": "12345678-1234-1234-1234-123456789012"}
show(post("exit/error", {**unknown, **kind}))
status, _, body = call("GET", "/2020-01-01/extension/event/next", unknown)
show((status, json.loads(body)))
status, _, body = call("GET", "/2020-01-01/extension/event/next")
show((status, json.loads(body)))
assert post("other", own)[0] == 404
import threading
def loop():
    while True: next_event(me)
threading.Thread(target=loop, daemon=True).start()
def handler(event, context):
    show(post("register", {"Lambda-Extension-Name": "late"}, "{}"))
    return results
"#;
    let Some(f) = noting(source) else { return };
    let emulator = Emulator::start(&f);
    let body = emulator.invoke("1").body;
    emulator.stop();
    let format = "InvalidRequestFormat";
    let expected = [
        ("Extension.InvalidExtensionName", "Empty extension name"),
        (format, "the body is not a JSON object"),
        (format, "the body is not a JSON object"),
        (format, "events is not an array of strings"),
        (format, "events is not an array of strings"),
        (
            "Extension.InvalidEventType",
            "SHUTDOWN: not available to internal extensions",
        ),
        ("Extension.InvalidEventType", "OTHER: unknown event"),
        (
            format,
            "configurationKeys are deprecated; use environment variables instead",
        ),
        (
            "Extension.InvalidExtensionState",
            "Extension with this name already registered",
        ),
        (
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
        ),
        (
            "Extension.InvalidExtensionIdentifier",
            "Invalid Lambda-Extension-Identifier",
        ),
        (
            "Extension.MissingHeader",
            "Lambda-Extension-Function-Error-Type not found",
        ),
        (
            "Extension.UnknownExtensionIdentifier",
            "Unknown extension 12345678-1234-1234-1234-123456789012",
        ),
        (
            "Extension.UnknownExtensionIdentifier",
            "Unknown extension 12345678-1234-1234-1234-123456789012",
        ),
        (
            "Extension.MissingExtensionIdentifier",
            "Missing Lambda-Extension-Identifier header",
        ),
        (
            "Extension.RegistrationClosed",
            "Extension registration closed already",
        ),
    ];
    let expected: Vec<String> = expected
        .iter()
        .map(|(kind, message)| format!("[403, \"{kind}\", \"{message}\"]"))
        .collect();
    assert_eq!(body, format!("[{}]", expected.join(", ")));
}

#[test]
fn an_invocation_lasts_until_extensions_are_done() {
    let Some(f) = noting("def handler(event, context): return 1\n") else {
        return;
    };
    extension(
        &f,
        "slow",
        "me = register('slow', 'INVOKE')\nwhile next_event(me): time.sleep(0.5)\n",
    );
    let emulator = Emulator::start(&f);
    let begun = std::time::Instant::now();
    for _ in 0..2 {
        assert_eq!(emulator.invoke("1").body, "1");
    }
    assert!(begun.elapsed().as_millis() >= 1000);
    let (_, stdout, _) = emulator.stop();
    let durations = stdout.lines().filter_map(|line| {
        let rest = line.strip_prefix("REPORT")?.split_once("\tDuration: ")?.1;
        rest.split_once(" ms")?.0.parse::<f64>().ok()
    });
    let durations: Vec<f64> = durations.collect();
    assert!(
        durations.len() == 2
            && durations
                .iter()
                .all(|millis| (500.0..1000.0).contains(millis)),
        "{stdout}"
    );
}

#[test]
fn an_extension_that_is_never_done_is_a_timeout() {
    let Some(f) = noting("def handler(event, context): return 1\n") else {
        return;
    };
    extension(
        &f,
        "slow",
        "me = register('slow', 'INVOKE')\nnext_event(me)\ntime.sleep(60)\n",
    );
    let emulator = Emulator::start(&f.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "1"));
    assert_eq!(
        emulator.invoke("1").body,
        "Task timed out after 1.00 seconds"
    );
    let (_, stdout, _) = emulator.stop();
    assert!(stdout.contains("\tStatus: timeout\t\n"), "{stdout}");
}

/// An extension that ends itself the first time that this line is reached, and works later.
fn once(f: &Function, before: &str, failure: &str) {
    let source = format!(
        "def fail_once():\n    if not os.path.exists('failed'):\n        open('failed', 'w')\n{failure}\n{before}"
    );
    extension(
        f,
        "x",
        &(source + "while next_event(me)['eventType'] != 'SHUTDOWN': fail_once()\n"),
    );
}

const REPORTS: &str = r#"
        status, head, body = call("POST", "/2020-01-01/extension/PLACE/error", {"Lambda-Extension-Identifier": me,
            "Lambda-Extension-Function-Error-Type": "Fatal.Any"}, "{}")
        assert (status, head["Lambda-Extension-Identifier"], body) == (202, me, '{"status":"OK"}\n'), body
        print(call("GET", "/2020-01-01/extension/event/next", {"Lambda-Extension-Identifier": me})[0])
        sys.exit(1)
"#;

#[test]
fn extensions_that_fail_fail_the_environment() {
    let registers = "me = register('x', 'INVOKE', 'SHUTDOWN')\n";
    let exits = "        sys.exit(3)\n";
    let how = "Extension x exited with error: exit status 3";
    for (before, failure, kind, how) in [
        (
            registers.to_owned(),
            exits.to_owned(),
            "Extension.Crash",
            how,
        ),
        (
            format!("fail_once()\n{registers}"),
            exits.to_owned(),
            "Extension.Crash",
            how,
        ),
        (
            format!("{registers}fail_once()\n"),
            exits.to_owned(),
            "Extension.Crash",
            how,
        ),
        (
            format!("{registers}fail_once()\n"),
            REPORTS.replace("PLACE", "init"),
            "Extension.InitError",
            "Extension x could not initialise: Fatal.Any",
        ),
        (
            registers.to_owned(),
            REPORTS.replace("PLACE", "exit"),
            "Extension.ExitError",
            "Extension x reported: Fatal.Any",
        ),
    ] {
        let Some(f) = noting("def handler(event, context): return event\n") else {
            return;
        };
        once(&f, &before, &failure);
        let emulator = Emulator::start(&f);
        let reply = emulator.invoke("1");
        assert_eq!(
            (reply.status, reply.is_function_error()),
            (502, true),
            "{}",
            reply.body
        );
        let expected = format!(" Error: {how}\",\"errorType\":\"{kind}\"}}");
        assert!(reply.body.ends_with(&expected), "{}", reply.body);
        assert_eq!(emulator.invoke("2").body, "2");
        let (code, stdout, _) = emulator.stop();
        assert_eq!(code, Some(0));
        assert!(stdout.contains(&format!("\n{kind}\n")), "{stdout}");
        assert!(
            !failure.contains("error") || stdout.contains("\n403\n"),
            "{stdout}"
        );
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let Some(f) = noting("def handler(event, context): return event\n") else {
        return;
    };
    let path = extension(&f, "broken", "");
    host::write(&path, "#!/nowhere/at/all\n");
    let emulator = Emulator::start(&f);
    let reply = emulator.invoke("1");
    assert_eq!(reply.status, 502);
    assert!(
        reply.body.contains("broken: No such file or directory"),
        "{}",
        reply.body
    );
    assert!(
        reply
            .body
            .ends_with("\"errorType\":\"Extension.LaunchError\"}"),
        "{}",
        reply.body
    );
    let (_, stdout, _) = emulator.stop();
    assert!(
        stdout.contains("Phase: init\tStatus: error\tError Type: Extension.LaunchError\n"),
        "{stdout}"
    );
}

#[test]
fn an_extension_that_never_registers_ends_the_start() {
    let Some(f) = noting("note('never')\ndef handler(event, context): return event\n") else {
        return;
    };
    extension(&f, "silent", "time.sleep(60)\n");
    let emulator = Emulator::start(&f.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "1"));
    assert_eq!(
        emulator.invoke("1").body,
        "Task timed out after 1.00 seconds"
    );
    let (_, stdout, _) = emulator.stop();
    assert!(
        stdout.contains("Phase: init\tStatus: timeout\n"),
        "{stdout}"
    );
}

#[test]
fn an_extension_that_ends_while_idle_is_started_again() {
    let Some(f) = noting("def handler(event, context): return [event, os.getpid()]\n") else {
        return;
    };
    let source = r#"
note(str(os.getpid()))
me = register("idle", "SHUTDOWN")
next_event(me)
"#;
    extension(&f, "idle", source);
    extension(&f, "other", QUIET);
    let emulator = Emulator::start(&f);
    let first = emulator.invoke("1").body;
    host::signal(journal(&f)[0].parse().unwrap(), "KILL");
    let second = loop {
        let reply = emulator.invoke("1");
        // An event that is under way when the extension ends fails with it.
        if reply.body != first && reply.status == 200 {
            break reply.body;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    assert!(second.starts_with("[1, "), "{second}");
    assert_eq!(emulator.stop().0, Some(0));
    assert_eq!(journal(&f).len(), 2);
}
