//! The emulator: one function, invoked over HTTP.

mod extensions;
mod hostile;
mod runtimes;
mod sdk;
mod shutdown;
mod telemetry;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::function::{Function, collect, function};
use crate::host;

struct Emulator {
    child: Child,
    address: String,
    /// None once somebody has taken them.
    output: Option<[JoinHandle<String>; 2]>,
}

/// A test that fails leaves nothing running.
impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

const PATH: &str = "/2015-03-31/functions/function/invocations";

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

impl Emulator {
    fn start(f: &Function) -> Self {
        Self::start_with(f, &[&f.program("bootstrap"), "app.handler"])
    }

    /// With the extensions that [`extension`] has put there, and any runtime.
    fn start_with(f: &Function, runtime: &[&str]) -> Self {
        let address = free_address();
        let mut command = command(f, &address);
        command.args(runtime);
        Self::run(command, address)
    }

    /// Any command that becomes an emulator at this address.
    fn run(mut command: Command, address: String) -> Self {
        let mut child = command.spawn().unwrap();
        let emulator = Self {
            output: Some([
                collect(child.stdout.take().unwrap()),
                collect(child.stderr.take().unwrap()),
            ]),
            child,
            address,
        };
        let started = Instant::now();
        while TcpStream::connect(&emulator.address).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the emulator does not listen"
            );
            thread::sleep(Duration::from_millis(10));
        }
        emulator
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        request(&self.address, method, path, headers, body)
    }

    fn invoke(&self, event: &str) -> Reply {
        self.request("POST", PATH, "", event.as_bytes())
    }

    /// Ends it; gives exit code, standard output and standard error.
    fn stop(mut self) -> (Option<i32>, String, String) {
        host::signal(self.child.id(), "TERM");
        let status = self.child.wait().unwrap();
        let [stdout, stderr] = self.output.take().unwrap();
        let [stdout, stderr] = [stdout.join().unwrap(), stderr.join().unwrap()];
        (status.code(), stdout, stderr)
    }
}

fn command(f: &Function, address: &str) -> Command {
    let mut command = f.command(&f.program("aws-lambda-rie"));
    command
        .args(["--runtime-interface-emulator-address", address])
        .arg("--extensions-folder")
        .arg(f.folder.join("extensions"));
    command
}

/// What extensions and functions of these tests share: a client of the APIs, and a journal of what happened in which order.
const COMMON: &str = r#"
import http.client, json, os, signal, sys, time
def note(text):
    with open("journal", "a") as journal:
        journal.write(text + "\n")
def call(method, path, headers={}, body=None):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()
def register(name, *events, **headers):
    status, head, body = call("POST", "/2020-01-01/extension/register",
        {"Lambda-Extension-Name": name, **headers}, json.dumps({"events": events}))
    return head["Lambda-Extension-Identifier"] if status == 200 else (status, body)
def next_event(identifier):
    return json.loads(call("GET", "/2020-01-01/extension/event/next", {"Lambda-Extension-Identifier": identifier})[2])
"#;

/// Adds an external extension, a Python program.
fn extension(f: &Function, name: &str, source: &str) -> PathBuf {
    let path = f.folder.join("extensions").join(name);
    let python = f.executable.python.display();
    host::write(&path, &format!("#!{python}\n{COMMON}\n{source}"));
    host::make_executable(&path);
    path
}

