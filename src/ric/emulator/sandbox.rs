//! The one environment: its runtime, its extensions, and the state that the APIs see and change.
//!
//! What starts and ends it is in `lifecycle`, the way of one event through it in `invoke`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::configuration::Configuration;
use super::extension::{self, Extensions};
use super::log::Log;
use super::machine::{Event, Machine, Next, Outcome};
use super::options::Options;
use super::process::Program;
use super::queue::Queue;
use super::refusal::Refusal;
use super::subscription::{Category, Subscription};
use super::telemetry::Telemetry;
use crate::system;

/// Where a runtime is looked for when the command line names none.
const BOOTSTRAPS: [&str; 3] = [
    "/var/task/bootstrap",
    "/opt/bootstrap",
    "/var/runtime/bootstrap",
];
/// A function that streams waits while its caller has so many bytes to take.
const UNTAKEN: usize = 1024 * 1024;

/// Where the environment is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    /// Nothing runs.
    #[default]
    Off,
    /// Extensions and runtime are being started.
    Starting,
    /// Events can be handled.
    On,
    /// Everything is being ended.
    Ending,
}

pub(super) struct State {
    pub machine: Machine,
    pub extensions: Extensions,
    pub life: Life,
    /// The processes that run; the runtime has the name [`RUNTIME`].
    pub processes: BTreeMap<String, u32>,
    /// The first thing that went wrong with this generation.
    pub fault: Option<Outcome>,
    pub is_stopping: bool,
}

/// The runtime's name among the processes; no file is called like this.
pub(super) const RUNTIME: &str = "/";

