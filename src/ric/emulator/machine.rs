//! The state of the runtime and its invocations. No sockets, no threads, no clock.
//!
//! Usually a runtime has one invocation at a time: `next` hands it out, `response` or `error` answers it, and the following
//! `next` ends it. A runtime that handles several at once asks for the next event while others are still open.

use std::collections::{BTreeMap, VecDeque};

use super::refusal::Refusal;

/// An event on its way to the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The request id.
    pub request_id: String,
    /// What the runtime sends back with its answer, so that answers are never mixed up.
    pub invocation_id: String,
    /// The client context as JSON text.
    pub client_context: Option<String>,
    /// The caller's trace header.
    pub trace_id: Option<String>,
    /// The caller's tenant.
    pub tenant_id: Option<String>,
    /// When the function must be done, in milliseconds since 1970.
    pub deadline: u64,
    /// The event itself.
    pub payload: Vec<u8>,
}

/// How an invocation, or the initialisation, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The response is complete.
    Complete,
    /// The function's error, as JSON.
    Error(Vec<u8>),
    /// The response was broken off in the middle, with this error type and this body.
    BrokenOff(String, Vec<u8>),
    /// The result is larger than Lambda allows.
    TooLarge,
    /// The function could not be initialised; the error as JSON.
    InitError(Vec<u8>),
    /// A process failed; the error's type, and how it ended.
    Failed(&'static str, String),
    /// It took too long.
    TimedOut,
}

/// An invocation in the runtime's hands.
#[derive(Debug, Default)]
struct Invocation {
    invocation_id: String,
    content_type: Option<String>,
    pieces: VecDeque<Vec<u8>>,
    buffered: usize,
    outcome: Option<Outcome>,
    taker: Taker,
}

/// The caller's side of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Taker {
    /// Takes what comes.
    #[default]
    Takes,
    /// Is gone; the function goes on.
    Left,
    /// Takes no more, for this reason.
    Refuses(Refusal),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Starting,
    /// The runtime has asked for an event.
    Idle,
    /// It has one (or several).
    Busy,
    InitFailed,
}

/// What `next` gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Work.
    Event(Event),
    /// Nothing yet.
    Wait,
    /// The runtime that asked is gone.
    Gone,
}

/// What has come of an invocation's response.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// A response of this content type has begun.
    Begun(String),
    /// Bytes of it.
    Piece(Vec<u8>),
    /// The end.
    Ended(Outcome),
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    generation: u64,
    is_concurrent: bool,
    pending: VecDeque<Event>,
    open: BTreeMap<String, Invocation>,
    gone: VecDeque<String>,
}

impl Machine {
    /// No runtime yet.
    pub fn new(is_concurrent: bool) -> Self {
        Self {
            phase: Phase::Off,
            generation: 0,
            is_concurrent,
            pending: VecDeque::new(),
            open: BTreeMap::new(),
            gone: VecDeque::new(),
        }
    }

    /// The number of the runtime that is on; earlier ones are gone.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A runtime is being started; it has this number.
    pub fn start(&mut self) -> u64 {
        self.generation += 1;
        self.phase = Phase::Starting;
        self.generation
    }

    /// The runtime is over, with everything it had.
    pub fn stop(&mut self) {
        self.phase = Phase::Off;
        self.pending.clear();
    }

    /// Whether the runtime has called `next` and holds no unanswered event; at the end of an invocation, and of the start.
    pub fn is_ready(&self) -> bool {
        match self.phase {
            Phase::Idle => true,
            Phase::Busy => self.is_concurrent,
            _ => false,
        }
    }

    /// An event for the runtime's next `next`.
    pub fn offer(&mut self, event: Event) {
        self.open.insert(
            event.request_id.clone(),
            Invocation {
                invocation_id: event.invocation_id.clone(),
                ..Invocation::default()
            },
        );
        self.pending.push_back(event);
    }

    /// The runtime of this generation begins to ask for work.
    pub fn ask(&mut self, generation: u64) -> Result<(), Refusal> {
        if generation != self.generation || self.phase == Phase::Off {
            return Ok(());
        }
        let is_unanswered = self.open.values().any(|open| open.outcome.is_none());
        match self.phase {
            Phase::InitFailed => return Err(Refusal::state_transition()),
            Phase::Busy if is_unanswered && !self.is_concurrent => {
                return Err(Refusal::state_transition());
            }
            Phase::Busy if self.is_concurrent => {}
            _ => self.phase = Phase::Idle,
        }
        Ok(())
    }

