//! How an environment ends: who is told, in which order, and that nothing is left.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use super::{COMMON, Emulator, extension, journal};
use crate::function::{Function, function};
use crate::host;

/// A function that notes SIGTERM, and ends.
const ENDS: &str = r#"
def stop(*_):
    note("function SIGTERM")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
def handler(event, context): return 1
"#;

/// An extension that notes its events, and ends with SHUTDOWN.
const WATCHER: &str = r#"
note("extension started")
me = register(os.path.basename(__file__), "INVOKE", "SHUTDOWN")
note("extension registered")
while True:
    event = next_event(me)
    left = event["deadlineMs"] - time.time() * 1000
    note("extension %s %s" % (event["eventType"], event.get("shutdownReason", "")))
    if event["eventType"] == "SHUTDOWN":
        assert 0 < left <= 2000, left
        break
    assert 295_000 < left <= 300_000, left
note("extension ends")
"#;

fn noting(source: &str) -> Option<Function> {
    function(&format!("{COMMON}\n{source}"))
}

fn is_alive(process: &str) -> bool {
    let status = host::read(&std::path::Path::new("/proc").join(process).join("stat"));
    let status = String::from_utf8_lossy(&status).into_owned();
    let rest = status.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
    rest.is_some_and(|rest| !rest.starts_with('Z'))
}

/// The case of AWS's page on graceful shutdown: a function holds a connection and closes it when SIGTERM comes, which it only
/// does because an external extension is registered.
#[test]
fn a_function_with_an_extension_closes_its_connection() {
    let database = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = database.local_addr().unwrap().port();
    let source = format!(
        r#"
import socket
note("function imported")
connection = socket.create_connection(("127.0.0.1", {port}))
def stop(*_):
    note("function SIGTERM")
    connection.sendall(b"quit")
    assert connection.recv(10) == b"bye"
    connection.close()
    note("function closed its connection")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
def handler(event, context):
    connection.sendall(b"query")
    note("function got " + connection.recv(10).decode())
    return context.aws_request_id
"#
    );
    let Some(f) = noting(&source) else { return };
    extension(&f, "watcher", WATCHER);
    let server = thread::spawn(move || {
        let (mut stream, _) = database.accept().unwrap();
        let mut room = [0; 10];
        let mut received = Vec::new();
        loop {
            let count = stream.read(&mut room).unwrap();
            received.push(String::from_utf8_lossy(&room[..count]).into_owned());
            match &room[..count] {
                b"query" => stream.write_all(b"rows").unwrap(),
                b"quit" => stream.write_all(b"bye").unwrap(),
                _ => return received,
            }
        }
    });
    let emulator = Emulator::start(&f);
    let reply = emulator.invoke("1");
    assert_eq!(reply.status, 200);
    let begun = Instant::now();
    let (code, stdout, stderr) = emulator.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    // An orderly end of the connection, and not a reset.
    assert_eq!(server.join().unwrap(), ["query", "quit", ""]);
    let mut noted = journal(&f);
    // These two happen at the same time.
    noted[3..5].sort();
    assert_eq!(
        noted,
        [
            "extension started",
            "extension registered",
            "function imported",
            "extension INVOKE ",
            "function got rows",
            "function SIGTERM",
            "function closed its connection",
            "extension SHUTDOWN spindown",
            "extension ends",
        ]
    );
    let id = reply.body.trim_matches('"');
    assert!(stdout.starts_with(&format!(
        "START RequestId: {id} Version: $LATEST\nEXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n"
    )));
}

#[test]
fn a_function_without_extensions_is_killed_at_once() {
    let Some(f) = noting(ENDS) else { return };
    let emulator = Emulator::start(&f);
    emulator.invoke("1");
    let begun = Instant::now();
    assert_eq!(emulator.stop().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(journal(&f).is_empty());
}

#[test]
fn an_internal_extension_gives_the_function_time_but_gets_no_event() {
    let internal = r#"
import threading
def internal():
    me = register("internal", "INVOKE")
    registered.set()
    while True:
        note("internal " + next_event(me)["eventType"])
registered = threading.Event()
threading.Thread(target=internal, daemon=True).start()
registered.wait()
"#;
    let Some(f) = noting(&format!("{internal}{ENDS}")) else {
        return;
    };
    let emulator = Emulator::start(&f);
    assert_eq!(emulator.invoke("1").body, "1");
    assert_eq!(emulator.stop().0, Some(0));
    assert_eq!(journal(&f), ["internal INVOKE", "function SIGTERM"]);
}

#[test]
fn who_does_not_end_is_killed_at_the_deadline() {
    let source = "signal.signal(signal.SIGTERM, lambda *_: note('function SIGTERM'))\ndef handler(event, context): return os.getpid()\n";
    let Some(f) = noting(source) else { return };
    extension(
        &f,
        "deaf",
        "me = register('deaf', 'SHUTDOWN')\nnext_event(me)\nnote(str(os.getpid()))\ntime.sleep(60)\n",
    );
    extension(
        &f,
        "other",
        "me = register('other')\nnote(str(os.getpid()))\nnext_event(me)\nnote('never')\n",
    );
    let emulator = Emulator::start(&f);
    let function = emulator.invoke("1").body;
    assert!(is_alive(&function));
    let begun = Instant::now();
    assert_eq!(emulator.stop().0, Some(0));
    let took = begun.elapsed().as_millis();
    assert!((2000..4000).contains(&took), "{took}");
    let noted = journal(&f);
    assert_eq!(
        (noted.len(), noted[1].as_str()),
        (3, "function SIGTERM"),
        "{noted:?}"
    );
    for process in [&noted[0], &noted[2], &function] {
        assert!(!is_alive(process), "{process} of {noted:?}");
    }
}

#[test]
fn timeouts_and_crashes_are_told_to_extensions() {
    let source = "def handler(event, context):\n    if event == 'sleep': time.sleep(60)\n    if event == 'exit': os._exit(1)\n    return event\n";
    let Some(f) = noting(source) else { return };
    let f = f.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "4");
    let watcher = WATCHER.replace("295_000 < left <= 300_000", "0 < left <= 4000");
    extension(&f, "watcher", &watcher);
    let emulator = Emulator::start(&f);
    let reply = emulator.invoke("\"sleep\"");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "Task timed out after 4.00 seconds")
    );
    assert_eq!(emulator.invoke("\"exit\"").status, 502);
    assert_eq!(emulator.invoke("2").body, "2");
    emulator.stop();
    let life = |reason: &str| {
        let life = [
            "started",
            "registered",
            "INVOKE ",
            &format!("SHUTDOWN {reason}"),
            "ends",
        ];
        life.map(|word| format!("extension {word}"))
    };
    assert_eq!(
        journal(&f),
        ["timeout", "failure", "spindown"].map(life).concat()
    );
}