/// The environment.
pub struct Sandbox {
    /// What the function is configured for.
    pub configuration: Configuration,
    /// Its log.
    pub log: Arc<Log>,
    /// Whose turn it is.
    pub queue: Queue,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) runtime: Program,
    pub(super) extensions_folder: PathBuf,
    /// Children that this process had before it became the emulator; they are none of its business.
    pub(super) others: Vec<u32>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl Sandbox {
    /// An environment that is started with the first event. `api_address` is where its processes find the Runtime API.
    pub fn new(
        called: &OsStr,
        options: &Options,
        mut configuration: Configuration,
        api_address: &str,
    ) -> Result<Self, String> {
        let (name, arguments) = match options.command.split_first() {
            Some((name, arguments)) => (name.clone(), arguments.to_vec()),
            None => (default_bootstrap()?.into(), Vec::new()),
        };
        let path = Path::new(&name);
        // The image's bootstrap is this program by another name, also where that name does not exist.
        let is_own = path.file_name() == Some(OsStr::new("bootstrap"))
            && system::program(path) == system::Program::Missing;
        let file = if is_own {
            system::executable(called)
        } else {
            path.to_owned()
        };
        if let Some(handler) = options.handler() {
            configuration.handler = Some(handler.to_string_lossy().into_owned());
        }
        let mut environment = configuration.environment();
        environment.push(("AWS_LAMBDA_RUNTIME_API", OsString::from(api_address)));
        let telemetry = Arc::new(Telemetry::new(configuration.logs_json));
        Ok(Self {
            log: Arc::new(Log::new(Arc::clone(&telemetry))),
            queue: Queue::new(configuration.max_concurrency.unwrap_or(1)),
            telemetry,
            runtime: Program {
                file,
                name,
                arguments,
                environment,
                hidden: &[],
                category: Category::Function,
            },
            extensions_folder: options.extensions_folder.clone(),
            others: system::children(),
            state: Mutex::new(State {
                machine: Machine::new(configuration.max_concurrency.is_some()),
                extensions: Extensions::default(),
                life: Life::Off,
                processes: BTreeMap::new(),
                fault: None,
                is_stopping: false,
            }),
            changed: Condvar::new(),
            configuration,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change until `deadline`. False: it has passed.
    pub(super) fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> (MutexGuard<'a, State>, bool) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return (state, false);
        }
        let waited = self.changed.wait_timeout(state, left);
        (waited.unwrap_or_else(PoisonError::into_inner).0, true)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }

    /// Waits for the runtime's next event. None: that runtime is gone, or its connection `is_closed`.
    pub fn next(&self, is_closed: impl Fn() -> bool) -> Result<Option<Event>, Refusal> {
        let mut state = self.state();
        let generation = state.machine.generation();
        state.machine.ask(generation)?;
        self.changed.notify_all();
        loop {
            match state.machine.next(generation) {
                Next::Event(event) if is_closed() => {
                    state.machine.put_back(event);
                    self.changed.notify_all();
                    return Ok(None);
                }
                Next::Event(event) => return Ok(Some(event)),
                Next::Gone => return Ok(None),
                Next::Wait => state = self.wait(state),
            }
        }
    }

    /// The runtime begins to answer an invocation.
    pub fn begin(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        content_type: &str,
    ) -> Result<(), Refusal> {
        self.change(|state| state.machine.begin(request_id, invocation_id, content_type))
    }

    /// More of the response. Waits until the caller has taken enough of what came before.
    pub fn piece(&self, request_id: &str, bytes: Vec<u8>) -> Result<(), Refusal> {
        self.change(|state| state.machine.piece(request_id, bytes))?;
        let mut state = self.state();
        while state
            .machine
            .untaken(request_id)
            .is_some_and(|count| count > UNTAKEN)
        {
            state = self.wait(state);
        }
        Ok(())
    }

    /// The runtime's answer is complete.
    pub fn end(
        &self,
        request_id: &str,
        invocation_id: Option<&str>,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        self.change(|state| state.machine.end(request_id, invocation_id, outcome))
    }

    /// The runtime could not initialise the function.
    pub fn init_error(&self, body: Vec<u8>) -> Result<(), Refusal> {
        self.change(|state| {
            state.machine.init_error()?;
            state.fault.get_or_insert(Outcome::InitError(body));
            Ok(())
        })
    }

    /// An extension registers. Gives its identifier.
    pub fn register(&self, name: &str, events: &[&str]) -> Result<String, Refusal> {
        self.change(|state| match state.life {
            Life::Starting | Life::On => state.extensions.register(name, events),
            _ => Err(Refusal::new(
                403,
                "Extension.RegistrationClosed",
                "Extension registration closed already",
            )),
        })
    }

    /// The name of a registered extension.
    pub fn extension_name(&self, id: &str) -> Result<String, Refusal> {
        self.state().extensions.name(id)
    }

    /// Waits for an extension's next event, as JSON.
    pub fn next_for_extension(&self, id: &str) -> Result<String, Refusal> {
        let mut state = self.state();
        state.extensions.ask(id)?;
        self.changed.notify_all();
        loop {
            match state.extensions.next(id)? {
                extension::Next::Event(event) => return Ok(event),
                extension::Next::Wait => state = self.wait(state),
            }
        }
    }

    /// An extension could not initialise.
    pub fn extension_init_error(&self, id: &str, kind: &str) -> Result<(), Refusal> {
        self.change(|state| {
            let name = state.extensions.init_error(id)?;
            let how = format!("Extension {name} could not initialise: {kind}");
            state.fail(Outcome::Failed("Extension.InitError", how));
            Ok(())
        })
    }

    /// An extension is about to end itself.
    pub fn extension_exit_error(&self, id: &str, kind: &str) -> Result<(), Refusal> {
        self.change(|state| {
            let name = state.extensions.exit_error(id)?;
            let how = format!("Extension {name} reported: {kind}");
            state.fail(Outcome::Failed("Extension.ExitError", how));
            Ok(())
        })
    }

    /// An extension subscribes to telemetry.
    pub fn subscribe(&self, name: &str, subscription: Subscription) -> Result<(), Refusal> {
        self.telemetry.subscribe(name, subscription)
    }
}

impl State {
    /// Something went wrong with this generation: nothing that is under way can be completed.
    pub fn fail(&mut self, outcome: Outcome) {
        if matches!(self.life, Life::Starting | Life::On) {
            self.machine.fail(&outcome);
            self.fault.get_or_insert(outcome);
        }
    }
}

fn default_bootstrap() -> Result<&'static str, String> {
    let found = BOOTSTRAPS
        .into_iter()
        .find(|path| system::program(Path::new(path)) == system::Program::Executable);
    found.ok_or_else(|| {
        format!(
            "no runtime given, and none of {} is there",
            BOOTSTRAPS.join(", ")
        )
    })
}
