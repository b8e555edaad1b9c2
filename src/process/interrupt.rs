//! The end by a signal: programs that run are ended, what is under way comes back with an error, so that temporary
//! things go, and the exit code is 128 and the signal's number.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::family::kill;

/// How long programs have to end by themselves.
const GRACE: Duration = Duration::from_millis(700);
/// How long this program has, after that, to clear up in the usual way.
const PATIENCE: Duration = Duration::from_millis(2500);

static STATE: Mutex<State> = Mutex::new(State {
    running: BTreeMap::new(),
    signal: None,
});

struct State {
    /// By their ids, and how they are ended when they get no time to end by themselves.
    running: BTreeMap<u32, Option<fn(u32)>>,
    signal: Option<i32>,
}

/// A program that is ended with this one; forgotten when dropped.
pub(super) struct Registered(u32);

impl Registered {
    pub(super) fn new(id: u32) -> Self {
        Self::register(id, None)
    }

    /// One that gets no time to end by itself.
    pub(super) fn ended_by(id: u32, end: fn(u32)) -> Self {
        Self::register(id, Some(end))
    }

    fn register(id: u32, how: Option<fn(u32)>) -> Self {
        let mut state = state();
        state.running.insert(id, how);
        let signal = state.signal;
        drop(state);
        // It was started while the others were ended.
        if signal.is_some() {
            end(id, how, Signal::KILL);
        }
        Self(id)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        state().running.remove(&self.0);
    }
}

/// The exit code after a signal; None if there was none.
pub fn exit_code() -> Option<u8> {
    let signal = state().signal?;
    u8::try_from(128 + signal).ok()
}

/// From here on SIGINT, SIGTERM and SIGHUP end this program in order, unless whoever started it had them ignored.
/// `clear` removes temporary things when the usual way takes too long.
pub fn end_in_order(clear: fn()) -> io::Result<()> {
    let ignored = ignored()?;
    let wanted: Vec<i32> = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0)
        .collect();
    let mut signals = Signals::new(wanted)?;
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else {
            return;
        };
        let mut held = state();
        held.signal = Some(signal);
        let running = held.running.clone();
        drop(held);
        for (id, how) in running {
            let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
            end(id, how, signal);
        }
        // A second signal means: at once.
        thread::spawn(move || {
            thread::sleep(GRACE);
            kill_all();
            thread::sleep(PATIENCE);
            leave(signal, clear);
        });
        if signals.forever().next().is_some() {
            leave(signal, clear);
        }
    });
    Ok(())
}

fn leave(signal: i32, clear: fn()) -> ! {
    kill_all();
    clear();
    std::process::exit(128 + signal)
}

/// The signals that are ignored, as a mask.
fn ignored() -> io::Result<u64> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    Ok(mask.unwrap_or(0))
}

fn kill_all() {
    let running = state().running.clone();
    for (id, how) in running {
        end(id, how, Signal::KILL);
    }
}

fn end(id: u32, how: Option<fn(u32)>, signal: Signal) {
    match how {
        Some(end) => end(id),
        None => kill(id, signal),
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
