//! The beginning and the end of an environment.
//!
//! Beginning: external extensions are started and register, then the runtime is started, and when it and all extensions have
//! asked for an event, the environment is on. End: SIGTERM to the runtime, the SHUTDOWN event to the extensions, SIGKILL at
//! the deadline. A runtime without extensions gets SIGKILL at once, as in the service.

use std::ffi::OsString;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::extension::Extensions;
use super::json::quote;
use super::machine::Outcome;
use super::process::{self, Program};
use super::report;
use super::sandbox::{Life, RUNTIME, Sandbox, State};
use super::subscription::Category;
use crate::ffi::{self, Signal};
use crate::system;

/// How long an environment with external extensions may take to end,
const SHUTDOWN: Duration = Duration::from_millis(2000);
/// and how much of that the runtime may take.
const RUNTIME_SHARE: Duration = Duration::from_millis(600);
/// How long a runtime with internal extensions only may take.
const INTERNAL: Duration = Duration::from_millis(500);
/// How long the end of a killed process may take.
const KILLED: Duration = Duration::from_secs(5);

/// What extensions do not see of the runtime's environment.
const HIDDEN: [&str; 10] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
];

/// Why an environment is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The emulator stops.
    Spindown,
    /// A function took too long.
    Timeout,
    /// A process ended that should not.
    Failure,
}

impl Sandbox {
    /// The environment is on when this returns. Gives the time of the initialisation, if this call did it.
    pub(super) fn ensure_started(self: &Arc<Self>) -> Result<Option<Duration>, Outcome> {
        let mut state = self.state();
        loop {
            if state.is_stopping {
                return Err(stopped());
            }
            match state.life {
                Life::On if state.fault.is_none() => return Ok(None),
                Life::On => {
                    // It failed while nobody was using it.
                    let generation = state.machine.generation();
                    drop(state);
                    self.reset(generation, Reason::Failure);
                    state = self.state();
                }
                Life::Starting | Life::Ending => state = self.wait(state),
                Life::Off => return self.initialise(state).map(Some),
            }
        }
    }

