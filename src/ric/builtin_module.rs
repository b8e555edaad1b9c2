//! The builtin module `_lambda_ric`: the loop for `/var/runtime/bootstrap.py` and for the `awslambdaric` names, and the
//! parts of the client that are written in Python, each compiled when one of its names is first asked for.

use std::cell::RefCell;
use std::io;

use crate::ffi::{Builtin, Function, Object, Python, Raised, Result};
use crate::json::{self, Encoder};
use crate::runtime_api::{Answered, Client};
use crate::streaming::{self, Piece, Settled, Stream};
use crate::{ffi, parts, paths, posting, serve, session, system, version};

/// The module's name.
pub const NAME: &str = "_lambda_ric";

/// The module's functions.
pub static FUNCTIONS: [Function; 14] = [
    Function {
        name: c"bootstrap",
        doc: c"Prepares sys.path and runs the handler that _HANDLER names. Does not return.",
        call: bootstrap,
    },
    Function {
        name: c"run",
        doc: c"Runs a handler for one invocation after another. Does not return.",
        call: run,
    },
    Function {
        name: c"__getattr__",
        doc: c"Compiles the part of the client that has this name.",
        call: get_attribute,
    },
    Function {
        name: c"find_spec",
        doc: c"As an entry of sys.meta_path: waits for the import of logging.",
        call: find_spec,
    },
    Function {
        name: c"loads",
        doc: c"Decodes a JSON document from bytes.",
        call: loads,
    },
    Function {
        name: c"dumps",
        doc: c"Encodes an object as JSON text; the second argument overrides whether characters are escaped.",
        call: dumps,
    },
    Function {
        name: c"wait_next",
        doc: c"Waits for the next invocation; returns its fields as a tuple.",
        call: wait_next,
    },
    Function {
        name: c"post",
        doc: c"Posts a 'response' or an 'error' for an invocation.",
        call: post,
    },
    Function {
        name: c"settle",
        doc: c"Runs what a handler returned for a request id; returns its value and None, or an iterator of pieces and the first of them.",
        call: settle,
    },
    Function {
        name: c"post_stream",
        doc: c"Streams the pieces that settle returned.",
        call: post_stream,
    },
    Function {
        name: c"post_alone",
        doc: c"Calls init/error, restore/error or restore/next on a connection of its own; returns status and body.",
        call: post_alone,
    },
    Function {
        name: c"initialise",
        doc: c"Loads a handler and returns it. An error is reported and becomes SystemExit.",
        call: initialise,
    },
    Function {
        name: c"serve",
        doc: c"Takes one invocation after another to a handler that is loaded. Does not return.",
        call: serve,
    },
    Function {
        name: c"die_with_parent",
        doc: c"This process gets SIGTERM when the one that started it ends.",
        call: die_with_parent,
    },
];

/// Enters the module in `sys.modules`. Compiles nothing yet.
pub fn install(py: Python) -> Result<()> {
    let module = py.new_module(c"_lambda_ric")?;
    let (none, text) = (
        py.none(),
        py.text("The Lambda runtime interface client of this interpreter.")?,
    );
    module.set(py, "__doc__", &text)?;
    module.set(py, "request_id", &none)?;
    module.set(py, "tenant_id", &none)?;
    module.set(py, "invocation_of_thread", &none)?;
    let lock = py
        .import("_thread")?
        .call_method(py, "allocate_lock", &[])?;
    module.set(py, "_lock", &lock)?;
    module.set(py, "is_worker", &py.boolean(false)?)
}

/// The module.
pub fn module(py: Python) -> Result<Object> {
    py.import(NAME)
}

/// A name of the module, compiled if it must be.
pub fn name(py: Python, name: &str) -> Result<Object> {
    module(py)?.get(py, name)
}

