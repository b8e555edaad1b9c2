//! What can be done with an object.

use std::mem::ManuallyDrop;
use std::ptr;

use super::api::*;
use super::{Object, Python, Raised, Raw, Result, c_string};
use crate::version;

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
    pub(super) fn raw(&self) -> Raw {
        self.0.as_ptr()
    }

    pub(super) fn into_raw(self) -> Raw {
        ManuallyDrop::new(self).raw()
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

    /// An item of any container.
    pub fn get_item(&self, py: Python, key: &Object) -> Result<Object> {
        // SAFETY: attached.
        py.own(unsafe { PyObject_GetItem(self.raw(), key.raw()) })
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

    /// The pairs of a dict itself, as they are now.
    pub fn dict_items(&self, py: Python) -> Result<Vec<(Object, Object)>> {
        // Without the GIL another thread may change the dict meanwhile; `items` takes its lock.
        if version::is_free_threaded() {
            return self.items(py);
        }
        // SAFETY: attached, and nothing here runs Python code, so the dict stays as it is. The pairs are borrowed.
        unsafe {
            let mut pairs = Vec::with_capacity(PyDict_Size(self.raw()).max(0) as usize);
            let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
            while PyDict_Next(self.raw(), &raw mut at, &raw mut key, &raw mut value) != 0 {
                pairs.push((py.borrow(key)?, py.borrow(value)?));
            }
            Ok(pairs)
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

    /// The next item of an iterator, or None at its end.
    pub fn next(&self, py: Python) -> Result<Option<Object>> {
        // SAFETY: attached; null without an exception is the end.
        unsafe {
            let item = PyIter_Next(self.raw());
            if item.is_null() && !PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            Ok(py.own(item).ok())
        }
    }

    /// The content of any bytes-like object as bytes. Raises TypeError for everything else.
    pub fn to_bytes(&self, py: Python) -> Result<Object> {
        // SAFETY: attached; through a view, because numbers and iterables would be taken for bytes as well.
        unsafe {
            let view = py.own(PyMemoryView_FromObject(self.raw()))?;
            py.own(PyBytes_FromObject(view.raw()))
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

    /// The object's class.
    pub fn class(&self, py: Python) -> Result<Object> {
        // SAFETY: attached.
        py.own(unsafe { PyObject_Type(self.raw()) })
    }
}