/// Starts children of every kind: a plain one, one in a group of its own, one that has lost its parent.
const PARENT: &str = r#"
import subprocess
note(str(os.getpid()))
def handler(event, context):
    sleep = "sh -c 'echo $$ >> journal; exec sleep 1000'"
    for command in ("exec " + sleep, "exec setsid " + sleep, "(setsid " + sleep + " &) ; exit"):
        subprocess.Popen(["sh", "-c", command])
    while len(open("journal").readlines()) < 4:
        time.sleep(0.01)
    if event == "exit": os._exit(1)
"#;

fn processes_of(f: &Function) -> Vec<String> {
    let noted = journal(f);
    assert_eq!(noted.len(), 4, "{noted:?}");
    noted
}

#[test]
fn no_process_is_left_behind() {
    let Some(f) = noting(PARENT) else { return };
    let emulator = Emulator::start(&f);
    emulator.invoke("1");
    let processes = processes_of(&f);
    assert!(processes.iter().all(|process| is_alive(process)));
    assert_eq!(emulator.stop().0, Some(0));
    for process in processes {
        assert!(!is_alive(&process), "{process}");
    }
}

#[test]
fn no_process_survives_a_crash_of_the_function() {
    let Some(f) = noting(PARENT) else { return };
    let emulator = Emulator::start(&f);
    assert_eq!(emulator.invoke("\"exit\"").status, 502);
    for process in processes_of(&f) {
        assert!(!is_alive(&process), "{process}");
    }
    emulator.stop();
}

#[test]
fn a_killed_emulator_takes_its_processes_with_it() {
    // Busy elsewhere, so that none of them ends because its API is gone.
    let source = "def handler(event, context):\n    note(str(os.getpid()))\n    time.sleep(60)\n";
    let Some(f) = noting(source) else { return };
    extension(
        &f,
        "one",
        "import threading\nnote(str(os.getpid()))\nme = register('one')\n\
         threading.Thread(target=next_event, args=[me]).start()\ntime.sleep(60)\n",
    );
    let mut emulator = Emulator::start(&f);
    let kind = "X-Amz-Invocation-Type: Event\r\n";
    emulator.request("POST", super::PATH, kind, b"1");
    let begun = Instant::now();
    while journal(&f).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    emulator.child.kill().unwrap();
    emulator.child.wait().unwrap();
    let begun = Instant::now();
    while journal(&f).iter().any(|process| is_alive(process)) {
        assert!(begun.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stop_in_the_middle_of_everything_is_clean() {
    let source = "note(str(os.getpid()))\ntime.sleep(float(os.environ['SLOW']))\ndef handler(event, context): time.sleep(60)\n";
    for slow in ["0", "60"] {
        let Some(f) = noting(source) else { return };
        let f = f.variable("SLOW", slow);
        let mut emulator = Emulator::start(&f);
        let kind = "X-Amz-Invocation-Type: Event\r\n";
        let reply = emulator.request("POST", super::PATH, kind, b"1");
        assert_eq!(reply.status, 202);
        let begun = Instant::now();
        while journal(&f).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(Duration::from_millis(300));
        host::signal(emulator.child.id(), "INT");
        assert_eq!(emulator.child.wait().unwrap().code(), Some(0));
        for process in journal(&f) {
            assert!(!is_alive(&process), "{process}");
        }
    }
}

/// A script may start the emulator in its own place, beside other programs of its.
#[test]
fn children_from_before_are_left_alone() {
    let Some(f) = noting("def handler(event, context): os._exit(1)\n") else {
        return;
    };
    let script = f.folder.join("script");
    let program = f.program("aws-lambda-rie");
    host::write(
        &script,
        &format!("sleep 1000 & echo $! >> journal; exec {program} \"$@\"\n"),
    );
    let mut command = f.command("/bin/sh");
    let address = super::free_address();
    command
        .arg(script)
        .args(["--runtime-interface-emulator-address", &address])
        .args([&f.program("bootstrap"), "app.handler"]);
    let emulator = Emulator::run(command, address);
    assert_eq!(emulator.invoke("1").status, 502);
    let noted = journal(&f);
    assert_eq!(noted.len(), 1);
    assert!(is_alive(&noted[0]));
    // It holds the emulator's streams.
    host::signal(noted[0].parse().unwrap(), "KILL");
    assert_eq!(emulator.stop().0, Some(0));
}