fn get_attribute(py: Python, arguments: &[Object]) -> Result<Object> {
    let wanted = argument(py, arguments, 0)?.to_string(py)?;
    let Some(part) = parts::with_name(&wanted) else {
        let message = format!("module '{NAME}' has no attribute '{wanted}'");
        return Err(py.raise(Builtin::AttributeError, &message));
    };
    let globals = part.run(py)?;
    let module = module(py)?;
    let lock = module.get(py, "_lock")?;
    lock.call_method(py, "acquire", &[])?;
    let value = publish(py, &module, part, &wanted, &globals);
    lock.call_method(py, "release", &[])?;
    value
}

/// Enters a part's names in the module, unless another thread was faster: the part's state must not exist twice.
fn publish(
    py: Python,
    module: &Object,
    part: &parts::Part,
    wanted: &str,
    globals: &Object,
) -> Result<Object> {
    let known = module.get(py, "__dict__")?;
    let wanted = py.text(wanted)?;
    if let Some(value) = known.get_key(py, &wanted)? {
        return Ok(value);
    }
    for name in part.names {
        if let Some(value) = globals.get_key(py, &py.text(name)?)? {
            module.set(py, name, &value)?;
        }
    }
    // The name is in the part's list, so it is there unless the part does not define it.
    known
        .get_key(py, &wanted)?
        .ok_or_else(|| py.raise(Builtin::AttributeError, part.names[0]))
}

fn find_spec(py: Python, arguments: &[Object]) -> Result<Object> {
    let wanted = argument(py, arguments, 0)?;
    if wanted.utf8(py)? != b"logging" {
        return Ok(py.none());
    }
    let none = py.none();
    let (path, target) = (
        arguments.get(1).unwrap_or(&none),
        arguments.get(2).unwrap_or(&none),
    );
    name(py, "logging_spec")?.call(py, &[wanted, path, target])
}

fn argument(py: Python, arguments: &[Object], index: usize) -> Result<&Object> {
    arguments.get(index).ok_or_else(|| {
        py.raise(
            Builtin::TypeError,
            &format!("argument {} is missing", index + 1),
        )
    })
}

fn optional_text(py: Python, arguments: &[Object], index: usize) -> Result<Option<String>> {
    match arguments.get(index) {
        Some(value) if !value.is_none() => value.to_string(py).map(Some),
        _ => Ok(None),
    }
}

fn bootstrap(py: Python, _arguments: &[Object]) -> Result<Object> {
    let Some(handler) = system::present("_HANDLER") else {
        return Err(py.raise(Builtin::KeyError, "_HANDLER"));
    };
    paths::prepare(py)?;
    serve::run(py, &handler.to_string_lossy())?;
    Ok(py.none())
}

fn run(py: Python, arguments: &[Object]) -> Result<Object> {
    serve::run(py, &argument(py, arguments, 0)?.to_string(py)?)?;
    Ok(py.none())
}

fn initialise(py: Python, arguments: &[Object]) -> Result<Object> {
    serve::initialise(py, &argument(py, arguments, 0)?.to_string(py)?)
}

fn serve(py: Python, arguments: &[Object]) -> Result<Object> {
    serve::serve(py, argument(py, arguments, 0)?.clone())?;
    Ok(py.none())
}

fn die_with_parent(py: Python, _arguments: &[Object]) -> Result<Object> {
    ffi::die_with_parent();
    Ok(py.none())
}

fn loads(py: Python, arguments: &[Object]) -> Result<Object> {
    let text = argument(py, arguments, 0)?;
    match text.kind() {
        ffi::Kind::Text => json::decode(py, text.utf8(py)?),
        _ => json::decode(py, text.as_bytes(py)?),
    }
}

fn dumps(py: Python, arguments: &[Object]) -> Result<Object> {
    let ensure_ascii = match arguments.get(1) {
        Some(forced) => forced.is_true(py)?,
        None => version::escapes_unicode(),
    };
    let encoder = Encoder { ensure_ascii };
    let text = encoder.encode(py, argument(py, arguments, 0)?)?;
    py.decode(&text, c"strict")
}

