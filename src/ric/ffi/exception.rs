//! Exceptions, raised and taken.

use std::ptr::{self, NonNull};

use super::api::*;
use super::{Object, Python, Raised, Raw, Result};

/// An exception that was taken from the thread: class, instance, and the traceback or None.
pub struct Exception {
    /// The class.
    pub kind: Object,
    /// The instance.
    pub value: Object,
    /// The traceback, or None.
    pub traceback: Object,
}

/// The built-in exception classes that this crate raises or looks for.
#[derive(Clone, Copy)]
pub enum Builtin {
    /// `Exception`
    Exception,
    /// `AttributeError`
    AttributeError,
    /// `TypeError`
    TypeError,
    /// `ValueError`
    ValueError,
    /// `KeyError`
    KeyError,
    /// `RuntimeError`
    RuntimeError,
    /// `OSError`
    OSError,
}

impl Builtin {
    pub(super) fn raw(self) -> Raw {
        // SAFETY: the interpreter sets these pointers at start and never again.
        unsafe {
            match self {
                Self::Exception => PyExc_Exception,
                Self::AttributeError => PyExc_AttributeError,
                Self::TypeError => PyExc_TypeError,
                Self::ValueError => PyExc_ValueError,
                Self::KeyError => PyExc_KeyError,
                Self::RuntimeError => PyExc_RuntimeError,
                Self::OSError => PyExc_OSError,
            }
        }
    }
}

impl Python {
    /// Sets an exception with a message.
    pub fn raise(self, kind: Builtin, message: &str) -> Raised {
        if let Ok(message) = self.decode(message.as_bytes(), c"replace") {
            // SAFETY: attached; both are valid objects.
            unsafe { PyErr_SetObject(kind.raw(), message.raw()) };
        }
        Raised
    }

    /// Sets an exception that was made in Python.
    pub fn raise_value(self, value: Object) -> Raised {
        match value.class(self) {
            Ok(kind) => self.restore(Exception {
                kind,
                value,
                traceback: self.none(),
            }),
            Err(raised) => raised,
        }
    }

    /// Sets a SystemExit: the interpreter ends in an orderly way when it reaches the top.
    pub fn exit(self, code: i64) -> Raised {
        if let Ok(code) = self.integer(code) {
            // SAFETY: attached; both are valid objects.
            unsafe { PyErr_SetObject(PyExc_SystemExit, code.raw()) };
        }
        Raised
    }

    /// Takes the exception that is set in this thread.
    pub fn take_exception(self) -> Option<Exception> {
        let (mut kind, mut value, mut traceback) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: attached; the three pointers become owned references, or null when no exception is set.
        unsafe {
            PyErr_Fetch(&mut kind, &mut value, &mut traceback);
            PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        }
        let none = || self.none();
        Some(Exception {
            kind: NonNull::new(kind).map(Object)?,
            value: NonNull::new(value).map_or_else(none, Object),
            traceback: NonNull::new(traceback).map_or_else(none, Object),
        })
    }

    /// Sets an exception that was taken.
    pub fn restore(self, exception: Exception) -> Raised {
        let traceback = exception.traceback;
        let traceback = if traceback.is_none() {
            ptr::null_mut()
        } else {
            traceback.into_raw()
        };
        // SAFETY: attached; the references are given away.
        unsafe {
            PyErr_Restore(
                exception.kind.into_raw(),
                exception.value.into_raw(),
                traceback,
            )
        };
        Raised
    }

    /// Runs the Python handlers of the signals that came in. Raises what a handler raises.
    pub fn check_signals(self) -> Result<()> {
        // SAFETY: attached.
        self.done(unsafe { PyErr_CheckSignals() })
    }
}

impl Exception {
    /// Whether this is an instance of the class.
    pub fn is(&self, kind: Builtin) -> bool {
        // SAFETY: attached (an exception holds objects); both are valid.
        unsafe { PyErr_GivenExceptionMatches(self.kind.raw(), kind.raw()) != 0 }
    }
}
