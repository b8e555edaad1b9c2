//! Making objects, importing, running code.

use std::ffi::{CStr, c_int, c_long};
use std::ptr::{self, NonNull};

use super::api::*;
use super::{Object, Python, Raised, Raw, Result, c_string};
use crate::version;

impl Python {
    /// Does `work` without holding the interpreter, so that other Python threads go on.
    pub fn detached<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        // SAFETY: a Python token shows that the thread is attached. `work` is Send, so it holds no token and no object.
        unsafe {
            let state = PyEval_SaveThread();
            let result = work();
            PyEval_RestoreThread(state);
            result
        }
    }

    /// Does `work`, which makes many objects and no cycle among them, without the collector of cycles: it would look at all
    /// of them again and again. Without the GIL other threads may need it, and it stays on.
    pub fn uncollected<T>(self, work: impl FnOnce() -> T) -> T {
        if version::is_free_threaded() {
            return work();
        }
        // SAFETY: attached; both only set a flag.
        let was_on = unsafe { PyGC_Disable() } != 0;
        let result = work();
        if was_on {
            // SAFETY: attached.
            unsafe { PyGC_Enable() };
        }
        result
    }

    pub(super) fn own(self, raw: Raw) -> Result<Object> {
        NonNull::new(raw).map(Object).ok_or(Raised)
    }

    pub(super) fn borrow(self, raw: Raw) -> Result<Object> {
        let object = NonNull::new(raw).ok_or(Raised)?;
        // SAFETY: a valid object, and this thread is attached.
        unsafe { Py_IncRef(raw) };
        Ok(Object(object))
    }

    pub(super) fn done(self, code: c_int) -> Result<()> {
        if code < 0 { Err(Raised) } else { Ok(()) }
    }

    /// None.
    pub fn none(self) -> Object {
        // SAFETY: None is a static of the interpreter.
        unsafe {
            let none = &raw mut _Py_NoneStruct;
            Py_IncRef(none);
            Object(NonNull::new_unchecked(none))
        }
    }

    /// True or False.
    pub fn boolean(self, value: bool) -> Result<Object> {
        // SAFETY: attached.
        self.own(unsafe { PyBool_FromLong(c_long::from(value)) })
    }

    /// An int.
    pub fn integer(self, value: i64) -> Result<Object> {
        // SAFETY: attached.
        self.own(unsafe { PyLong_FromLongLong(value) })
    }

    /// An int of any size from its decimal digits. Raises ValueError above the interpreter's limit of digits.
    pub fn integer_from_digits(self, digits: &str) -> Result<Object> {
        let digits = c_string(digits);
        // SAFETY: attached; the text is terminated.
        self.own(unsafe { PyLong_FromString(digits.as_ptr(), ptr::null_mut(), 10) })
    }

    /// A float.
    pub fn float(self, value: f64) -> Result<Object> {
        // SAFETY: attached.
        self.own(unsafe { PyFloat_FromDouble(value) })
    }

    /// A str.
    pub fn text(self, text: &str) -> Result<Object> {
        self.decode(text.as_bytes(), c"strict")
    }

    /// A str from UTF-8 bytes; `errors` is an error handler of Python.
    pub fn decode(self, bytes: &[u8], errors: &CStr) -> Result<Object> {
        // SAFETY: attached; pointer and size belong together.
        self.own(unsafe {
            PyUnicode_DecodeUTF8(bytes.as_ptr().cast(), bytes.len() as isize, errors.as_ptr())
        })
    }

    /// A str, or None.
    pub fn optional_text(self, text: Option<&str>) -> Result<Object> {
        text.map_or_else(|| Ok(self.none()), |text| self.text(text))
    }

    /// A bytes object.
    pub fn bytes(self, bytes: &[u8]) -> Result<Object> {
        // SAFETY: attached; the bytes are copied.
        self.own(unsafe { PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize) })
    }

    /// A tuple.
    pub fn tuple(
        self,
        items: impl IntoIterator<Item = Object, IntoIter: ExactSizeIterator>,
    ) -> Result<Object> {
        let items = items.into_iter();
        // SAFETY: attached; PyTuple_SetItem takes over the reference, and the tuple is not shared yet.
        unsafe {
            let tuple = self.own(PyTuple_New(items.len() as isize))?;
            for (index, item) in items.enumerate() {
                self.done(PyTuple_SetItem(
                    tuple.raw(),
                    index as isize,
                    item.into_raw(),
                ))?;
            }
            Ok(tuple)
        }
    }

    /// A list.
    pub fn list(self, items: Vec<Object>) -> Result<Object> {
        // SAFETY: as for tuple.
        unsafe {
            let list = self.own(PyList_New(items.len() as isize))?;
            for (index, item) in items.into_iter().enumerate() {
                self.done(PyList_SetItem(list.raw(), index as isize, item.into_raw()))?;
            }
            Ok(list)
        }
    }

    /// An empty dict.
    pub fn dict(self) -> Result<Object> {
        // SAFETY: attached.
        self.own(unsafe { PyDict_New() })
    }

    /// Imports a module by its full name and returns it.
    pub fn import(self, name: &str) -> Result<Object> {
        let name = c_string(name);
        // SAFETY: attached; terminated text.
        self.own(unsafe { PyImport_ImportModule(name.as_ptr()) })
    }

    /// The module of that name if it is imported.
    pub fn imported(self, name: &str) -> Option<Object> {
        let name = self.text(name).ok();
        // SAFETY: attached; the result is a new reference, or null with or without an exception.
        let found = name.and_then(|name| unsafe { self.own(PyImport_GetModule(name.raw())) }.ok());
        if found.is_none() {
            self.take_exception();
        }
        found
    }

    /// Compiles statements. `filename` is what tracebacks show.
    pub fn compile(self, source: &str, filename: &str) -> Result<Object> {
        const FILE_INPUT: c_int = 257;
        let (source, filename) = (c_string(source), c_string(filename));
        // SAFETY: attached; terminated texts.
        self.own(unsafe { Py_CompileString(source.as_ptr(), filename.as_ptr(), FILE_INPUT) })
    }

    /// Runs compiled statements in a dict.
    pub fn execute(self, code: &Object, globals: &Object) -> Result<()> {
        // SAFETY: attached; a wrong type raises.
        self.own(unsafe { PyEval_EvalCode(code.raw(), globals.raw(), globals.raw()) })?;
        Ok(())
    }

    /// Counts one level of recursion for as long as `work` runs. Raises RecursionError at the interpreter's limit.
    pub fn deeper<T>(self, place: &CStr, work: impl FnOnce() -> Result<T>) -> Result<T> {
        // SAFETY: attached; Leave follows every successful Enter.
        unsafe {
            self.done(-Py_EnterRecursiveCall(place.as_ptr()).abs())?;
            let result = work();
            Py_LeaveRecursiveCall();
            result
        }
    }
}
