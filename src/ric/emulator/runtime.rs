//! The runtime's process, and the way of one event through it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::machine::{Event, Machine, Next, Outcome, Refusal};
use super::options::Options;
use crate::ffi::{self, Signal};
use crate::system::{self, Program};

/// How long a runtime may take to end after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// How long the end of a killed process may take.
const KILLED: Duration = Duration::from_secs(5);
/// Where a runtime is looked for when the command line names none.
const BOOTSTRAPS: [&str; 3] = [
    "/var/task/bootstrap",
    "/opt/bootstrap",
    "/var/runtime/bootstrap",
];

#[derive(Default)]
struct State {
    machine: Machine,
    process: Option<u32>,
    started: Option<Instant>,
    init: Option<Duration>,
    handed_over: Option<Instant>,
    stopping: bool,
}

/// How an event ended, with its times.
#[derive(Debug)]
pub struct Handled {
    /// None: it took too long.
    pub outcome: Option<Outcome>,
    /// The time of the initialisation, if this event waited for one.
    pub init: Option<Duration>,
    /// The time in the function.
    pub duration: Duration,
    /// The process's memory in MB.
    pub memory_used: Option<u64>,
}

/// The one runtime.
pub struct Runtime {
    program: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    /// How long a function may take.
    pub timeout: Duration,
    state: Mutex<State>,
    changed: Condvar,
    turn: Mutex<()>,
}

impl Runtime {
    /// A runtime that is started with the first event.
    pub fn new(called: &OsStr, options: &Options, api_address: &str) -> Result<Self, String> {
        let (name, arguments) = match options.command.split_first() {
            Some((name, arguments)) => (name.clone(), arguments.to_vec()),
            None => (default_bootstrap()?.into(), Vec::new()),
        };
        let path = Path::new(&name);
        // The image's bootstrap is this program by another name, also where that name does not exist.
        let is_own = path.file_name() == Some(OsStr::new("bootstrap"))
            && system::program(path) == Program::Missing;
        let program = if is_own {
            system::executable(called)
        } else {
            path.to_owned()
        };
        let mut environment = vec![(
            "AWS_LAMBDA_RUNTIME_API".to_owned(),
            OsString::from(api_address),
        )];
        environment.extend(
            options
                .handler()
                .map(|handler| ("_HANDLER".to_owned(), handler.to_owned())),
        );
        for (name, default) in [
            ("AWS_LAMBDA_FUNCTION_NAME", "test_function"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/Functions"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "$LATEST"),
        ] {
            environment.push((
                name.to_owned(),
                system::variable(name).unwrap_or_else(|| default.into()),
            ));
        }
        let timeout =
            system::text_variable("AWS_LAMBDA_FUNCTION_TIMEOUT").and_then(|text| text.parse().ok());
        Ok(Self {
            program,
            name,
            arguments,
            environment,
            timeout: Duration::from_secs(timeout.filter(|&seconds| seconds > 0).unwrap_or(300)),
            state: Mutex::default(),
            changed: Condvar::new(),
            turn: Mutex::default(),
        })
    }

    /// What the runtime's environment says.
    pub fn variable(&self, name: &str) -> String {
        let found = self.environment.iter().find(|(key, _)| key == name);
        found.map_or_else(String::new, |(_, value)| {
            value.to_string_lossy().into_owned()
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one event through the runtime. Others wait for their turn; `begin` and `finish` are called within this one's.
    pub fn handle<T>(
        self: &Arc<Self>,
        event: Event,
        begin: impl FnOnce(),
        finish: impl FnOnce(&Handled) -> T,
    ) -> T {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        begin();
        finish(&self.carry(event))
    }

    fn carry(self: &Arc<Self>, event: Event) -> Handled {
        let begun = Instant::now();
        let mut fresh = false;
        let mut state = self.state();
        state.handed_over = None;
        if state.machine.needs_runtime() {
            // The one before may still be on its way out.
            state = self.wait_for_end(state, SHUTDOWN);
            if state.process.is_some() {
                state = self.kill(state);
            }
            fresh = true;
            state.init = None;
            state.machine.offer(event);
            self.spawn(&mut state);
        } else {
            state.machine.offer(event);
        }
        self.changed.notify_all();
        let outcome = loop {
            if let Some(outcome) = state.machine.take_outcome() {
                break Some(outcome);
            }
            let since = state.handed_over.unwrap_or(begun);
            let Some(left) = self
                .timeout
                .checked_sub(since.elapsed())
                .filter(|left| !left.is_zero())
            else {
                break None;
            };
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        };
        let handled = Handled {
            memory_used: state.process.and_then(system::peak_memory_in_mb),
            init: state.init.filter(|_| fresh),
            duration: state.handed_over.unwrap_or(begun).elapsed(),
            outcome,
        };
        if handled.outcome.is_none() {
            state.machine.give_up();
            drop(self.kill(state));
        }
        handled
    }

    fn spawn(self: &Arc<Self>, state: &mut State) {
        let generation = state.machine.start();
        let environment: Vec<(&str, &OsStr)> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_os_str()))
            .collect();
        state.started = Some(Instant::now());
        let mut child =
            match system::spawn(&self.program, &self.name, &self.arguments, &environment) {
                Ok(child) => child,
                Err(error) => {
                    let how = format!("cannot start {}: {error}", self.program.display());
                    state.machine.exited(generation, &how);
                    return;
                }
            };
        state.process = Some(child.id());
        let runtime = Arc::clone(self);
        thread::spawn(move || {
            let how = child
                .wait()
                .map_or_else(|error| error.to_string(), describe);
            // What the runtime started must not outlive it.
            ffi::signal_group(child.id(), Signal::Kill);
            let mut state = runtime.state();
            state.process = None;
            state.machine.exited(generation, &how);
            runtime.changed.notify_all();
        });
    }

    fn wait_for_end<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        let ended = self
            .changed
            .wait_timeout_while(state, limit, |state| state.process.is_some());
        ended.unwrap_or_else(PoisonError::into_inner).0
    }

    fn kill<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if let Some(process) = state.process {
            ffi::signal_group(process, Signal::Kill);
        }
        self.wait_for_end(state, KILLED)
    }

