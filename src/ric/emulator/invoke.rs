//! The way of one event through the environment.
//!
//! An invocation ends when the runtime and all extensions have asked for the next event. What the function sends goes to the
//! caller when it comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::json::quote;
use super::lifecycle::Reason;
use super::machine::{Event, Outcome, Progress, Taker};
use super::refusal::Refusal;
use super::report::{self, Report};
use super::sandbox::{RUNTIME, Sandbox};
use crate::system;

/// Why a caller takes no more of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It has more bytes than it may.
    TooLarge,
    /// The caller is gone.
    Gone,
}

/// A caller that takes a response piece by piece.
pub trait Caller {
    /// A response of this content type begins.
    fn begin(&mut self, content_type: &str) -> Result<(), Stop>;
    /// Bytes of it; they must be taken within `patience`.
    fn piece(&mut self, bytes: Vec<u8>, patience: Duration) -> Result<(), Stop>;
}

/// How an event was handled.
#[derive(Debug)]
pub struct Handled {
    /// How it ended.
    pub outcome: Outcome,
    /// The end of the log since it began.
    pub log_tail: Vec<u8>,
}

/// The times of an invocation, as far as it came.
#[derive(Debug, Default)]
struct Times {
    init: Option<Duration>,
    begun: Option<Instant>,
    /// Until the first byte of the response, and until its end.
    first_byte: Option<Duration>,
    answered: Option<Duration>,
    produced: usize,
}

impl Sandbox {
    /// Takes an event through the environment, when it is its turn. None: too many wait already.
    pub fn invoke(self: &Arc<Self>, event: Event, caller: &mut dyn Caller) -> Option<Handled> {
        let _turn = self.queue.enter()?;
        self.log.clear_tail();
        let version = &self.configuration.function_version;
        self.log
            .platform(&report::start(&event.request_id, version));
        let request_id = event.request_id.clone();
        let tracing = tracing(event.trace_id.as_deref());
        let mut times = Times::default();
        let outcome = match self.ensure_started() {
            Ok(init) => {
                times.init = init;
                self.carry(event, &tracing, &mut times, caller)
            }
            Err(outcome) => outcome,
        };
        self.log.drain();
        self.log.platform(&self.complaint(&request_id, &outcome));
        let memory_used = {
            let state = self.state();
            let runtime = state.processes.get(RUNTIME);
            runtime.copied().and_then(system::peak_memory_in_mb)
        };
        let duration = times.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let report = Report {
            request_id: &request_id,
            init: times.init,
            duration: duration.min(self.configuration.timeout),
            memory_size: &self.configuration.memory_size,
            memory_used,
            outcome: &outcome,
        };
        self.log.platform(&report.lines());
        let quoted = quote(&request_id);
        self.telemetry
            .platform("platform.end", format!("{{\"requestId\":{quoted}}}"));
        self.telemetry.platform("platform.report", report.record());
        let log_tail = self.log.tail();
        self.clean_up(&outcome);
        Some(Handled { outcome, log_tail })
    }

    fn carry(
        self: &Arc<Self>,
        mut event: Event,
        tracing: &str,
        times: &mut Times,
        caller: &mut dyn Caller,
    ) -> Outcome {
        let begun = Instant::now();
        times.begun = Some(begun);
        let timeout = self.configuration.timeout;
        let deadline = begun + timeout;
        event.deadline = system::now_in_millis() + timeout.as_millis() as u64;
        let request_id = event.request_id.clone();
        let quoted = quote(&request_id);
        self.telemetry.platform(
            "platform.start",
            format!(
                "{{\"requestId\":{quoted},\"version\":{}{tracing}}}",
                quote(&self.configuration.function_version)
            ),
        );
        let mut state = self.state();
        state.extensions.invoke(&format!(
            "{{\"eventType\":\"INVOKE\",\"deadlineMs\":{},\"requestId\":{quoted},\"invokedFunctionArn\":{}{tracing}}}",
            event.deadline,
            quote(&self.configuration.arn())
        ));
        state.machine.offer(event);
        if let Some(fault) = state.fault.clone() {
            // It failed between its last invocation and this one.
            state.machine.fail(&fault);
        }
        drop(state);
        self.changed.notify_all();
        let mut outcome = self.pass_on(&request_id, deadline, times, caller);
        times.answered = Some(begun.elapsed());
        let is_concurrent = self.configuration.max_concurrency.is_some();
        let is_over = matches!(outcome, Outcome::TimedOut | Outcome::Failed(..));
        if !is_over && !is_concurrent {
            let (state, wrong) =
                self.wait_for(self.state(), deadline, |state| state.machine.is_ready());
            drop(state);
            // A response that is complete stays so, whatever happens to the process behind it.
            if wrong == Some(Outcome::TimedOut) {
                outcome = Outcome::TimedOut;
            }
        }
        self.record_end(&quoted, tracing, &outcome, begun, times);
        if !is_over && !is_concurrent && outcome != Outcome::TimedOut {
            let (state, wrong) =
                self.wait_for(self.state(), deadline, |state| state.extensions.are_ready());
            drop(state);
            match wrong {
                Some(Outcome::TimedOut) => outcome = Outcome::TimedOut,
                Some(Outcome::Failed(kind, how)) if kind.starts_with("Extension.") => {
                    outcome = Outcome::Failed(kind, how);
                }
                _ => {}
            }
        }
        self.state().machine.close(&request_id);
        self.changed.notify_all();
        outcome
    }

