//! One function, its environment and its events: what both clients are given.

use crate::event_message::event_message;
use crate::recorder::Event;

/// How the client is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As the image's entrypoint does.
    Image,
    /// `python -m awslambdaric`, with the handler unless it is empty.
    Module,
}

/// What AWS_LAMBDA_RUNTIME_API is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Recorded,
    At(&'static str),
    Unknown,
}

/// What happens to the process when no event is left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is killed.
    Kill,
    /// It gets this signal and must end by itself.
    Signal(&'static str),
}

/// A function with its surroundings.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub handler: String,
    pub files: Vec<(String, String)>,
    pub variables: Vec<(String, String)>,
    pub api: Api,
    pub events: Vec<Event>,
    /// With a telemetry descriptor.
    pub frames: bool,
    /// How init/error, restore/next and restore/error are answered.
    pub alone: [(u16, &'static str); 3],
    pub start: Start,
    pub end: End,
    /// A process that ends before its last event is followed by a new one.
    pub resumes: bool,
}

/// A function in app.py, called through `app.handler`.
pub fn case(name: &str, source: &str) -> Case {
    let case = Case {
        name: name.to_owned(),
        handler: "app.handler".to_owned(),
        files: Vec::new(),
        variables: Vec::new(),
        api: Api::Recorded,
        events: Vec::new(),
        frames: false,
        alone: [(202, ""), (200, ""), (202, "")],
        start: Start::Image,
        end: End::Kill,
        resumes: false,
    };
    case.file("app.py", source)
}

impl Case {
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    pub fn handler(mut self, handler: &str) -> Self {
        self.handler = handler.to_owned();
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn with_frames(mut self) -> Self {
        self.frames = true;
        self
    }

    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    pub fn api(mut self, api: Api) -> Self {
        self.api = api;
        self
    }

    /// For events that may each be the client's last.
    pub fn resuming(mut self) -> Self {
        self.resumes = true;
        self
    }

    pub fn end(mut self, signal: &'static str) -> Self {
        self.end = End::Signal(signal);
        self
    }

    pub fn init_error_answer(mut self, status: u16, body: &'static str) -> Self {
        self.alone[0] = (status, body);
        self
    }

    pub fn restore_answers(mut self, next: u16, error: u16) -> Self {
        (self.alone[1].0, self.alone[2].0) = (next, error);
        self
    }

    /// A JSON event with the headers that the platform always sends.
    pub fn event(self, body: &str) -> Self {
        self.event_with(body, body.as_bytes(), &[])
    }

    /// Events of the content type text/plain: the handler gets their bytes.
    pub fn texts<T: AsRef<str>>(self, bodies: impl IntoIterator<Item = T>) -> Self {
        bodies.into_iter().fold(self, |case, body| {
            let body = body.as_ref();
            case.event_with(body, body.as_bytes(), &[("Content-Type", "text/plain")])
        })
    }

    /// An event with more headers; one of the usual name replaces the usual one, and an empty value removes it.
    pub fn event_with(self, label: &str, body: &[u8], headers: &[(&str, &str)]) -> Self {
        let id = format!("request-{}", self.events.len() + 1);
        let message = event_message(&id, "4102444800000", body, headers);
        self.raw_event(label, message)
    }

    /// An answer to `next`, byte for byte.
    pub fn raw_event(mut self, label: &str, message: impl Into<Vec<u8>>) -> Self {
        self.events.push(Event::new(label, message.into()));
        self
    }

    /// How the post for the last event is answered.
    pub fn answer(mut self, status: u16, body: &'static str) -> Self {
        self.events.last_mut().expect("an event comes first").answer = (status, body);
        self
    }

    /// The connection is closed behind the last event's message.
    pub fn closing(mut self) -> Self {
        self.events.last_mut().expect("an event comes first").closes = true;
        self
    }
}
