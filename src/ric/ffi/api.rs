//! The functions and statics of CPython that are used, and the three structs.

use std::ffi::{c_char, c_int, c_long, c_longlong, c_ulong, c_void};

use super::{Opaque, Raw};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Status {
    pub kind: c_int,
    pub function: *const c_char,
    pub message: *const c_char,
    pub exit_code: c_int,
}

#[repr(C)]
pub struct MethodDef {
    pub name: *const c_char,
    pub call: Option<unsafe extern "C" fn(Raw, Raw) -> Raw>,
    pub flags: c_int,
    pub doc: *const c_char,
}
// SAFETY: the pointers are to statics, and the interpreter only reads them.
unsafe impl Sync for MethodDef {}

/// `PyObjectArenaAllocator`.
#[repr(C)]
pub struct ArenaAllocator {
    pub context: *mut c_void,
    pub allocate: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    pub free: unsafe extern "C" fn(*mut c_void, *mut c_void, usize),
}

pub const METH_VARARGS: c_int = 1;

unsafe extern "C" {
    pub fn PyConfig_InitPythonConfig(config: *mut c_void);
    pub fn PyConfig_SetBytesArgv(
        config: *mut c_void,
        argc: isize,
        argv: *const *mut c_char,
    ) -> Status;
    pub fn PyConfig_Clear(config: *mut c_void);
    pub fn Py_InitializeFromConfig(config: *const c_void) -> Status;
    pub fn PyStatus_Exception(status: Status) -> c_int;
    pub fn Py_ExitStatusException(status: Status) -> !;
    pub fn Py_RunMain() -> c_int;
    pub fn Py_GetVersion() -> *const c_char;
    pub fn PyObject_SetArenaAllocator(allocator: *const ArenaAllocator);

    pub fn Py_IncRef(object: Raw);
    pub fn Py_DecRef(object: Raw);
    pub fn PyEval_SaveThread() -> *mut c_void;
    pub fn PyEval_RestoreThread(state: *mut c_void);
    pub fn PyEval_EvalCode(code: Raw, globals: Raw, locals: Raw) -> Raw;
    pub fn Py_CompileString(source: *const c_char, filename: *const c_char, start: c_int) -> Raw;
    pub fn Py_EnterRecursiveCall(place: *const c_char) -> c_int;
    pub fn Py_LeaveRecursiveCall();

    pub fn PyImport_AddModule(name: *const c_char) -> Raw;
    pub fn PyImport_ImportModule(name: *const c_char) -> Raw;
    pub fn PyImport_GetModule(name: Raw) -> Raw;
    pub fn PyCFunction_NewEx(method: *const MethodDef, this: Raw, module: Raw) -> Raw;

    pub fn PyErr_Occurred() -> Raw;
    pub fn PyErr_Fetch(kind: *mut Raw, value: *mut Raw, traceback: *mut Raw);
    pub fn PyErr_NormalizeException(kind: *mut Raw, value: *mut Raw, traceback: *mut Raw);
    pub fn PyErr_Restore(kind: Raw, value: Raw, traceback: Raw);
    pub fn PyErr_GivenExceptionMatches(given: Raw, kind: Raw) -> c_int;
    pub fn PyErr_SetObject(kind: Raw, value: Raw);
    pub fn PyErr_CheckSignals() -> c_int;
    pub fn PyErr_WriteUnraisable(object: Raw);

    pub fn PyObject_GetAttrString(object: Raw, name: *const c_char) -> Raw;
    pub fn PyObject_SetAttrString(object: Raw, name: *const c_char, value: Raw) -> c_int;
    pub fn PyObject_Call(callable: Raw, args: Raw, kwargs: Raw) -> Raw;
    pub fn PyObject_Type(object: Raw) -> Raw;
    pub fn PyObject_Str(object: Raw) -> Raw;
    pub fn PyObject_Repr(object: Raw) -> Raw;
    pub fn PyObject_IsTrue(object: Raw) -> c_int;
    pub fn PyObject_IsInstance(object: Raw, class: Raw) -> c_int;
    pub fn PyObject_GetItem(object: Raw, key: Raw) -> Raw;
    pub fn PyObject_SetItem(object: Raw, key: Raw, value: Raw) -> c_int;
    pub fn PyObject_DelItem(object: Raw, key: Raw) -> c_int;
    pub fn PyCallable_Check(object: Raw) -> c_int;
    pub fn PyType_GetFlags(kind: Raw) -> c_ulong;
    pub fn PyType_IsSubtype(kind: Raw, base: Raw) -> c_int;

    pub fn PyBool_FromLong(value: c_long) -> Raw;
    pub fn PyLong_FromLongLong(value: c_longlong) -> Raw;
    pub fn PyLong_FromString(text: *const c_char, end: *mut *mut c_char, base: c_int) -> Raw;
    pub fn PyLong_AsLongLongAndOverflow(object: Raw, overflow: *mut c_int) -> c_longlong;
    pub fn PyFloat_FromDouble(value: f64) -> Raw;
    pub fn PyFloat_AsDouble(object: Raw) -> f64;
    pub fn PyBytes_FromStringAndSize(bytes: *const c_char, size: isize) -> Raw;
    pub fn PyBytes_AsStringAndSize(object: Raw, bytes: *mut *mut c_char, size: *mut isize)
    -> c_int;
    pub fn PyUnicode_DecodeUTF8(text: *const c_char, size: isize, errors: *const c_char) -> Raw;
    pub fn PyUnicode_AsUTF8AndSize(object: Raw, size: *mut isize) -> *const c_char;
    pub fn PyUnicode_AsEncodedString(
        object: Raw,
        encoding: *const c_char,
        errors: *const c_char,
    ) -> Raw;
    pub fn PyTuple_New(size: isize) -> Raw;
    pub fn PyTuple_Size(tuple: Raw) -> isize;
    pub fn PyTuple_GetItem(tuple: Raw, index: isize) -> Raw;
    pub fn PyTuple_SetItem(tuple: Raw, index: isize, item: Raw) -> c_int;
    pub fn PySequence_Tuple(sequence: Raw) -> Raw;
    pub fn PyList_New(size: isize) -> Raw;
    pub fn PyList_SetItem(list: Raw, index: isize, item: Raw) -> c_int;
    pub fn PyDict_New() -> Raw;
    pub fn PyDict_SetItem(dict: Raw, key: Raw, value: Raw) -> c_int;
    pub fn PyDict_Size(dict: Raw) -> isize;
    pub fn PyGC_Disable() -> c_int;
    pub fn PyGC_Enable() -> c_int;
    pub fn PyDict_Next(dict: Raw, at: *mut isize, key: *mut Raw, value: *mut Raw) -> c_int;
    pub fn PyDict_GetItemWithError(dict: Raw, key: Raw) -> Raw;
    pub fn PyIter_Next(iterator: Raw) -> Raw;
    pub fn PyMemoryView_FromObject(object: Raw) -> Raw;
    pub fn PyBytes_FromObject(object: Raw) -> Raw;
    pub fn PyMapping_Items(mapping: Raw) -> Raw;

    pub static mut _Py_NoneStruct: Opaque;
    pub static mut PyUnicode_Type: Opaque;
    pub static mut PyLong_Type: Opaque;
    pub static mut PyFloat_Type: Opaque;
    pub static mut PyBool_Type: Opaque;
    pub static mut PyDict_Type: Opaque;
    pub static mut PyList_Type: Opaque;
    pub static mut PyTuple_Type: Opaque;
    pub static mut PyBytes_Type: Opaque;
    pub static mut PyGen_Type: Opaque;
    pub static mut PyCoro_Type: Opaque;
    pub static mut PyAsyncGen_Type: Opaque;
    pub static PyExc_Exception: Raw;
    pub static PyExc_AttributeError: Raw;
    pub static PyExc_TypeError: Raw;
    pub static PyExc_ValueError: Raw;
    pub static PyExc_KeyError: Raw;
    pub static PyExc_RuntimeError: Raw;
    pub static PyExc_OSError: Raw;
    pub static PyExc_SystemExit: Raw;
}
