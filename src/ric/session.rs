//! One invocation: the event to the handler, and its result or its error to the platform.

use crate::ffi::{Builtin, Exception, Kind, Object, Python, Raised, Result};
use crate::invocation::Invocation;
use crate::json::{self, Encoder};
use crate::posting::{self, encode_error, fault, post_error, post_response};
use crate::runtime_api::Answered;
use crate::streaming::{self, Settled, Stream};
use crate::{builtin_module, ffi, system, version};

/// The X-Ray cause travels in a header; from this size on it is left out.
const XRAY_LIMIT: usize = 1024 * 1024;

/// What is the same for every invocation.
pub struct Session {
    module: Object,
    handler: Object,
    make_context: Object,
    trace: TraceVariable,
    encoder: Encoder,
}

enum Reply {
    Whole {
        content_type: &'static str,
        body: Vec<u8>,
    },
    Streamed(Stream),
}

impl Session {
    /// A session with the function's handler.
    pub fn new(py: Python, handler: Object) -> Result<Self> {
        let module = builtin_module::module(py)?;
        Ok(Self {
            make_context: module.get(py, "make_context")?,
            trace: TraceVariable::new(py)?,
            encoder: Encoder {
                ensure_ascii: version::escapes_unicode(),
            },
            module,
            handler,
        })
    }

    /// Takes an invocation from its event to its answer. Raises what must end the process.
    pub fn serve(&self, py: Python, invocation: &Invocation) -> Result<()> {
        self.announce(py, invocation)?;
        if let Some(patched) = patched(py)? {
            let event = py.tuple(fields(py, invocation)?)?;
            patched.call_method(py, "_serve", &[&self.handler, &event])?;
            return Ok(());
        }
        let answered = Answered {
            request_id: invocation.request_id.clone(),
            invocation_id: invocation.invocation_id.clone(),
        };
        match self.invoke(py, invocation) {
            Ok(Reply::Whole { content_type, body }) => {
                post_response(py, &answered, content_type, &body)
            }
            Ok(Reply::Streamed(stream)) => streaming::post(py, &answered, &stream),
            Err(Raised) => match py.take_exception() {
                Some(exception) if exception.is(Builtin::Exception) => {
                    post_failure(py, &answered, &exception)
                }
                Some(exception) => Err(py.restore(exception)),
                None => Ok(()),
            },
        }
    }

    /// Tells logging and the X-Ray SDK which invocation this is.
    fn announce(&self, py: Python, invocation: &Invocation) -> Result<()> {
        let request_id = py.text(&invocation.request_id)?;
        let tenant_id = py.optional_text(invocation.tenant_id.as_deref())?;
        let of_thread = self.module.get(py, "invocation_of_thread")?;
        if !of_thread.is_none() {
            // The environment belongs to all threads, so no trace id is in it.
            let ids = py.tuple([request_id, tenant_id])?;
            return of_thread.call_method(py, "set", &[&ids]).map(drop);
        }
        self.module.set(py, "request_id", &request_id)?;
        self.module.set(py, "tenant_id", &tenant_id)?;
        self.trace.set(py, invocation.trace_id.as_deref())
    }

    fn invoke(&self, py: Python, invocation: &Invocation) -> Result<Reply> {
        let context = self.make_context.call(
            py,
            &[
                &py.text(&invocation.request_id)?,
                &py.optional_text(invocation.client_context.as_deref())?,
                &py.optional_text(invocation.cognito_identity.as_deref())?,
                &py.integer(invocation.deadline)?,
                &py.text(&invocation.function_arn)?,
                &py.optional_text(invocation.tenant_id.as_deref())?,
            ],
        )?;
        let event = if invocation.content_type == "application/json" {
            json::decode(py, &invocation.event)
                .map_err(|Raised| fault(py, "UnmarshalError", "Unable to unmarshal input: "))?
        } else {
            py.bytes(&invocation.event)?
        };
        let mut result = self.handler.call(py, &[&event, &context])?;
        if result.kind() == Kind::Other {
            result = match streaming::settle(py, result, &invocation.request_id)? {
                Settled::Value(value) => value,
                Settled::Stream(stream) => return Ok(Reply::Streamed(stream)),
            };
        }
        if result.kind() == Kind::Bytes {
            let body = result.as_bytes(py)?.to_vec();
            return Ok(Reply::Whole {
                content_type: "application/unknown",
                body,
            });
        }
        let body = self
            .encoder
            .encode(py, &result)
            .map_err(|Raised| fault(py, "MarshalError", "Unable to marshal response: "))?;
        Ok(Reply::Whole {
            content_type: "application/json",
            body,
        })
    }
}

/// `_X_AMZN_TRACE_ID`, in os.environ and in the C library's environment.
struct TraceVariable {
    environment: Object,
    /// Where os.environ has its values, as bytes.
    values: Option<Object>,
}

impl TraceVariable {
    const NAME: &str = "_X_AMZN_TRACE_ID";

    fn new(py: Python) -> Result<Self> {
        let environment = py.import("os")?.get(py, "environ")?;
        let values = environment.get(py, "_data");
        let values = values.ok().filter(|values| values.kind() == Kind::Dict);
        py.take_exception();
        Ok(Self {
            environment,
            values,
        })
    }

    fn set(&self, py: Python, trace_id: Option<&str>) -> Result<()> {
        match (trace_id, &self.values) {
            (Some(id), Some(values)) => {
                let (name, value) = (py.bytes(Self::NAME.as_bytes())?, py.bytes(id.as_bytes())?);
                values.set_item(py, &name, &value)?;
                ffi::set_changing_variable(Self::NAME, id);
            }
            (Some(id), None) => {
                let (name, value) = (py.text(Self::NAME)?, py.text(id)?);
                self.environment.set_item(py, &name, &value)?;
            }
            (None, _) if system::present(Self::NAME).is_some() => {
                let name = py.text(Self::NAME)?;
                builtin_module::ignore(py, self.environment.delete_item(py, &name));
            }
            (None, _) => {}
        }
        Ok(())
    }
}

/// An invocation for Python, in the order of the official client's parameters, and the trace id behind them.
pub fn fields(py: Python, invocation: &Invocation) -> Result<[Object; 10]> {
    Ok([
        py.text(&invocation.request_id)?,
        py.bytes(&invocation.event)?,
        py.text(&invocation.content_type)?,
        py.optional_text(invocation.client_context.as_deref())?,
        py.optional_text(invocation.cognito_identity.as_deref())?,
        py.text(&invocation.function_arn)?,
        py.integer(invocation.deadline)?,
        py.optional_text(invocation.tenant_id.as_deref())?,
        py.optional_text(invocation.invocation_id.as_deref())?,
        py.optional_text(invocation.trace_id.as_deref())?,
    ])
}

/// The official client's module if it is this image's and an agent has replaced some of its names.
fn patched(py: Python) -> Result<Option<Object>> {
    let Some(client) = py.imported("awslambdaric.lambda_runtime_client") else {
        return Ok(None);
    };
    let Ok(check) = client.get(py, "_patched") else {
        py.take_exception();
        return Ok(None);
    };
    check
        .call(py, &[])
        .map(|module| (!module.is_none()).then_some(module))
}

fn post_failure(py: Python, answered: &Answered, exception: &Exception) -> Result<()> {
    let [error, cause] = posting::report(py, &answered.request_id, exception)?;
    let body = encode_error(py, &error)?;
    let cause = encode_error(py, &cause)?;
    let cause = if cause.len() < XRAY_LIMIT {
        String::from_utf8_lossy(&cause)
    } else {
        "".into()
    };
    post_error(py, answered, &cause, &body)
}
