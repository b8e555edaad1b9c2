//! The interpreter as a whole.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use super::api::*;
use super::{Python, Result, arenas};

/// `3.13.5 (main, …)`, also before the interpreter is initialised.
pub fn version_text() -> String {
    // SAFETY: the interpreter returns a static, terminated text.
    unsafe { CStr::from_ptr(Py_GetVersion()) }
        .to_string_lossy()
        .into_owned()
}

/// Starts the interpreter with a command line like python's own, calls `prepare`, runs what the command line says and
/// ends the interpreter. Returns the exit code; does not return if the command line only asks for help or is wrong.
pub fn run_python(arguments: &[CString], prepare: impl FnOnce(Python) -> Result<()>) -> c_int {
    arenas::use_huge_pages();
    const MORE_THAN_ANY_PYCONFIG: usize = 64 * 1024 / size_of::<u64>();
    let mut config = vec![0u64; MORE_THAN_ANY_PYCONFIG];
    let config = config.as_mut_ptr().cast::<c_void>();
    let argv: Vec<*mut c_char> = arguments.iter().map(|a| a.as_ptr().cast_mut()).collect();
    // SAFETY: the buffer is aligned and far larger than PyConfig of any version, and only the interpreter writes to it.
    // argv outlives the call, which copies it.
    unsafe {
        PyConfig_InitPythonConfig(config);
        let mut status = PyConfig_SetBytesArgv(config, argv.len() as isize, argv.as_ptr());
        if PyStatus_Exception(status) == 0 {
            status = Py_InitializeFromConfig(config);
        }
        if PyStatus_Exception(status) != 0 {
            PyConfig_Clear(config);
            Py_ExitStatusException(status);
        }
        PyConfig_Clear(config);
        if prepare(Python(PhantomData)).is_err() {
            PyErr_WriteUnraisable(ptr::null_mut());
        }
        Py_RunMain()
    }
}

/// Starts an interpreter if there is none and does something in it, always in the same thread.
#[cfg(fuzzing)]
pub fn in_interpreter<T>(work: impl FnOnce(Python) -> T) -> T {
    unsafe extern "C" {
        fn Py_InitializeEx(signals: c_int);
    }
    static START: std::sync::Once = std::sync::Once::new();
    // SAFETY: the interpreter is started once, and this thread stays attached to it.
    START.call_once(|| unsafe { Py_InitializeEx(0) });
    work(Python(PhantomData))
}
