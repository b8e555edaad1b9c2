//! What this process does to itself before and beside the interpreter.

#[cfg(feature = "executable")]
use std::ffi::CStr;
use std::ffi::{c_char, c_int, c_ulong};
use std::sync::{Mutex, PoisonError};

use super::Signal;

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
    fn putenv(assignment: *mut c_char) -> c_int;
    fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
}

/// Sets an environment variable. Only before the first thread and the interpreter start.
pub fn set_variable(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: the program has one thread when its role is decided, the only time at which this is called.
    unsafe { std::env::set_var(name, value) };
}

/// Sets an environment variable that changes very often, always the same one: the C library's setenv keeps every value that
/// it ever got. Call it, as everything that changes the environment, from one thread, attached to the interpreter.
pub fn set_changing_variable(name: &str, value: &str) {
    static BUFFERS: Mutex<[Vec<u8>; 2]> = Mutex::new([Vec::new(), Vec::new()]);
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    // The two take turns, so that what somebody has just read stays as it is.
    buffers.swap(0, 1);
    let assignment = &mut buffers[0];
    assignment.clear();
    for part in [name, "=", value] {
        assignment.extend(part.bytes().filter(|&byte| byte != 0));
    }
    assignment.push(0);
    // SAFETY: a terminated text that is changed no more before another one has taken its place in the environment.
    unsafe { putenv(assignment.as_mut_ptr().cast()) };
}

/// This process gets SIGTERM when the thread that forked it ends.
pub fn die_with_parent() {
    const PR_SET_PDEATHSIG: c_int = 1;
    // SAFETY: a system call without memory.
    unsafe { prctl(PR_SET_PDEATHSIG, Signal::Terminate as c_ulong) };
}

/// Descendants whose parents end become children of this process, and not of the system's first one.
pub fn adopt_orphans() {
    const PR_SET_CHILD_SUBREAPER: c_int = 36;
    const YES: c_ulong = 1;
    // SAFETY: a system call without memory.
    unsafe { prctl(PR_SET_CHILD_SUBREAPER, YES) };
}

/// Waits for a child that was adopted and is about to end.
pub fn reap(process: u32) {
    if let Ok(process @ 1..) = c_int::try_from(process) {
        // SAFETY: no status is wanted.
        unsafe { waitpid(process, std::ptr::null_mut(), 0) };
    }
}

/// The command's process is killed when the thread that starts it ends.
pub fn kill_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    let bind = || {
        const PR_SET_PDEATHSIG: c_int = 1;
        // SAFETY: a system call without memory.
        unsafe { prctl(PR_SET_PDEATHSIG, Signal::Kill as c_ulong) };
        Ok(())
    };
    // SAFETY: between fork and exec, only a call that is safe in a signal handler.
    unsafe { command.pre_exec(bind) };
}

/// The C program's start.
#[cfg(feature = "executable")]
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let arguments = (0..argc.max(0) as usize)
        // SAFETY: the C library passes argc terminated texts.
        .map(|index| unsafe { CStr::from_ptr(*argv.add(index)) }.to_owned())
        .collect();
    crate::entry::run(arguments)
}
