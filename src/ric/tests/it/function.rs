//! A function, its events and its environment; running it gives everything that can be seen from outside.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::event_message::event_message;
use crate::executable::{self, Executable};
use crate::fake_api::{Behaviour, Event, FakeApi, Request};
use crate::host;

/// What is to be run.
pub struct Function {
    pub executable: &'static Executable,
    pub folder: PathBuf,
    handler: String,
    events: Vec<Event>,
    variables: Vec<(String, String)>,
    behaviour: Behaviour,
    frames: bool,
}

/// What could be seen.
#[derive(Debug)]
pub struct Outcome {
    pub requests: Vec<Request>,
    pub stdout: String,
    pub stderr: String,
    /// None: it was waiting for the next event and was killed.
    pub status: Option<ExitStatus>,
    /// Type and message of every frame on the telemetry descriptor.
    pub frames: Vec<(u32, String)>,
}

impl Outcome {
    /// The exit code, if the process ended by itself and not by a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    /// The bodies of all posts.
    pub fn posts(&self) -> Vec<&str> {
        self.requests
            .iter()
            .filter(|request| request.line().starts_with("POST"))
            .map(Request::text)
            .collect()
    }

    /// Standard output with times and millisecond stamps replaced by TIME.
    pub fn stdout_without_times(&self) -> String {
        without_times(&self.stdout)
    }
}

/// Replaces `2026-11-22T12:27:50.300Z` and `[1795350470617]` by TIME.
pub fn without_times(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let stamp = rest
            .get(..rest.find('Z').map_or(0, |z| z + 1))
            .unwrap_or_default();
        let is_stamp = matches!(stamp.len(), 20 | 24)
            && stamp
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b':' | b'.' | b'T' | b'Z'));
        let is_millis = rest.len() > 14
            && character == '['
            && rest.as_bytes()[1..14].iter().all(u8::is_ascii_digit);
        let skip = if is_stamp {
            stamp.len()
        } else {
            usize::from(is_millis) * 15
        };
        if skip > 0 {
            result.push_str("TIME");
            rest = &rest[skip..];
        } else {
            result.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    result
}

/// A function in app.py, called through `app.handler`; None if there is no executable to test.
pub fn function(source: &str) -> Option<Function> {
    let function = Function {
        executable: executable::get()?,
        folder: host::fresh_folder(),
        handler: "app.handler".to_owned(),
        events: Vec::new(),
        variables: Vec::new(),
        behaviour: Behaviour {
            post: Vec::new(),
            closes: false,
            refuses: false,
            chunk_limit: None,
        },
        frames: false,
    };
    let function = function.post(202, "{\"status\":\"OK\"}\n");
    Some(function.file("app.py", source))
}

impl Function {
    pub fn file(self, name: &str, content: &str) -> Self {
        host::write(&self.folder.join(name), content);
        self
    }

    pub fn handler(mut self, handler: &str) -> Self {
        self.handler = handler.to_owned();
        self
    }

    /// A JSON event with the headers that the platform sends.
    pub fn event(self, body: &str) -> Self {
        self.event_with(body.as_bytes(), &[])
    }

    /// An event with more headers; one of the usual name replaces the usual one, and an empty value removes it.
    pub fn event_with(self, body: &[u8], headers: &[(&str, &str)]) -> Self {
        let id = format!("request-{}", self.events.len() + 1);
        let message = event_message(&id, "99999999999999", body, headers);
        self.push(message, false)
    }

    /// An answer to `next`, byte for byte.
    pub fn raw_event(self, message: &str) -> Self {
        self.push(message.as_bytes().to_vec(), false)
    }

    /// The same, and the connection is closed behind it.
    pub fn last_words(self, message: &str) -> Self {
        self.push(message.as_bytes().to_vec(), true)
    }

    fn push(mut self, message: Vec<u8>, closes: bool) -> Self {
        self.events.push(Event {
            message,
            closes,
            slow: false,
        });
        self
    }

