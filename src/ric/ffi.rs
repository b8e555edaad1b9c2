//! The only unsafe code: the interpreter's stable C API and the few system calls that std lacks.
//!
//! Every Python object is opaque: no header, no macro and no struct of CPython is used, so one archive serves CPython
//! 3.10 to 3.15, with and without the GIL. Two structs are laid out here: `PyMethodDef` (stable ABI) and `PyStatus`
//! (unchanged since 3.8). `PyConfig`, which changes in every version, is only ever an oversized buffer that the
//! interpreter's own functions fill.
//!
//! What makes the safe wrappers safe: a [`Python`] token exists only while this thread is attached to the interpreter,
//! tokens and objects are not `Send`, and [`Python::detached`] takes only `Send` work, so no object can be touched
//! without the interpreter.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_longlong, c_ulong, c_void};
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::time::Duration;

use crate::builtin_module::FUNCTIONS;

/// A `PyObject`, never looked into.
#[repr(C)]
pub struct Opaque {
    _private: [u8; 0],
}
type Raw = *mut Opaque;

#[repr(C)]
#[derive(Clone, Copy)]
struct Status {
    kind: c_int,
    function: *const c_char,
    message: *const c_char,
    exit_code: c_int,
}

#[repr(C)]
struct MethodDef {
    name: *const c_char,
    call: Option<unsafe extern "C" fn(Raw, Raw) -> Raw>,
    flags: c_int,
    doc: *const c_char,
}
// SAFETY: the pointers are to statics, and the interpreter only reads them.
unsafe impl Sync for MethodDef {}

const METH_VARARGS: c_int = 1;

