//! The state of the one runtime and its one invocation. No sockets, no threads, no clock.

/// An event on its way to the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The request id.
    pub request_id: String,
    /// The client context as JSON text.
    pub client_context: Option<String>,
    /// The caller's trace header.
    pub trace_id: Option<String>,
    /// The event itself.
    pub payload: Vec<u8>,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's result.
    Response {
        /// Its type.
        content_type: String,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// The function's error, as JSON.
    Error(Vec<u8>),
    /// The result is larger than Lambda allows.
    TooLarge(usize),
    /// The function could not be initialised; the error as JSON.
    InitError(Vec<u8>),
    /// The runtime ended, with these words about how.
    Died(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Starting,
    Idle,
    Busy,
    InitFailed,
}

/// Why the Runtime API refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not now: 403.
    InvalidStateTransition,
    /// Not this invocation: 400.
    InvalidRequestId,
}

/// What `next` gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Work.
    Event(Event),
    /// Nothing yet.
    Wait,
    /// The runtime that asked is gone; another one has its place.
    Gone,
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    phase: Phase,
    generation: u64,
    pending: Option<Event>,
    current: Option<String>,
    outcome: Option<Outcome>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            phase: Phase::Off,
            generation: 0,
            pending: None,
            current: None,
            outcome: None,
        }
    }
}

impl Machine {
    /// The number of the runtime that is on; earlier ones are gone.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a runtime must be started before an event can be handled.
    pub fn needs_runtime(&self) -> bool {
        matches!(self.phase, Phase::Off | Phase::InitFailed)
    }

    /// A runtime is being started; it has this number.
    pub fn start(&mut self) -> u64 {
        self.generation += 1;
        self.phase = Phase::Starting;
        self.current = None;
        self.generation
    }

    /// An event for the runtime's next `next`.
    pub fn offer(&mut self, event: Event) {
        self.outcome = None;
        self.pending = Some(event);
    }

    /// The runtime of this generation asks for work.
    pub fn next(&mut self, generation: u64) -> Result<Next, Refusal> {
        if generation != self.generation || self.phase == Phase::Off {
            return Ok(Next::Gone);
        }
        match self.phase {
            Phase::Busy | Phase::InitFailed => return Err(Refusal::InvalidStateTransition),
            _ => self.phase = Phase::Idle,
        }
        Ok(match self.pending.take() {
            Some(event) => {
                self.phase = Phase::Busy;
                self.current = Some(event.request_id.clone());
                Next::Event(event)
            }
            None => Next::Wait,
        })
    }

    /// Whether the event has reached the runtime, or never will.
    pub fn is_handed_over(&self) -> bool {
        self.pending.is_none()
    }

    /// The runtime answers an invocation.
    pub fn answer(&mut self, request_id: &str, outcome: Outcome) -> Result<(), Refusal> {
        if self.current.as_deref() != Some(request_id) {
            return Err(Refusal::InvalidRequestId);
        }
        if self.phase != Phase::Busy {
            return Err(Refusal::InvalidStateTransition);
        }
        self.phase = Phase::Idle;
        self.current = None;
        self.outcome = Some(outcome);
        Ok(())
    }

    /// The runtime could not initialise the function.
    pub fn init_error(&mut self, body: Vec<u8>) -> Result<(), Refusal> {
        if self.phase != Phase::Starting {
            return Err(Refusal::InvalidStateTransition);
        }
        self.phase = Phase::InitFailed;
        self.pending = None;
        self.outcome = Some(Outcome::InitError(body));
        Ok(())
    }

    /// The runtime of this generation has ended.
    pub fn exited(&mut self, generation: u64, how: &str) {
        if generation != self.generation {
            return;
        }
        let waited_for = self.pending.take().is_some() || self.current.take().is_some();
        if waited_for && self.outcome.is_none() {
            self.outcome = Some(Outcome::Died(how.to_owned()));
        }
        self.phase = Phase::Off;
    }

    /// The invocation was given up.
    pub fn give_up(&mut self) {
        self.pending = None;
        self.current = None;
        self.outcome = None;
    }

    /// How the invocation ended, once it has.
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        Event {
            request_id: id.to_owned(),
            ..Event::default()
        }
    }

    fn response() -> Outcome {
        Outcome::Response {
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn one_event_after_another() {
        let mut machine = Machine::default();
        assert!(machine.needs_runtime());
        let first = machine.start();
        for id in ["a", "b"] {
            assert_eq!(machine.next(first), Ok(Next::Wait));
            machine.offer(event(id));
            assert!(!machine.is_handed_over());
            assert_eq!(machine.next(first), Ok(Next::Event(event(id))));
            assert!(machine.is_handed_over());
            assert_eq!(machine.take_outcome(), None);
            assert_eq!(machine.answer(id, response()), Ok(()));
            assert_eq!(machine.take_outcome(), Some(response()));
            assert!(!machine.needs_runtime());
        }
    }

    #[test]
    fn what_comes_at_the_wrong_time_is_refused() {
        let mut machine = Machine::default();
        let first = machine.start();
        machine.offer(event("a"));
        assert_eq!(
            machine.answer("a", response()),
            Err(Refusal::InvalidRequestId)
        );
        machine.next(first).unwrap();
        assert_eq!(machine.next(first), Err(Refusal::InvalidStateTransition));
        assert_eq!(
            machine.init_error(vec![]),
            Err(Refusal::InvalidStateTransition)
        );
        assert_eq!(
            machine.answer("b", response()),
            Err(Refusal::InvalidRequestId)
        );
        machine.answer("a", response()).unwrap();
        assert_eq!(
            machine.answer("a", response()),
            Err(Refusal::InvalidRequestId)
        );
    }

    #[test]
    fn an_init_error_outlives_the_exit_that_follows() {
        let mut machine = Machine::default();
        let first = machine.start();
        machine.offer(event("a"));
        machine.init_error(b"{}".to_vec()).unwrap();
        assert_eq!(
            machine.init_error(vec![]),
            Err(Refusal::InvalidStateTransition)
        );
        assert!(machine.needs_runtime());
        assert_eq!(machine.next(first), Err(Refusal::InvalidStateTransition));
        machine.exited(first, "exit status 1");
        assert_eq!(
            machine.take_outcome(),
            Some(Outcome::InitError(b"{}".to_vec()))
        );
        assert!(machine.needs_runtime());
    }

    #[test]
    fn a_dead_runtime_is_replaced_and_its_remains_get_nothing() {
        let mut machine = Machine::default();
        let first = machine.start();
        machine.offer(event("a"));
        machine.next(first).unwrap();
        machine.exited(first, "signal 9");
        assert_eq!(
            machine.take_outcome(),
            Some(Outcome::Died("signal 9".to_owned()))
        );
        assert!(machine.needs_runtime());
        let second = machine.start();
        machine.offer(event("b"));
        assert_eq!(machine.next(first), Ok(Next::Gone));
        machine.exited(first, "late news");
        assert_eq!(
            machine.answer("a", response()),
            Err(Refusal::InvalidRequestId)
        );
        assert_eq!(machine.next(second), Ok(Next::Event(event("b"))));
    }

    #[test]
    fn an_exit_while_idle_is_nobodys_outcome() {
        let mut machine = Machine::default();
        let first = machine.start();
        machine.next(first).unwrap();
        machine.exited(first, "exit status 0");
        assert_eq!(machine.take_outcome(), None);
        assert!(machine.needs_runtime());
    }
}