    /// SIGTERM to the runtime, and SIGKILL if it does not end.
    pub fn shut_down(&self) {
        let mut state = self.state();
        state.stopping = true;
        if let Some(process) = state.process {
            ffi::signal_process(process, Signal::Terminate);
        }
        let state = self.wait_for_end(state, SHUTDOWN);
        drop(self.kill(state));
    }

    /// The number of the runtime that is on now.
    pub fn generation(&self) -> u64 {
        self.state().machine.generation()
    }

    /// Waits for the next event of the runtime of this generation. None: that runtime is gone.
    pub fn next(&self, generation: u64) -> Result<Option<Event>, Refusal> {
        let mut state = self.state();
        if state.init.is_none() && generation == state.machine.generation() {
            state.init = state.started.map(|started| started.elapsed());
        }
        loop {
            match state.machine.next(generation)? {
                Next::Event(event) => {
                    state.handed_over = Some(Instant::now());
                    return Ok(Some(event));
                }
                Next::Gone => return Ok(None),
                Next::Wait => {
                    state = self
                        .changed
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }

    /// The runtime answers an invocation.
    pub fn answer(&self, request_id: &str, outcome: Outcome) -> Result<(), Refusal> {
        let result = self.state().machine.answer(request_id, outcome);
        self.changed.notify_all();
        result
    }

    /// The runtime could not initialise the function.
    pub fn init_error(&self, body: Vec<u8>) -> Result<(), Refusal> {
        let result = self.state().machine.init_error(body);
        self.changed.notify_all();
        result
    }
}

fn default_bootstrap() -> Result<&'static str, String> {
    let found = BOOTSTRAPS
        .into_iter()
        .find(|path| system::program(Path::new(path)) == Program::Executable);
    found.ok_or_else(|| {
        format!(
            "no runtime given, and none of {} is there",
            BOOTSTRAPS.join(", ")
        )
    })
}

/// In the service's words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}