    /// Starts an environment that is off. The caller's lock is kept until it says that it is starting: another caller who found
    /// it off would start it, too.
    fn initialise<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
    ) -> Result<Duration, Outcome> {
        let begun = Instant::now();
        let deadline = begun + self.configuration.timeout;
        let kind = quote(&self.configuration.initialization_type);
        let shared = format!("\"initializationType\":{kind},\"phase\":\"init\"");
        let external: Vec<(String, Program)> = self.external_extensions();
        let names: Vec<String> = external.iter().map(|(name, _)| name.clone()).collect();
        let is_concurrent = self.configuration.max_concurrency.is_some();
        state.life = Life::Starting;
        state.fault = None;
        state.extensions = Extensions::new(&names, is_concurrent);
        let generation = state.machine.start();
        self.telemetry.open();
        self.telemetry.platform(
            "platform.initStart",
            format!(
                "{{{shared},\"functionName\":{},\"functionVersion\":{}}}",
                quote(&self.configuration.function_name),
                quote(&self.configuration.function_version)
            ),
        );
        for (name, program) in external {
            state = self.launch(state, generation, name, program);
        }
        let (mut state, mut outcome) =
            self.wait_for(state, deadline, |state| state.extensions.are_registered());
        if outcome.is_none() {
            state = self.launch(state, generation, RUNTIME.to_owned(), self.runtime.clone());
            (state, outcome) = self.wait_for(state, deadline, |state| state.machine.is_ready());
            let (status, error) = report::status(outcome.as_ref());
            self.telemetry.platform(
                "platform.initRuntimeDone",
                format!("{{{shared},\"status\":\"{status}\"{error}}}"),
            );
        }
        if outcome.is_none() {
            (state, outcome) = self.wait_for(state, deadline, |state| state.extensions.are_ready());
        }
        let duration = begun.elapsed();
        self.report_initialisation(&state, &shared, duration, outcome.as_ref());
        state.extensions.close();
        self.telemetry.close();
        match outcome {
            None => {
                state.life = Life::On;
                self.changed.notify_all();
                Ok(duration)
            }
            Some(outcome) => {
                drop(state);
                self.reset(
                    generation,
                    match outcome {
                        Outcome::TimedOut => Reason::Timeout,
                        _ => Reason::Failure,
                    },
                );
                Err(outcome)
            }
        }
    }

    fn report_initialisation(
        &self,
        state: &State,
        shared: &str,
        duration: Duration,
        outcome: Option<&Outcome>,
    ) {
        for (name, condition, events) in state.extensions.summaries() {
            let quoted: Vec<String> = events.iter().map(|event| quote(event)).collect();
            self.log.platform(&format!(
                "EXTENSION\tName: {name}\tState: {condition}\tEvents: [{}]\n",
                events.join(", ")
            ));
            self.telemetry.platform(
                "platform.extension",
                format!(
                    "{{\"name\":{},\"state\":\"{condition}\",\"events\":[{}]}}",
                    quote(&name),
                    quoted.join(",")
                ),
            );
        }
        let (status, error) = report::status(outcome);
        if let Some(outcome) = outcome {
            self.log.platform(&report::init(duration, outcome));
        }
        self.telemetry.platform(
            "platform.initReport",
            format!(
                "{{{shared},\"status\":\"{status}\"{error},\"metrics\":{{\"durationMs\":{:.3}}}}}",
                duration.as_secs_f64() * 1000.0
            ),
        );
    }

    /// The programs in the extensions folder, in the order of their names.
    fn external_extensions(&self) -> Vec<(String, Program)> {
        let files = system::executables(&self.extensions_folder);
        let program = |file: std::path::PathBuf| {
            let name = file
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let mut environment = self.runtime.environment.clone();
            environment.retain(|(name, _)| !HIDDEN.contains(name));
            let program = Program {
                name: OsString::from(&file),
                file,
                arguments: Vec::new(),
                environment,
                hidden: &HIDDEN,
                category: Category::Extension,
            };
            (name, program)
        };
        files.into_iter().map(program).collect()
    }

    fn launch<'a>(
        self: &'a Arc<Self>,
        state: MutexGuard<'a, State>,
        generation: u64,
        name: String,
        program: Program,
    ) -> MutexGuard<'a, State> {
        if state.fault.is_some() {
            return state;
        }
        // What becomes of the process is told under this lock.
        drop(state);
        let file = program.file.clone();
        let (starting, own_name) = (Arc::clone(self), name.clone());
        let started = move |process| starting.started(generation, own_name, process);
        let (ending, own_name) = (Arc::clone(self), name.clone());
        let ended = move |process, how: String| ending.ended(generation, &own_name, process, &how);
        let launched = process::start(program, &self.log, started, ended);
        let mut state = self.state();
        if let Err(error) = launched {
            let how = format!("cannot start {}: {error}", file.display());
            let kind = match name.as_str() {
                RUNTIME => "Runtime.InvalidEntrypoint",
                _ => "Extension.LaunchError",
            };
            state.fail(Outcome::Failed(kind, how));
        }
        state
    }

    fn started(&self, generation: u64, name: String, process: u32) {
        let mut state = self.state();
        if generation == state.machine.generation() && state.life == Life::Starting {
            state.processes.insert(name, process);
        } else {
            // The environment is being ended, and will not wait for this one.
            ffi::signal_group(process, Signal::Kill);
        }
    }

    fn ended(&self, generation: u64, name: &str, process: u32, how: &str) {
        let mut state = self.state();
        if state.processes.get(name) == Some(&process) {
            state.processes.remove(name);
        }
        if generation == state.machine.generation() {
            let outcome = if name == RUNTIME {
                Outcome::Failed(
                    "Runtime.ExitError",
                    format!("Runtime exited with error: {how}"),
                )
            } else {
                state.extensions.exited(name);
                let how = format!("Extension {name} exited with error: {how}");
                Outcome::Failed("Extension.Crash", how)
            };
            state.fail(outcome);
        }
        self.changed.notify_all();
    }

    /// Waits until `condition` holds. Some: it does not, for this reason.
    pub(super) fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        condition: impl Fn(&State) -> bool,
    ) -> (MutexGuard<'a, State>, Option<Outcome>) {
        let mut in_time = true;
        loop {
            if let Some(fault) = state.fault.clone() {
                return (state, Some(fault));
            }
            if condition(&state) {
                return (state, None);
            }
            if !in_time {
                return (state, Some(Outcome::TimedOut));
            }
            (state, in_time) = self.wait_until(state, deadline);
        }
    }

    /// Ends the environment of this generation, unless somebody else does or has.
    pub(super) fn reset(&self, generation: u64, reason: Reason) {
        let begun = Instant::now();
        let mut state = self.state();
        while state.machine.generation() == generation && state.life == Life::Ending {
            state = self.wait(state);
        }
        if state.machine.generation() != generation || state.life == Life::Off {
            return;
        }
        state.fail(stopped());
        state.life = Life::Ending;
        self.changed.notify_all();
        let (any, external) = state.extensions.kinds();
        if any && let Some(&runtime) = state.processes.get(RUNTIME) {
            ffi::signal_process(runtime, Signal::Terminate);
            let share = if external { RUNTIME_SHARE } else { INTERNAL };
            state = self.wait_for_end(state, begun + share, |name| name == RUNTIME);
        }
        state = self.kill(state, |name| name == RUNTIME);
        if external {
            state = self.shut_extensions_down(state, begun + SHUTDOWN, reason);
        }
        state = self.kill(state, |_| true);
        self.telemetry.clear();
        process::end_orphans(|process| {
            self.others.contains(&process) || state.processes.values().any(|&own| own == process)
        });
        state.machine.stop();
        state.life = Life::Off;
        self.changed.notify_all();
    }

    fn shut_extensions_down<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
        reason: Reason,
    ) -> MutexGuard<'a, State> {
        // What happened so far reaches the extensions before they are told to end.
        const FLUSH: Duration = Duration::from_millis(500);
        drop(state);
        self.log.drain();
        self.telemetry.flush(FLUSH);
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline_in_millis = system::now_in_millis() + left.as_millis() as u64;
        let reason = match reason {
            Reason::Spindown => "spindown",
            Reason::Timeout => "timeout",
            Reason::Failure => "failure",
        };
        let mut state = self.state();
        let others = state.extensions.shut_down(&format!(
            "{{\"eventType\":\"SHUTDOWN\",\"shutdownReason\":\"{reason}\",\"deadlineMs\":{deadline_in_millis}}}"
        ));
        self.changed.notify_all();
        state = self.kill(state, |name| others.iter().any(|other| other == name));
        self.wait_for_end(state, deadline, |_| true)
    }

    fn wait_for_end<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        deadline: Instant,
        which: impl Fn(&str) -> bool,
    ) -> MutexGuard<'a, State> {
        let mut in_time = true;
        while in_time && state.processes.keys().any(|name| which(name)) {
            (state, in_time) = self.wait_until(state, deadline);
        }
        state
    }

    fn kill<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        which: impl Fn(&str) -> bool,
    ) -> MutexGuard<'a, State> {
        for (name, &process) in &state.processes {
            if which(name) {
                ffi::signal_group(process, Signal::Kill);
            }
        }
        self.wait_for_end(state, Instant::now() + KILLED, which)
    }

    /// Ends everything; no event is handled after this.
    pub fn shut_down(&self) {
        const LAST_WORDS: Duration = Duration::from_millis(500);
        let mut state = self.state();
        state.is_stopping = true;
        let generation = state.machine.generation();
        drop(state);
        self.changed.notify_all();
        self.reset(generation, Reason::Spindown);
        self.log.drain();
        self.queue.wait_until_empty(LAST_WORDS);
    }
}

fn stopped() -> Outcome {
    Outcome::Failed(
        "Sandbox.Failure",
        "The environment was shut down".to_owned(),
    )
}
