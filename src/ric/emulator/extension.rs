//! The extensions of one environment and their states. No sockets, no threads, no clock.

use std::collections::VecDeque;

use super::identifier;
use super::refusal::Refusal;

/// The service's limit.
const MOST: usize = 10;

/// Where an extension is in its life; the words are the service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Started,
    Registered,
    Ready,
    Running,
    InitError,
    ExitError,
    Exited,
}

/// An extension: a program of its own, or a part of the runtime's process that registered itself.
#[derive(Debug)]
struct Extension {
    name: String,
    id: String,
    is_external: bool,
    wants_invoke: bool,
    wants_shutdown: bool,
    state: State,
    /// What it gets, one event for each `next`: an invocation that ends at once is still told before the end.
    pending: VecDeque<String>,
}

/// What an extension's `next` gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// An event as JSON.
    Event(String),
    /// Nothing yet.
    Wait,
}

/// All extensions of one environment.
#[derive(Debug, Default)]
pub struct Extensions {
    all: Vec<Extension>,
    /// After the initialisation nobody can register.
    is_closed: bool,
    /// A runtime with several events at once has no INVOKE events.
    is_concurrent: bool,
}

impl Extensions {
    /// The external ones that are about to be started.
    pub fn new(names: &[String], is_concurrent: bool) -> Self {
        let started = |name: &String| Extension::new(name, true);
        Self {
            all: names.iter().map(started).collect(),
            is_closed: false,
            is_concurrent,
        }
    }

    /// An extension says that it is there. Gives its identifier.
    pub fn register(&mut self, name: &str, events: &[&str]) -> Result<String, Refusal> {
        let position = self
            .all
            .iter()
            .position(|one| one.name == name && one.is_external);
        for &event in events {
            let is_known = match event {
                "INVOKE" => !self.is_concurrent,
                "SHUTDOWN" => position.is_some(),
                _ => false,
            };
            if !is_known {
                let reason = match event {
                    "INVOKE" => "not available with several events at once",
                    "SHUTDOWN" => "not available to internal extensions",
                    _ => "unknown event",
                };
                return Err(Refusal::new(
                    403,
                    "Extension.InvalidEventType",
                    format!("{event}: {reason}"),
                ));
            }
        }
        let position = match position {
            Some(position) => position,
            None => self.add_internal(name)?,
        };
        let extension = &mut self.all[position];
        if extension.state != State::Started {
            return Err(extension.refused("Registered"));
        }
        extension.state = State::Registered;
        extension.wants_invoke = events.contains(&"INVOKE");
        extension.wants_shutdown = events.contains(&"SHUTDOWN");
        Ok(extension.id.clone())
    }

    fn add_internal(&mut self, name: &str) -> Result<usize, Refusal> {
        let refuse = |kind, message: String| Err(Refusal::new(403, kind, message));
        if self.is_closed {
            return refuse(
                "Extension.RegistrationClosed",
                "Extension registration closed already".to_owned(),
            );
        }
        if self.all.iter().any(|one| one.name == name) {
            return refuse(
                "Extension.InvalidExtensionState",
                "Extension with this name already registered".to_owned(),
            );
        }
        if self.all.len() >= MOST {
            return refuse(
                "Extension.TooManyExtensions",
                format!("Extension limit ({MOST}) reached"),
            );
        }
        self.all.push(Extension::new(name, false));
        Ok(self.all.len() - 1)
    }

    fn find(&mut self, id: &str) -> Result<&mut Extension, Refusal> {
        let found = self
            .all
            .iter_mut()
            .find(|one| one.id.eq_ignore_ascii_case(id) && one.state != State::Started);
        found.ok_or_else(|| {
            Refusal::new(
                403,
                "Extension.UnknownExtensionIdentifier",
                format!("Unknown extension {id}"),
            )
        })
    }

    /// The name of a registered extension.
    pub fn name(&mut self, id: &str) -> Result<String, Refusal> {
        self.find(id).map(|extension| extension.name.clone())
    }

    /// An extension begins to ask for an event: it is done with what it had.
    pub fn ask(&mut self, id: &str) -> Result<(), Refusal> {
        let extension = self.find(id)?;
        match extension.state {
            State::Registered | State::Running | State::Ready => {
                extension.state = State::Ready;
                Ok(())
            }
            _ => Err(extension.refused("Ready")),
        }
    }

