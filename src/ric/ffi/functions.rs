//! The functions of the builtin module, as the interpreter calls them.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use super::api::*;
use super::{Object, Python, Raw, Result};
use crate::builtin_module::FUNCTIONS;

/// A function of the builtin module.
pub struct Function {
    /// Its name in Python.
    pub name: &'static CStr,
    /// Its docstring.
    pub doc: &'static CStr,
    /// Called with the positional arguments.
    pub call: fn(Python, &[Object]) -> Result<Object>,
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

static METHODS: [MethodDef; FUNCTIONS.len()] = methods!(0 1 2 3 4 5 6 7 8 9 10 11 12 13);

impl Python {
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
}
