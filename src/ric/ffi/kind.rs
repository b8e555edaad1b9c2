//! What kind of value an object is.

use std::ptr::NonNull;

use super::api::*;
use super::{Object, Python, Result};

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

/// What has to happen to what a handler returned before it is a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// Its pieces are the response.
    Generator,
    /// An event loop has to run it.
    Coroutine,
    /// An event loop has to run it, and its pieces are the response.
    AsyncGenerator,
}

impl Object {
    /// Whether this has to be run before there is a result. Only Python's own generators and coroutines count: other
    /// iterators are results, which JSON refuses.
    pub fn unfinished(&self, py: Python) -> Result<Option<Unfinished>> {
        let class = self.class(py)?.raw();
        Ok(if class == &raw mut PyGen_Type {
            Some(Unfinished::Generator)
        } else if class == &raw mut PyCoro_Type {
            Some(Unfinished::Coroutine)
        } else if class == &raw mut PyAsyncGen_Type {
            Some(Unfinished::AsyncGenerator)
        } else {
            None
        })
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
}