    /// What an extension gets.
    pub fn next(&mut self, id: &str) -> Result<Next, Refusal> {
        let extension = self.find(id)?;
        if extension.state != State::Ready {
            return Err(extension.refused("Running"));
        }
        Ok(match extension.pending.pop_front() {
            Some(event) => {
                extension.state = State::Running;
                Next::Event(event)
            }
            None => Next::Wait,
        })
    }

    /// An extension could not initialise. Gives its name.
    pub fn init_error(&mut self, id: &str) -> Result<String, Refusal> {
        let extension = self.find(id)?;
        if extension.state != State::Registered {
            return Err(extension.refused("InitError"));
        }
        extension.state = State::InitError;
        Ok(extension.name.clone())
    }

    /// An extension is about to end itself. Gives its name.
    pub fn exit_error(&mut self, id: &str) -> Result<String, Refusal> {
        let extension = self.find(id)?;
        if matches!(extension.state, State::InitError | State::Exited) {
            return Err(extension.refused("ExitError"));
        }
        extension.state = State::ExitError;
        Ok(extension.name.clone())
    }

    /// An external extension's process has ended.
    pub fn exited(&mut self, name: &str) {
        let found = self
            .all
            .iter_mut()
            .find(|one| one.name == name && one.is_external);
        if let Some(extension) = found {
            extension.state = State::Exited;
        }
    }

    /// Whether every external extension has registered, so that the runtime can be started.
    pub fn are_registered(&self) -> bool {
        self.all.iter().all(|one| one.state != State::Started)
    }

    /// Whether all have asked for an event: the end of the initialisation, and of every invocation.
    pub fn are_ready(&self) -> bool {
        // An event that waits to be fetched is work to come.
        let is_ready = |one: &Extension| one.state == State::Ready && one.pending.is_empty();
        self.all.iter().all(is_ready)
    }

    /// From now on nobody can register.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    /// Whether there are any, and whether any is a program of its own.
    pub fn kinds(&self) -> (bool, bool) {
        let registered = |one: &&Extension| one.state != State::Started;
        (
            self.all.iter().any(|one| registered(&one)),
            self.all.iter().any(|one| one.is_external),
        )
    }

    /// An event for all that want INVOKE.
    pub fn invoke(&mut self, event: &str) {
        for extension in &mut self.all {
            if extension.wants_invoke {
                extension.pending.push_back(event.to_owned());
            }
        }
    }

    /// An event for all that want SHUTDOWN. Gives the names of the external ones that get nothing and are just killed.
    pub fn shut_down(&mut self, event: &str) -> Vec<String> {
        let mut others = Vec::new();
        for extension in &mut self.all {
            if extension.wants_shutdown {
                extension.pending.push_back(event.to_owned());
            } else if extension.is_external {
                others.push(extension.name.clone());
            }
        }
        others
    }

    /// Name, state and events of all, as the log and the Telemetry API show them after the initialisation.
    pub fn summaries(&self) -> Vec<(String, String, Vec<&'static str>)> {
        let summary = |one: &Extension| {
            let events = [
                ("INVOKE", one.wants_invoke),
                ("SHUTDOWN", one.wants_shutdown),
            ];
            let wanted = events.iter().filter(|(_, wanted)| *wanted);
            (
                one.name.clone(),
                format!("{:?}", one.state),
                wanted.map(|(event, _)| *event).collect(),
            )
        };
        self.all.iter().map(summary).collect()
    }
}

impl Extension {
    fn new(name: &str, is_external: bool) -> Self {
        Self {
            name: name.to_owned(),
            id: identifier::fresh(),
            is_external,
            wants_invoke: false,
            wants_shutdown: false,
            state: State::Started,
            pending: VecDeque::new(),
        }
    }

    fn refused(&self, wanted: &str) -> Refusal {
        Refusal::new(
            403,
            "Extension.InvalidExtensionState",
            format!(
                "State transition from {:?} to {wanted} failed for extension {}. Error: State transition is not allowed",
                self.state, self.id
            ),
        )
    }
}

#[cfg(test)]
mod tests;
