//! Signals: sent, held back, waited for.

use std::ffi::{c_int, c_long, c_ulong};
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

unsafe extern "C" {
    fn ppoll(
        fds: *mut PollFd,
        count: c_ulong,
        timeout: *const TimeSpec,
        mask: *const SignalSet,
    ) -> c_int;
    fn sigemptyset(set: *mut SignalSet) -> c_int;
    fn sigfillset(set: *mut SignalSet) -> c_int;
    fn sigaddset(set: *mut SignalSet, signal: c_int) -> c_int;
    fn sigwait(set: *const SignalSet, signal: *mut c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: i16,
    revents: i16,
}

#[repr(C)]
struct TimeSpec {
    seconds: c_long,
    nanoseconds: c_long,
}

/// glibc's `sigset_t`: 1024 bits.
#[repr(C)]
#[derive(Clone, Copy)]
struct SignalSet([c_ulong; 16]);

const SIG_BLOCK: c_int = 0;
const SIG_SETMASK: c_int = 2;
const POLLIN: i16 = 1;
const POLLOUT: i16 = 4;

/// The signals that this program sends or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt = 2,
    /// No appeal.
    Kill = 9,
    /// A request to end.
    Terminate = 15,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The descriptor is as it was waited for, or closed.
    Ready,
    /// A signal came in, or the time is over.
    Interrupted,
}

/// Signals do not reach this thread until this is dropped, except inside [`SignalsHeld::wait_readable`].
pub struct SignalsHeld(SignalSet);

impl SignalsHeld {
    /// Holds back all signals of this thread.
    pub fn new() -> Self {
        let (mut all, mut old) = (SignalSet([0; 16]), SignalSet([0; 16]));
        // SAFETY: both sets are valid.
        unsafe {
            sigfillset(&mut all);
            pthread_sigmask(SIG_SETMASK, &all, &mut old);
        }
        Self(old)
    }

    /// Waits until `fd` can be read, a signal came in, or `limit` is over. A signal that was held back ends the wait at
    /// once: there is no moment in which it could be missed.
    pub fn wait_readable(&self, fd: RawFd, limit: Duration) -> Wake {
        self.wait(fd, POLLIN, limit)
    }

    /// The same for a descriptor that can be read or written.
    pub fn wait_ready(&self, fd: RawFd, limit: Duration) -> Wake {
        self.wait(fd, POLLIN | POLLOUT, limit)
    }

    fn wait(&self, fd: RawFd, events: i16, limit: Duration) -> Wake {
        let mut poll = PollFd {
            fd,
            events,
            revents: 0,
        };
        let limit = TimeSpec {
            seconds: limit.as_secs() as c_long,
            nanoseconds: c_long::from(limit.subsec_nanos()),
        };
        // SAFETY: one valid entry; the set is the thread's former one.
        match unsafe { ppoll(&mut poll, 1, &limit, &self.0) } {
            1 => Wake::Ready,
            _ => Wake::Interrupted,
        }
    }
}

impl Default for SignalsHeld {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: the set is the thread's former one.
        unsafe { pthread_sigmask(SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

/// From now on SIGINT and SIGTERM reach nobody but [`StopSignals::wait`]. Call before the first thread is started.
pub struct StopSignals(SignalSet);

impl StopSignals {
    /// Takes the two signals over for this process and for threads started later.
    pub fn new() -> Self {
        let mut set = SignalSet([0; 16]);
        // SAFETY: a valid set and valid signals.
        unsafe {
            sigemptyset(&mut set);
            sigaddset(&mut set, Signal::Interrupt as c_int);
            sigaddset(&mut set, Signal::Terminate as c_int);
            pthread_sigmask(SIG_BLOCK, &set, ptr::null_mut());
        }
        Self(set)
    }

    /// Waits for one of the two.
    pub fn wait(&self) -> Signal {
        let mut signal = 0;
        // SAFETY: a valid set; the signals in it are blocked.
        unsafe { sigwait(&self.0, &mut signal) };
        match signal {
            2 => Signal::Interrupt,
            _ => Signal::Terminate,
        }
    }
}

impl Default for StopSignals {
    fn default() -> Self {
        Self::new()
    }
}

/// Lets every signal reach the command's process: it would inherit what [`StopSignals`] holds back here.
pub fn unblock_signals_in(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    let unblock = || {
        let mut none = SignalSet([0; 16]);
        // SAFETY: a valid set.
        unsafe {
            sigemptyset(&mut none);
            pthread_sigmask(SIG_SETMASK, &none, ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: between fork and exec, only calls that are safe in a signal handler.
    unsafe { command.pre_exec(unblock) };
}

/// Sends a signal to a process. One that is gone is no error.
pub fn signal_process(process: u32, signal: Signal) {
    if let Ok(process @ 2..) = c_int::try_from(process) {
        // SAFETY: a system call without memory.
        unsafe { kill(process, signal as c_int) };
    }
}

/// Sends a signal to every process of a group. A group that is gone is no error.
pub fn signal_group(leader: u32, signal: Signal) {
    if let Ok(leader @ 2..) = c_int::try_from(leader) {
        // SAFETY: a system call without memory.
        unsafe { kill(-leader, signal as c_int) };
    }
}