    /// What the runtime of this generation gets.
    pub fn next(&mut self, generation: u64) -> Next {
        if generation != self.generation || matches!(self.phase, Phase::Off | Phase::InitFailed) {
            return Next::Gone;
        }
        match self.pending.pop_front() {
            Some(event) => {
                self.phase = Phase::Busy;
                Next::Event(event)
            }
            None => Next::Wait,
        }
    }

    /// The event did not reach the runtime: its connection was closed. It goes to the next one that asks.
    pub fn put_back(&mut self, event: Event) {
        if self.open.contains_key(&event.request_id) {
            self.pending.push_front(event);
            if !self.is_concurrent {
                self.phase = Phase::Idle;
            }
        }
    }

    fn unanswered(
        &mut self,
        request_id: &str,
        invocation_id: Option<&str>,
    ) -> Result<&mut Invocation, Refusal> {
        if self.gone.iter().any(|id| id == request_id) {
            return Err(Refusal::gone());
        }
        let is_waiting = self
            .pending
            .iter()
            .any(|event| event.request_id == request_id);
        let open = self.open.get_mut(request_id).filter(|_| !is_waiting);
        let open = open.ok_or_else(Refusal::request_id)?;
        if invocation_id.is_some_and(|id| id != open.invocation_id) {
            return Err(Refusal::gone());
        }
        if open.outcome.is_some() {
            return Err(Refusal::state_transition());
        }
        Ok(open)
    }

    /// The runtime begins to answer an invocation.
    pub fn begin(
        &mut self,
        request_id: &str,
        invocation_id: Option<&str>,
        content_type: &str,
    ) -> Result<(), Refusal> {
        let open = self.unanswered(request_id, invocation_id)?;
        if open.content_type.is_some() {
            return Err(Refusal::state_transition());
        }
        open.content_type = Some(content_type.to_owned());
        Ok(())
    }

    /// More of the response. Gives the number of bytes that the caller has not taken yet.
    pub fn piece(&mut self, request_id: &str, bytes: Vec<u8>) -> Result<usize, Refusal> {
        let open = self.unanswered(request_id, None)?;
        match &open.taker {
            Taker::Refuses(reason) => return Err(reason.clone()),
            Taker::Left => {}
            Taker::Takes => {
                open.buffered += bytes.len();
                open.pieces.push_back(bytes);
            }
        }
        Ok(open.buffered)
    }

    /// How many bytes of the response the caller has not taken yet; None when nobody will.
    pub fn untaken(&self, request_id: &str) -> Option<usize> {
        let open = self.open.get(request_id)?;
        (open.outcome.is_none() && open.taker == Taker::Takes).then_some(open.buffered)
    }

    /// The answer is complete.
    pub fn end(
        &mut self,
        request_id: &str,
        invocation_id: Option<&str>,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        self.unanswered(request_id, invocation_id)?.outcome = Some(outcome);
        Ok(())
    }

    /// The caller takes no more of the response.
    pub fn abandon(&mut self, request_id: &str, taker: Taker) {
        if let Some(open) = self.open.get_mut(request_id) {
            (open.pieces, open.buffered) = (VecDeque::new(), 0);
            open.taker = taker;
        }
    }

    /// What the caller can have next. None: nothing yet.
    pub fn progress(&mut self, request_id: &str) -> Option<Progress> {
        let open = self.open.get_mut(request_id)?;
        if let Some(content_type) = open.content_type.as_mut().filter(|text| !text.is_empty()) {
            return Some(Progress::Begun(std::mem::take(content_type)));
        }
        if let Some(piece) = open.pieces.pop_front() {
            open.buffered -= piece.len();
            return Some(Progress::Piece(piece));
        }
        open.outcome.clone().map(Progress::Ended)
    }

    /// The invocation is over for its caller.
    pub fn close(&mut self, request_id: &str) {
        const REMEMBERED: usize = 64;
        self.pending.retain(|event| event.request_id != request_id);
        let closed = self.open.remove(request_id);
        if closed.is_some_and(|open| open.outcome.is_none()) {
            self.gone.push_back(request_id.to_owned());
            if self.gone.len() > REMEMBERED {
                self.gone.pop_front();
            }
        }
    }

    /// The runtime could not initialise the function.
    pub fn init_error(&mut self) -> Result<(), Refusal> {
        if self.phase != Phase::Starting {
            return Err(Refusal::state_transition());
        }
        self.phase = Phase::InitFailed;
        Ok(())
    }

    /// Every invocation that has no answer yet ends like this.
    pub fn fail(&mut self, outcome: &Outcome) {
        for open in self.open.values_mut() {
            open.outcome.get_or_insert_with(|| outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests;