    /// Takes the response to its caller.
    fn pass_on(
        &self,
        request_id: &str,
        deadline: Instant,
        times: &mut Times,
        caller: &mut dyn Caller,
    ) -> Outcome {
        let mut in_time = true;
        let mut is_too_large = false;
        let mut state = self.state();
        loop {
            let Some(progress) = state.machine.progress(request_id) else {
                if !in_time {
                    return Outcome::TimedOut;
                }
                (state, in_time) = self.wait_until(state, deadline);
                continue;
            };
            // What takes time is done without the lock; the function may have waited for room.
            drop(state);
            self.changed.notify_all();
            let patience = deadline.saturating_duration_since(Instant::now());
            let taken = match progress {
                Progress::Begun(content_type) => caller.begin(&content_type),
                Progress::Piece(bytes) => {
                    let begun = times.begun.unwrap_or(deadline);
                    times.first_byte.get_or_insert_with(|| begun.elapsed());
                    times.produced += bytes.len();
                    caller.piece(bytes, patience)
                }
                // The runtime may have sent everything before it could be told.
                Progress::Ended(Outcome::Complete) if is_too_large => return Outcome::TooLarge,
                Progress::Ended(outcome) => return outcome,
            };
            state = self.state();
            match taken {
                Ok(()) => {}
                Err(Stop::Gone) => state.machine.abandon(request_id, Taker::Left),
                Err(Stop::TooLarge) => {
                    is_too_large = true;
                    let reason = Taker::Refuses(Refusal::too_large());
                    state.machine.abandon(request_id, reason);
                }
            }
        }
    }

    fn record_end(
        &self,
        request_id: &str,
        tracing: &str,
        outcome: &Outcome,
        begun: Instant,
        times: &Times,
    ) {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        let (status, error) = report::status(Some(outcome));
        let since_1970 = system::now().saturating_sub(begun.elapsed());
        let spans = match (times.first_byte, times.answered) {
            (Some(first), Some(answered)) => {
                let span = |name: &str, from: Duration, length: Duration| {
                    format!(
                        "{{\"name\":\"{name}\",\"start\":\"{}\",\"durationMs\":{:.3}}}",
                        super::timestamp::iso(since_1970 + from),
                        millis(length)
                    )
                };
                format!(
                    ",\"spans\":[{},{}]",
                    span("responseLatency", Duration::ZERO, first),
                    span("responseDuration", first, answered.saturating_sub(first))
                )
            }
            _ => String::new(),
        };
        self.telemetry.platform(
            "platform.runtimeDone",
            format!(
                "{{\"requestId\":{request_id},\"status\":\"{status}\"{error}{tracing}{spans},\
                 \"metrics\":{{\"durationMs\":{:.3},\"producedBytes\":{}}}}}",
                millis(begun.elapsed()),
                times.produced
            ),
        );
    }

    /// What the log says about an invocation that did not end well.
    fn complaint(&self, request_id: &str, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Failed(kind, how) => {
                let words = format!("RequestId: {request_id} Error: {how}");
                self.telemetry.platform("platform.fault", quote(&words));
                format!("{words}\n{kind}\n")
            }
            Outcome::TimedOut => {
                let words = format!("{request_id} {}", self.timed_out());
                self.telemetry.platform("platform.fault", quote(&words));
                format!("{words}\n")
            }
            _ => String::new(),
        }
    }

    /// The words about a function that took too long.
    pub fn timed_out(&self) -> String {
        let seconds = self.configuration.timeout.as_secs();
        format!("Task timed out after {seconds}.00 seconds")
    }

    /// An environment that failed is ended before its caller hears of it; one that handles several events at once goes on
    /// after a timeout.
    fn clean_up(self: &Arc<Self>, outcome: &Outcome) {
        let state = self.state();
        let generation = state.machine.generation();
        let has_failed = state.fault.is_some();
        drop(state);
        let is_concurrent = self.configuration.max_concurrency.is_some();
        if has_failed {
            self.reset(generation, Reason::Failure);
        } else if *outcome == Outcome::TimedOut && !is_concurrent {
            self.reset(generation, Reason::Timeout);
        }
    }
}

/// The member of events and records that carries the caller's trace header.
fn tracing(trace_id: Option<&str>) -> String {
    let member = |value| {
        format!(
            ",\"tracing\":{{\"type\":\"X-Amzn-Trace-Id\",\"value\":{}}}",
            quote(value)
        )
    };
    trace_id.map(member).unwrap_or_default()
}