/// What was noted, line by line.
fn journal(f: &Function) -> Vec<String> {
    let text = String::from_utf8(host::read(&f.folder.join("journal"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn request(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
    const PATIENCE: Duration = Duration::from_secs(60);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

impl Reply {
    fn is_function_error(&self) -> bool {
        self.head.contains("\r\nX-Amz-Function-Error: Unhandled")
    }
}

const SOURCE: &str = r#"
import os, signal, sys, time
def handler(event, context):
    print("handling", event)
    if event == "sleep": time.sleep(60)
    if event == "raise": raise ValueError("no")
    if event == "exit": os._exit(3)
    if event == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if event == "large": return "x" * 7_000_000
    if event == "context": return [context.client_context.custom, context.function_name, context.memory_limit_in_mb,
        0 < context.get_remaining_time_in_millis() <= 300_000, context.invoked_function_arn]
    return [event, os.getpid()]
"#;

#[test]
fn it_answers_and_reports() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f);
    let reply = emulator.invoke(r#"{"a": 1}"#);
    assert_eq!((reply.status, reply.is_function_error()), (200, false));
    assert!(
        reply.head.contains("\r\nContent-Type: application/json"),
        "{}",
        reply.head
    );
    assert!(reply.body.starts_with(r#"[{"a": 1}, "#), "{}", reply.body);
    let (code, stdout, stderr) = emulator.stop();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = stdout.lines().collect();
    let id = lines[0]
        .strip_prefix("START RequestId: ")
        .unwrap()
        .strip_suffix(" Version: $LATEST")
        .unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(
        lines[1..3],
        ["handling {'a': 1}", &format!("END RequestId: {id}")]
    );
    assert!(
        lines[3].starts_with(&format!("REPORT RequestId: {id}\tInit Duration: ")),
        "{}",
        lines[3]
    );
    assert!(
        lines[3].contains(" ms\tMemory Size: 3008 MB\tMax Memory Used: "),
        "{}",
        lines[3]
    );
    assert_eq!(lines.len(), 4);
}

#[test]
fn errors_of_the_function_are_marked() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f);
    let reply = emulator.invoke("\"raise\"");
    assert_eq!((reply.status, reply.is_function_error()), (200, true));
    assert!(
        reply
            .body
            .starts_with(r#"{"errorMessage": "no", "errorType": "ValueError", "requestId": ""#)
    );
    assert!(emulator.invoke("1").body.starts_with("[1, "));
    assert!(emulator.stop().1.contains("[ERROR] ValueError: no\r"));
}

#[test]
fn a_failed_initialisation_is_a_bad_gateway_and_tried_again() {
    let Some(f) = function("raise ValueError('at start')\n") else {
        return;
    };
    let emulator = Emulator::start(&f);
    for _ in 0..2 {
        let reply = emulator.invoke("1");
        assert_eq!((reply.status, reply.is_function_error()), (502, true));
        assert!(
            reply
                .body
                .starts_with(r#"{"errorMessage": "at start", "errorType": "ValueError""#),
            "{}",
            reply.body
        );
    }
    emulator.stop();
}

#[test]
fn a_runtime_that_dies_is_replaced() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f);
    for (event, how) in [
        ("\"exit\"", "exit status 3"),
        ("\"kill\"", "signal: killed"),
    ] {
        let reply = emulator.invoke(event);
        assert_eq!((reply.status, reply.is_function_error()), (502, true));
        assert!(reply.body.contains(&format!(
            "Error: Runtime exited with error: {how}\",\"errorType\":\"Runtime.ExitError\""
        )));
        assert!(emulator.invoke("1").body.starts_with("[1, "));
    }
    emulator.stop();
}

#[test]
fn a_function_that_takes_too_long_is_ended() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f.variable("AWS_LAMBDA_FUNCTION_TIMEOUT", "1"));
    let before = Instant::now();
    let reply = emulator.invoke("\"sleep\"");
    assert_eq!((reply.status, reply.is_function_error()), (200, true));
    assert_eq!(reply.body, "Task timed out after 1.00 seconds");
    assert!((1..10).contains(&before.elapsed().as_secs()));
    assert!(emulator.invoke("1").body.starts_with("[1, "));
    let (_, stdout, _) = emulator.stop();
    assert!(
        stdout.contains(" Task timed out after 1.00 seconds\n"),
        "{stdout}"
    );
}

#[test]
fn concurrent_events_take_turns_in_one_process() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f);
    let callers: Vec<_> = (0..20)
        .map(|number| {
            let address = emulator.address.clone();
            thread::spawn(move || {
                request(&address, "POST", PATH, "", number.to_string().as_bytes()).body
            })
        })
        .collect();
    let bodies: Vec<String> = callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .collect();
    let process = bodies[0].split_once(", ").unwrap().1;
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(*body, format!("[{number}, {process}"));
    }
    let (_, stdout, _) = emulator.stop();
    let kinds: Vec<&str> = stdout
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(kinds, ["START", "handling", "END", "REPORT"].repeat(20));
}

#[test]
fn it_speaks_the_invoke_api() {
    let Some(f) = function(SOURCE) else { return };
    let emulator = Emulator::start(&f);
    let context = "X-Amz-Client-Context: eyJjdXN0b20iOiB7ImsiOiAxfX0=\r\n";
    let reply = emulator.request("POST", PATH, context, b"\"context\"");
    let arn = "arn:aws:lambda:us-east-1:012345678912:function:test_function";
    assert_eq!(
        reply.body,
        format!(r#"[{{"k": 1}}, "test_function", "3008", true, "{arn}"]"#)
    );
    assert_eq!(
        emulator
            .request("POST", PATH, "X-Amz-Client-Context: !\r\n", b"1")
            .status,
        400
    );
    assert_eq!(emulator.request("POST", "/", "", b"1").status, 404);
    assert_eq!(emulator.request("GET", PATH, "", b"").status, 405);
    assert_eq!(
        emulator
            .request("POST", PATH, "X-Amz-Invocation-Type: DryRun\r\n", b"1")
            .status,
        204
    );
    assert_eq!(
        emulator
            .request(
                "POST",
                PATH,
                "X-Amz-Invocation-Type: Event\r\n",
                b"\"async\""
            )
            .status,
        202
    );
    assert_eq!(
        emulator
            .request("POST", PATH, "", &vec![b' '; 6_300_000])
            .status,
        413
    );
    let reply = emulator.invoke("\"large\"");
    assert_eq!((reply.status, reply.is_function_error()), (200, true));
    assert!(reply.body.contains("Function.ResponseSizeTooLarge"));
    assert!(emulator.invoke("1").body.starts_with("[1, "));
    assert!(emulator.stop().1.contains("handling async\n"));
}

#[test]
fn mistakes_on_the_command_line_are_said() {
    let Some(f) = function("") else { return };
    for (arguments, message) in [
        (&["--nope"][..], "aws-lambda-rie: unknown option --nope\n"),
        (
            &["--runtime-interface-emulator-address", "127.0.0.1:99999"],
            "aws-lambda-rie: 127.0.0.1:99999: no port\n",
        ),
    ] {
        let output = f
            .command(&f.program("aws-lambda-rie"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap().as_str()
            ),
            (Some(1), message)
        );
    }
}
