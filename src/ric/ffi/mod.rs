//! The only unsafe code: the interpreter's stable C API and the few system calls that std lacks.
//!
//! Every Python object is opaque: no header, no macro and no struct of CPython is used, so one archive serves CPython
//! 3.10 to 3.15, with and without the GIL. Three structs are laid out here: `PyMethodDef` (stable ABI), `PyStatus`
//! (unchanged since 3.8) and `PyObjectArenaAllocator` (since 3.4). `PyConfig`, which changes in every version, is only ever an oversized buffer that the
//! interpreter's own functions fill.
//!
//! What makes the safe wrappers safe: a [`Python`] token exists only while this thread is attached to the interpreter,
//! tokens and objects are not `Send`, and [`Python::detached`] takes only `Send` work, so no object can be touched
//! without the interpreter.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::NonNull;

mod api;
mod arenas;
mod exception;
mod functions;
mod interpreter;
mod kind;
mod object;
mod process;
mod python;
mod signals;

pub use exception::{Builtin, Exception};
pub use functions::Function;
pub use interpreter::{run_python, version_text};
pub use kind::{Kind, Unfinished};
pub use process::{
    adopt_orphans, die_with_parent, kill_with_parent, reap, set_changing_variable, set_variable,
};
pub use signals::{
    Signal, SignalsHeld, StopSignals, Wake, signal_group, signal_process, unblock_signals_in,
};

/// A `PyObject`, never looked into.
#[repr(C)]
pub struct Opaque {
    _private: [u8; 0],
}
type Raw = *mut Opaque;

/// An exception is set in this thread: hand it on or [`Python::take_exception`].
#[derive(Debug)]
pub struct Raised;

/// The result of whatever may raise.
pub type Result<T> = std::result::Result<T, Raised>;

/// This thread is attached to the interpreter.
#[derive(Clone, Copy)]
pub struct Python(PhantomData<*mut ()>);

/// An owned reference to a Python object.
pub struct Object(NonNull<Opaque>);

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

#[cfg(fuzzing)]
pub use interpreter::in_interpreter;
