//! The parts of the client that are written in Python, carried as source.
//!
//! Compiling is a good part of a cold start, so the image has them compiled as well: `/var/runtime/_lambda_ric/NAME.pyc`, made
//! from `python/` by
//!
//! ```text
//! python3.X -m compileall -b --invalidation-mode unchecked-hash -d '<_lambda_ric' FOLDER
//! ```
//!
//! Such a file counts only if it was made by this version of Python from exactly this source; without it, the source is
//! compiled.

use crate::builtin_module::NAME;
use crate::ffi::{Object, Python, Raised, Result};
use crate::system;

/// One file of Python.
pub struct Part {
    file: &'static str,
    source: &'static str,
    /// What the file defines for others.
    pub names: &'static [&'static str],
}

macro_rules! part {
    ($file:literal, [$($name:literal),*]) => {
        Part {
            file: $file,
            source: include_str!(concat!("python/", $file)),
            names: &[$($name),*],
        }
    };
}

static PARTS: [Part; 12] = [
    part!("start.py", ["unbuffer", "resolve", "Unbuffered"]),
    part!(
        "context.py",
        [
            "make_context",
            "parse_header",
            "LambdaContext",
            "ClientContext",
            "Client",
            "CognitoIdentity"
        ]
    ),
    part!(
        "faults.py",
        [
            "FaultException",
            "make_error",
            "make_xray_fault",
            "extract_traceback",
            "invocation_failure",
            "init_failed",
            "describe",
            "log_error",
            "encode",
            "call_runtime",
            "LambdaRuntimeClientError",
            "wrap"
        ]
    ),
    part!("coroutines.py", ["run_coroutine", "Pieces"]),
    part!(
        "sinks.py",
        [
            "log_sink",
            "forget_log_sink",
            "StandardLogSink",
            "FramedTelemetryLogSink"
        ]
    ),
    part!("hook.py", ["logging_spec"]),
    part!(
        "logs.py",
        [
            "set_up_logging",
            "LambdaLoggerHandler",
            "LambdaLoggerHandlerWithFrameType",
            "LambdaLoggerFilter"
        ]
    ),
    part!("json_logs.py", ["JsonFormatter"]),
    part!("snapshot.py", ["take_snapshot"]),
    part!("preview.py", ["warn_of_preview"]),
    part!("workers.py", ["run_workers", "worker_log", "exit_code"]),
    part!("threads.py", ["run_threads"]),
];

/// The part that defines a name.
pub fn with_name(name: &str) -> Option<&'static Part> {
    PARTS.iter().find(|part| part.names.contains(&name))
}

impl Part {
    /// Runs the part in a dict of its own and returns that.
    pub fn run(&self, py: Python) -> Result<Object> {
        let globals = py.dict()?;
        globals.set_key(py, &py.text("__name__")?, &py.text(NAME)?)?;
        globals.set_key(py, &py.text("__builtins__")?, &py.import("builtins")?)?;
        let code = match self.compiled(py) {
            Ok(Some(code)) => code,
            Ok(None) => self.compile(py)?,
            Err(Raised) => {
                py.take_exception();
                self.compile(py)?
            }
        };
        py.execute(&code, &globals)?;
        Ok(globals)
    }

    fn compile(&self, py: Python) -> Result<Object> {
        py.compile(self.source, &format!("<{NAME}/{}>", self.file))
    }

    /// The code from the image's compiled file, if that belongs to this source and this interpreter.
    fn compiled(&self, py: Python) -> Result<Option<Object>> {
        const HASH_BASED: [u8; 4] = [1, 0, 0, 0];
        let folder = system::folder("LAMBDA_RUNTIME_DIR", "/var/runtime").join(NAME);
        let Some(bytes) = system::read(&folder.join(format!("{}c", self.file))) else {
            return Ok(None);
        };
        let Some((head, code)) = bytes.split_first_chunk::<16>() else {
            return Ok(None);
        };
        let magic = py
            .import("_frozen_importlib_external")?
            .get(py, "MAGIC_NUMBER")?;
        let token = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let source = py.bytes(self.source.as_bytes())?;
        let hash = py.import("_imp")?.call_method(
            py,
            "source_hash",
            &[&py.integer(i64::from(token))?, &source],
        )?;
        if magic.as_bytes(py)? != &head[..4]
            || head[4..8] != HASH_BASED
            || hash.as_bytes(py)? != &head[8..]
        {
            return Ok(None);
        }
        py.import("marshal")?
            .call_method(py, "loads", &[&py.bytes(code)?])
            .map(Some)
    }
}