unsafe extern "C" {
    fn PyConfig_InitPythonConfig(config: *mut c_void);
    fn PyConfig_SetBytesArgv(config: *mut c_void, argc: isize, argv: *const *mut c_char) -> Status;
    fn PyConfig_Clear(config: *mut c_void);
    fn Py_InitializeFromConfig(config: *const c_void) -> Status;
    fn PyStatus_Exception(status: Status) -> c_int;
    fn Py_ExitStatusException(status: Status) -> !;
    fn Py_RunMain() -> c_int;
    fn Py_GetVersion() -> *const c_char;

    fn Py_IncRef(object: Raw);
    fn Py_DecRef(object: Raw);
    fn PyEval_SaveThread() -> *mut c_void;
    fn PyEval_RestoreThread(state: *mut c_void);
    fn PyEval_EvalCode(code: Raw, globals: Raw, locals: Raw) -> Raw;
    fn Py_CompileString(source: *const c_char, filename: *const c_char, start: c_int) -> Raw;
    fn Py_EnterRecursiveCall(place: *const c_char) -> c_int;
    fn Py_LeaveRecursiveCall();

    fn PyImport_AddModule(name: *const c_char) -> Raw;
    fn PyImport_ImportModule(name: *const c_char) -> Raw;
    fn PyImport_GetModuleDict() -> Raw;
    fn PyCFunction_NewEx(method: *const MethodDef, this: Raw, module: Raw) -> Raw;

    fn PyErr_Occurred() -> Raw;
    fn PyErr_Fetch(kind: *mut Raw, value: *mut Raw, traceback: *mut Raw);
    fn PyErr_NormalizeException(kind: *mut Raw, value: *mut Raw, traceback: *mut Raw);
    fn PyErr_Restore(kind: Raw, value: Raw, traceback: Raw);
    fn PyErr_GivenExceptionMatches(given: Raw, kind: Raw) -> c_int;
    fn PyErr_SetObject(kind: Raw, value: Raw);
    fn PyErr_CheckSignals() -> c_int;
    fn PyErr_WriteUnraisable(object: Raw);

    fn PyObject_GetAttrString(object: Raw, name: *const c_char) -> Raw;
    fn PyObject_SetAttrString(object: Raw, name: *const c_char, value: Raw) -> c_int;
    fn PyObject_Call(callable: Raw, args: Raw, kwargs: Raw) -> Raw;
    fn PyObject_Type(object: Raw) -> Raw;
    fn PyObject_Str(object: Raw) -> Raw;
    fn PyObject_Repr(object: Raw) -> Raw;
    fn PyObject_IsTrue(object: Raw) -> c_int;
    fn PyObject_IsInstance(object: Raw, class: Raw) -> c_int;
    fn PyObject_SetItem(object: Raw, key: Raw, value: Raw) -> c_int;
    fn PyObject_DelItem(object: Raw, key: Raw) -> c_int;
    fn PyCallable_Check(object: Raw) -> c_int;
    fn PyType_GetFlags(kind: Raw) -> c_ulong;
    fn PyType_IsSubtype(kind: Raw, base: Raw) -> c_int;

    fn PyBool_FromLong(value: c_long) -> Raw;
    fn PyLong_FromLongLong(value: c_longlong) -> Raw;
    fn PyLong_FromString(text: *const c_char, end: *mut *mut c_char, base: c_int) -> Raw;
    fn PyLong_AsLongLongAndOverflow(object: Raw, overflow: *mut c_int) -> c_longlong;
    fn PyFloat_FromDouble(value: f64) -> Raw;
    fn PyFloat_AsDouble(object: Raw) -> f64;
    fn PyBytes_FromStringAndSize(bytes: *const c_char, size: isize) -> Raw;
    fn PyBytes_AsStringAndSize(object: Raw, bytes: *mut *mut c_char, size: *mut isize) -> c_int;
    fn PyUnicode_DecodeUTF8(text: *const c_char, size: isize, errors: *const c_char) -> Raw;
    fn PyUnicode_AsUTF8AndSize(object: Raw, size: *mut isize) -> *const c_char;
    fn PyUnicode_AsEncodedString(
        object: Raw,
        encoding: *const c_char,
        errors: *const c_char,
    ) -> Raw;
    fn PyTuple_New(size: isize) -> Raw;
    fn PyTuple_Size(tuple: Raw) -> isize;
    fn PyTuple_GetItem(tuple: Raw, index: isize) -> Raw;
    fn PyTuple_SetItem(tuple: Raw, index: isize, item: Raw) -> c_int;
    fn PySequence_Tuple(sequence: Raw) -> Raw;
    fn PyList_New(size: isize) -> Raw;
    fn PyList_SetItem(list: Raw, index: isize, item: Raw) -> c_int;
    fn PyDict_New() -> Raw;
    fn PyDict_SetItem(dict: Raw, key: Raw, value: Raw) -> c_int;
    fn PyDict_GetItemWithError(dict: Raw, key: Raw) -> Raw;
    fn PyMapping_Items(mapping: Raw) -> Raw;

    static mut _Py_NoneStruct: Opaque;
    static mut PyUnicode_Type: Opaque;
    static mut PyLong_Type: Opaque;
    static mut PyFloat_Type: Opaque;
    static mut PyBool_Type: Opaque;
    static mut PyDict_Type: Opaque;
    static mut PyList_Type: Opaque;
    static mut PyTuple_Type: Opaque;
    static mut PyBytes_Type: Opaque;
    static PyExc_Exception: Raw;
    static PyExc_AttributeError: Raw;
    static PyExc_TypeError: Raw;
    static PyExc_ValueError: Raw;
    static PyExc_KeyError: Raw;
    static PyExc_RuntimeError: Raw;
    static PyExc_OSError: Raw;
    static PyExc_SystemExit: Raw;

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
    fn prctl(option: c_int, ...) -> c_int;
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
    fn raw(self) -> Raw {
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

/// What kind of value the JSON encoder sees. Subclasses count as their base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None
    None,
    /// True
    True,
    /// False
    False,
    /// str
    Text,
    /// int
    Integer,
    /// float
    Float,
    /// bytes
    Bytes,
    /// list itself
    List,
    /// tuple itself
    Tuple,
    /// dict itself
    Dict,
    /// A subclass of list
    ListSubclass,
    /// A subclass of tuple, such as a named tuple
    TupleSubclass,
    /// A subclass of dict
    DictSubclass,
    /// Anything else
    Other,
}

/// A function of the builtin module.
pub struct Function {
    /// Its name in Python.
    pub name: &'static CStr,
    /// Its docstring.
    pub doc: &'static CStr,
    /// Called with the positional arguments.
    pub call: fn(Python, &[Object]) -> Result<Object>,
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

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

    fn own(self, raw: Raw) -> Result<Object> {
        NonNull::new(raw).map(Object).ok_or(Raised)
    }

    fn borrow(self, raw: Raw) -> Result<Object> {
        let object = NonNull::new(raw).ok_or(Raised)?;
        // SAFETY: a valid object, and this thread is attached.
        unsafe { Py_IncRef(raw) };
        Ok(Object(object))
    }

    fn done(self, code: c_int) -> Result<()> {
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
        // SAFETY: attached; the module dict is borrowed and lives as long as the interpreter.
        let modules = unsafe { self.borrow(PyImport_GetModuleDict()) }.ok()?;
        let found = self
            .text(name)
            .and_then(|name| modules.get_key(self, &name));
        found.unwrap_or_else(|Raised| {
            self.take_exception();
            None
        })
    }

    /// A new module without an import, entered in `sys.modules`, with the functions of the builtin module in it.
    ///
    /// Made this way and not from a `PyModuleDef`, whose layout differs on free-threaded builds; such a module does not
    /// turn their GIL back on either.
    pub fn new_module(self, name: &CStr) -> Result<Object> {
        // SAFETY: attached; AddModule returns a borrowed reference; the method definitions are static.
        unsafe {
            let module = self.borrow(PyImport_AddModule(name.as_ptr()))?;
            let module_name = self.text(&name.to_string_lossy())?;
            for method in &METHODS {
                let callable = self.own(PyCFunction_NewEx(
                    method,
                    ptr::null_mut(),
                    module_name.raw(),
                ))?;
                self.done(PyObject_SetAttrString(
                    module.raw(),
                    method.name,
                    callable.raw(),
                ))?;
            }
            Ok(module)
        }
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

    /// Sets an exception with a message.
    pub fn raise(self, kind: Builtin, message: &str) -> Raised {
        if let Ok(message) = self.decode(message.as_bytes(), c"replace") {
            // SAFETY: attached; both are valid objects.
            unsafe { PyErr_SetObject(kind.raw(), message.raw()) };
        }
        Raised
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

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: an owned reference; objects are not Send and not reachable from detached work.
        unsafe { Py_DecRef(self.raw()) }
    }
}

impl Clone for Object {
    fn clone(&self) -> Self {
        // SAFETY: a valid object, and this thread is attached.
        unsafe { Py_IncRef(self.raw()) };
        Self(self.0)
    }
}

impl Object {
    fn raw(&self) -> Raw {
        self.0.as_ptr()
    }

    fn into_raw(self) -> Raw {
        std::mem::ManuallyDrop::new(self).raw()
    }

    /// The object's identity, as `id()`.
    pub fn id(&self) -> usize {
        self.raw().addr()
    }

    /// Whether this is None.
    pub fn is_none(&self) -> bool {
        self.raw() == &raw mut _Py_NoneStruct
    }

    /// An attribute.
    pub fn get(&self, py: Python, name: &str) -> Result<Object> {
        let name = c_string(name);
        // SAFETY: attached; terminated text.
        py.own(unsafe { PyObject_GetAttrString(self.raw(), name.as_ptr()) })
    }

    /// Sets an attribute.
    pub fn set(&self, py: Python, name: &str, value: &Object) -> Result<()> {
        let name = c_string(name);
        // SAFETY: attached; terminated text.
        py.done(unsafe { PyObject_SetAttrString(self.raw(), name.as_ptr(), value.raw()) })
    }

    /// Calls this object with positional arguments.
    pub fn call(&self, py: Python, arguments: &[&Object]) -> Result<Object> {
        let arguments = py.tuple(arguments.iter().map(|&argument| argument.clone()))?;
        // SAFETY: attached; a tuple, and no keywords.
        py.own(unsafe { PyObject_Call(self.raw(), arguments.raw(), ptr::null_mut()) })
    }

    /// Calls a method with positional arguments.
    pub fn call_method(&self, py: Python, name: &str, arguments: &[&Object]) -> Result<Object> {
        self.get(py, name)?.call(py, arguments)
    }

    /// `callable(self)`
    pub fn is_callable(&self) -> bool {
        // SAFETY: attached, and this never fails.
        unsafe { PyCallable_Check(self.raw()) != 0 }
    }

    /// `bool(self)`
    pub fn is_true(&self, py: Python) -> Result<bool> {
        // SAFETY: attached.
        let answer = unsafe { PyObject_IsTrue(self.raw()) };
        py.done(answer).map(|()| answer != 0)
    }

    /// `isinstance(self, class)`
    pub fn is_instance(&self, py: Python, class: &Object) -> Result<bool> {
        // SAFETY: attached.
        let answer = unsafe { PyObject_IsInstance(self.raw(), class.raw()) };
        py.done(answer).map(|()| answer != 0)
    }

    /// `str(self)`
    pub fn to_text(&self, py: Python) -> Result<Object> {
        // SAFETY: attached.
        py.own(unsafe { PyObject_Str(self.raw()) })
    }

    /// `repr(self)`
    pub fn repr(&self, py: Python) -> Result<Object> {
        // SAFETY: attached.
        py.own(unsafe { PyObject_Repr(self.raw()) })
    }

    /// Sets an item of any container.
    pub fn set_item(&self, py: Python, key: &Object, value: &Object) -> Result<()> {
        // SAFETY: attached.
        py.done(unsafe { PyObject_SetItem(self.raw(), key.raw(), value.raw()) })
    }

    /// Deletes an item of any container.
    pub fn delete_item(&self, py: Python, key: &Object) -> Result<()> {
        // SAFETY: attached.
        py.done(unsafe { PyObject_DelItem(self.raw(), key.raw()) })
    }

    /// Sets a key of a dict.
    pub fn set_key(&self, py: Python, key: &Object, value: &Object) -> Result<()> {
        // SAFETY: attached; a wrong type raises.
        py.done(unsafe { PyDict_SetItem(self.raw(), key.raw(), value.raw()) })
    }

    /// A key of a dict.
    pub fn get_key(&self, py: Python, key: &Object) -> Result<Option<Object>> {
        // SAFETY: attached; the result is borrowed, and null without an exception means absent.
        unsafe {
            let found = PyDict_GetItemWithError(self.raw(), key.raw());
            if found.is_null() && !PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            Ok(py.borrow(found).ok())
        }
    }

    /// The pairs of any mapping, as `list(self.items())`.
    pub fn items(&self, py: Python) -> Result<Vec<(Object, Object)>> {
        // SAFETY: attached.
        let list = py.own(unsafe { PyMapping_Items(self.raw()) })?;
        let pairs = list.to_vec(py)?;
        let pair = |pair: &Object| -> Result<(Object, Object)> {
            // SAFETY: attached; anything but a tuple, and a missing item, raises. The items are borrowed.
            unsafe {
                let key = py.borrow(PyTuple_GetItem(pair.raw(), 0))?;
                Ok((key, py.borrow(PyTuple_GetItem(pair.raw(), 1))?))
            }
        };
        pairs.iter().map(pair).collect()
    }

    /// The items of any sequence or iterable, as they are now.
    pub fn to_vec(&self, py: Python) -> Result<Vec<Object>> {
        // SAFETY: attached; a tuple cannot change, and its items are borrowed.
        unsafe {
            let tuple = py.own(PySequence_Tuple(self.raw()))?;
            (0..PyTuple_Size(tuple.raw()).max(0))
                .map(|index| py.borrow(PyTuple_GetItem(tuple.raw(), index)))
                .collect()
        }
    }

    /// The UTF-8 bytes of a str. Raises UnicodeEncodeError for a lone surrogate.
    pub fn utf8(&self, py: Python) -> Result<&[u8]> {
        let mut size = 0;
        // SAFETY: attached; the bytes belong to the str, which `self` keeps alive and which cannot change.
        unsafe {
            let bytes = PyUnicode_AsUTF8AndSize(self.raw(), &mut size);
            if bytes.is_null() {
                return py.done(-1).map(|()| &[][..]);
            }
            Ok(std::slice::from_raw_parts(bytes.cast(), size as usize))
        }
    }

    /// The UTF-8 bytes of a str, with lone surrogates encoded as if they were characters.
    pub fn utf8_with_surrogates(&self, py: Python) -> Result<Vec<u8>> {
        // SAFETY: attached; terminated texts.
        let bytes = py.own(unsafe {
            PyUnicode_AsEncodedString(self.raw(), c"utf-8".as_ptr(), c"surrogatepass".as_ptr())
        })?;
        bytes.as_bytes(py).map(<[u8]>::to_vec)
    }

    /// A str as a Rust string; lone surrogates are replaced.
    pub fn to_string(&self, py: Python) -> Result<String> {
        match self.utf8(py) {
            Ok(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Err(Raised) => {
                py.take_exception();
                let bytes = self.utf8_with_surrogates(py)?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        }
    }

    /// The content of a bytes object.
    pub fn as_bytes(&self, py: Python) -> Result<&[u8]> {
        let (mut bytes, mut size) = (ptr::null_mut(), 0);
        // SAFETY: attached; bytes objects cannot change, and `self` keeps this one alive.
        unsafe {
            py.done(PyBytes_AsStringAndSize(self.raw(), &mut bytes, &mut size))?;
            Ok(std::slice::from_raw_parts(bytes.cast(), size as usize))
        }
    }

    /// The value of an int, or None if it does not fit.
    pub fn as_i64(&self, py: Python) -> Result<Option<i64>> {
        let mut overflow = 0;
        // SAFETY: attached.
        let value = unsafe { PyLong_AsLongLongAndOverflow(self.raw(), &mut overflow) };
        // SAFETY: attached.
        if value == -1 && overflow == 0 && unsafe { !PyErr_Occurred().is_null() } {
            return py.done(-1).map(|()| None);
        }
        Ok((overflow == 0).then_some(value))
    }

    /// The value of a float.
    pub fn as_f64(&self, py: Python) -> Result<f64> {
        // SAFETY: attached.
        let value = unsafe { PyFloat_AsDouble(self.raw()) };
        // SAFETY: attached.
        if value == -1.0 && unsafe { !PyErr_Occurred().is_null() } {
            return py.done(-1).map(|()| value);
        }
        Ok(value)
    }

    /// What the JSON encoder takes this for.
    pub fn kind(&self) -> Kind {
        const SUBCLASSES: [(u32, Kind); 6] = [
            (24, Kind::Integer),
            (25, Kind::ListSubclass),
            (26, Kind::TupleSubclass),
            (27, Kind::Bytes),
            (28, Kind::Text),
            (29, Kind::DictSubclass),
        ];
        if self.is_none() {
            return Kind::None;
        }
        // SAFETY: attached; type objects are only compared and asked for their flags.
        unsafe {
            let kind = Object(NonNull::new_unchecked(PyObject_Type(self.raw())));
            let raw = kind.raw();
            if raw == &raw mut PyUnicode_Type {
                return Kind::Text;
            } else if raw == &raw mut PyDict_Type {
                return Kind::Dict;
            } else if raw == &raw mut PyLong_Type {
                return Kind::Integer;
            } else if raw == &raw mut PyList_Type {
                return Kind::List;
            } else if raw == &raw mut PyFloat_Type {
                return Kind::Float;
            } else if raw == &raw mut PyBool_Type {
                return if PyObject_IsTrue(self.raw()) == 1 {
                    Kind::True
                } else {
                    Kind::False
                };
            } else if raw == &raw mut PyTuple_Type {
                return Kind::Tuple;
            } else if raw == &raw mut PyBytes_Type {
                return Kind::Bytes;
            }
            let flags = PyType_GetFlags(raw);
            for (bit, kind) in SUBCLASSES {
                if flags >> bit & 1 == 1 {
                    return kind;
                }
            }
            if PyType_IsSubtype(raw, &raw mut PyFloat_Type) != 0 {
                return Kind::Float;
            }
        }
        Kind::Other
    }

    /// The object's class.
    pub fn class(&self, py: Python) -> Result<Object> {
        // SAFETY: attached.
        py.own(unsafe { PyObject_Type(self.raw()) })
    }
}

impl Exception {
    /// Whether this is an instance of the class.
    pub fn is(&self, kind: Builtin) -> bool {
        // SAFETY: attached (an exception holds objects); both are valid.
        unsafe { PyErr_GivenExceptionMatches(self.kind.raw(), kind.raw()) != 0 }
    }
}

unsafe extern "C" fn trampoline<const INDEX: usize>(_module: Raw, arguments: Raw) -> Raw {
    let py = Python(PhantomData);
    let run = || {
        // The interpreter calls this, so the thread is attached, and the arguments are a tuple.
        let arguments = py.borrow(arguments)?.to_vec(py)?;
        (FUNCTIONS[INDEX].call)(py, &arguments)
    };
    run().map_or(ptr::null_mut(), Object::into_raw)
}

macro_rules! methods {
    ($($index:literal)*) => {
        [$(MethodDef {
            name: FUNCTIONS[$index].name.as_ptr(),
            call: Some(trampoline::<$index>),
            flags: METH_VARARGS,
            doc: FUNCTIONS[$index].doc.as_ptr(),
        }),*]
    };
}

static METHODS: [MethodDef; FUNCTIONS.len()] = methods!(0 1 2 3 4 5 6 7 8 9 10);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The descriptor can be read, or is closed.
    Readable,
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
        let mut poll = PollFd {
            fd,
            events: POLLIN,
            revents: 0,
        };
        let limit = TimeSpec {
            seconds: limit.as_secs() as c_long,
            nanoseconds: c_long::from(limit.subsec_nanos()),
        };
        // SAFETY: one valid entry; the set is the thread's former one.
        match unsafe { ppoll(&mut poll, 1, &limit, &self.0) } {
            1 => Wake::Readable,
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

/// Sets an environment variable. Only before the first thread and the interpreter start.
pub fn set_variable(name: &str, value: &std::ffi::OsStr) {
    // SAFETY: the program has one thread when its role is decided, the only time at which this is called.
    unsafe { std::env::set_var(name, value) };
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

/// This process gets SIGTERM when the thread that forked it ends.
pub fn die_with_parent() {
    const PR_SET_PDEATHSIG: c_int = 1;
    // SAFETY: a system call without memory.
    unsafe { prctl(PR_SET_PDEATHSIG, Signal::Terminate as c_ulong) };
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