    /// The last answer to `next` comes byte by byte.
    pub fn slowly(mut self) -> Self {
        self.events.last_mut().unwrap().slow = true;
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How posts are answered.
    pub fn post(self, status: u16, body: &str) -> Self {
        let length = body.len();
        self.raw_post(&format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// How posts are answered, byte for byte.
    pub fn raw_post(mut self, message: &str) -> Self {
        self.behaviour.post = message.as_bytes().to_vec();
        self
    }

    /// Posts are answered with this, byte for byte, before their bodies are read.
    pub fn refusing(self, message: &str) -> Self {
        let mut function = self.raw_post(message);
        function.behaviour.refuses = true;
        function
    }

    /// Connections are closed in the middle of a request after so many chunks.
    pub fn chunk_limit(mut self, limit: usize) -> Self {
        self.behaviour.chunk_limit = Some(limit);
        self
    }

    /// Connections are closed after every post.
    pub fn closing(mut self) -> Self {
        self.behaviour.closes = true;
        self
    }

    /// With a telemetry descriptor.
    pub fn with_frames(mut self) -> Self {
        self.frames = true;
        self
    }

    /// A command with a clean environment, as the image has it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = host::command(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("LAMBDA_TASK_ROOT", &self.folder)
            .env("LAMBDA_RUNTIME_DIR", &self.executable.runtime)
            .envs(self.executable.home.iter().map(|home| ("PYTHONHOME", home)))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The path of one of the program's names.
    pub fn program(&self, name: &str) -> String {
        self.executable
            .runtime
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    }

    /// Starts it against a fake Runtime API.
    pub fn start(&self) -> Running {
        let api = FakeApi::start(self.events.clone(), self.behaviour.clone());
        let bootstrap = self.program("bootstrap");
        let frames = self.folder.join("frames");
        let mut command = if self.frames {
            let mut command = self.command("/bin/sh");
            let script = format!("exec 7>'{}'; exec '{bootstrap}' \"$1\"", frames.display());
            command
                .args(["-c", &script, "sh"])
                .env("_LAMBDA_TELEMETRY_LOG_FD", "7");
            command
        } else {
            self.command(&bootstrap)
        };
        let mut child = command
            .arg(&self.handler)
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .spawn()
            .unwrap();
        Running {
            stdout: collect(child.stdout.take().unwrap()),
            stderr: collect(child.stderr.take().unwrap()),
            child,
            api,
            frames,
        }
    }

    /// Runs it until it ends or waits for an event that does not come.
    pub fn run(self) -> Outcome {
        let outcome = self.start().finish();
        host::remove(&self.folder);
        outcome
    }
}

/// Reads a stream to its end in the background.
pub fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A runtime at work.
pub struct Running {
    pub child: Child,
    api: Arc<FakeApi>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    frames: PathBuf,
}

impl Running {
    /// Whether the server takes a rest in the middle of a chunked request.
    pub fn pause(&self, paused: bool) {
        self.api.pause(paused);
    }

    /// What has come in so far.
    pub fn requests(&self) -> Vec<Request> {
        self.api.requests()
    }

    /// Waits until it waits for an event that is not there.
    pub fn wait_until_idle(&mut self) {
        let child = &mut self.child;
        self.api
            .wait_until_idle(|| child.try_wait().unwrap().is_some());
    }

    /// Ends it, unless it has ended.
    pub fn finish(mut self) -> Outcome {
        self.wait_until_idle();
        let mut status = self.child.try_wait().unwrap();
        if status.is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        self.outcome(status.take())
    }

    /// Waits for its own end.
    pub fn wait(mut self) -> Outcome {
        let status = self.child.wait().unwrap();
        self.outcome(Some(status))
    }

    fn outcome(self, status: Option<ExitStatus>) -> Outcome {
        self.api.drain();
        Outcome {
            requests: self.api.requests(),
            stdout: self.stdout.join().unwrap(),
            stderr: self.stderr.join().unwrap(),
            frames: parse_frames(&host::read(&self.frames)),
            status,
        }
    }
}

fn parse_frames(mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
        let number =
            |range: std::ops::Range<usize>| u32::from_be_bytes(head[range].try_into().unwrap());
        let (message, rest) = rest.split_at(number(4..8) as usize);
        assert!(u64::from_be_bytes(head[8..].try_into().unwrap()) > 1_700_000_000_000_000);
        frames.push((
            number(0..4),
            without_times(std::str::from_utf8(message).unwrap()),
        ));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame was cut");
    frames
}