thread_local! {
    static CLIENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

/// Lends this thread's client to `work`.
pub fn with_client<T>(py: Python, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<T> {
    let client = CLIENT.with_borrow_mut(Option::take);
    let mut client = match client {
        Some(client) => client,
        None => match system::text_variable("AWS_LAMBDA_RUNTIME_API") {
            Some(address) => Client::new(&address, &version::full()),
            None => return Err(py.raise(Builtin::KeyError, "AWS_LAMBDA_RUNTIME_API")),
        },
    };
    let result = work(&mut client);
    CLIENT.with_borrow_mut(|slot| *slot = Some(client));
    result
}

fn wait_next(py: Python, _arguments: &[Object]) -> Result<Object> {
    py.tuple(session::fields(py, &serve::wait_next(py)?)?)
}

fn settle(py: Python, arguments: &[Object]) -> Result<Object> {
    let result = argument(py, arguments, 0)?.clone();
    let request_id = argument(py, arguments, 1)?.to_string(py)?;
    match streaming::settle(py, result, &request_id)? {
        Settled::Value(value) => py.tuple([value, py.none()]),
        Settled::Stream(Stream { pieces, first }) => {
            let first = py.tuple([py.boolean(first.is_http)?, py.bytes(&first.bytes)?])?;
            py.tuple([pieces, first])
        }
    }
}

fn post_stream(py: Python, arguments: &[Object]) -> Result<Object> {
    let answered = Answered {
        request_id: argument(py, arguments, 0)?.to_string(py)?,
        invocation_id: optional_text(py, arguments, 3)?,
    };
    let first = argument(py, arguments, 2)?.to_vec(py)?;
    let stream = Stream {
        pieces: argument(py, arguments, 1)?.clone(),
        first: Piece {
            is_http: argument(py, &first, 0)?.is_true(py)?,
            bytes: argument(py, &first, 1)?.as_bytes(py)?.to_vec(),
        },
    };
    streaming::post(py, &answered, &stream)?;
    Ok(py.none())
}

fn post(py: Python, arguments: &[Object]) -> Result<Object> {
    let is_error = argument(py, arguments, 0)?.to_string(py)? == "error";
    let answered = Answered {
        request_id: argument(py, arguments, 1)?.to_string(py)?,
        invocation_id: optional_text(py, arguments, 4)?,
    };
    let body = argument(py, arguments, 2)?.as_bytes(py)?;
    let detail = optional_text(py, arguments, 3)?.unwrap_or_default();
    if is_error {
        posting::post_error(py, &answered, &detail, body)?;
    } else {
        posting::post_response(py, &answered, &detail, body)?;
    }
    Ok(py.none())
}

fn post_alone(py: Python, arguments: &[Object]) -> Result<Object> {
    let what = argument(py, arguments, 0)?.to_string(py)?;
    let kind = optional_text(py, arguments, 1)?.unwrap_or_default();
    let body = match arguments.get(2) {
        Some(body) => body.as_bytes(py)?,
        None => &[],
    };
    let result = with_client(py, |client| {
        Ok(py.detached(|| match what.as_str() {
            "init/error" => client.post_init_error(&kind, body),
            "restore/error" => client.post_restore_error(&kind, body),
            _ => client.restore_next(),
        }))
    })?;
    match result {
        Ok(answer) => py.tuple([
            py.integer(i64::from(answer.status))?,
            py.text(&answer.body)?,
        ]),
        Err(error) => Err(os_error(py, &error)),
    }
}

/// An OSError, of the subclass that belongs to the system's error number.
fn os_error(py: Python, error: &io::Error) -> Raised {
    let Some(number) = error.raw_os_error() else {
        return py.raise(Builtin::OSError, &error.to_string());
    };
    let value = || {
        let number = py.integer(i64::from(number))?;
        let text = py.import("os")?.call_method(py, "strerror", &[&number])?;
        let class = py.import("builtins")?.get(py, "OSError")?;
        class.call(py, &[&number, &text])
    };
    value().map_or_else(|raised| raised, |value| py.raise_value(value))
}

/// Clears an exception that nobody can act on.
pub fn ignore(py: Python, result: Result<()>) {
    if let Err(Raised) = result {
        py.take_exception();
    }
}
