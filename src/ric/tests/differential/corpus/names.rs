//! The official client's Python names: used by functions, and replaced by agents.

use crate::case::{Case, Start, case};
use crate::compare::compare;

/// What agents do: find the module through `__main__`, wrap its functions and the client's methods.
const WRAP: &str = r#"
import sys
def find():
    main = sys.modules["__main__"]
    if "bootstrap" in sys.modules: return sys.modules["bootstrap"]
    if hasattr(main, "awslambdaricmain"): return main.awslambdaricmain.bootstrap
    return main.bootstrap
bootstrap = find()
def wrap(owner, name, before=lambda *a: None):
    original = getattr(owner, name)
    def inner(*args, **kwargs):
        print("called", name, len(args), sorted(kwargs))
        return original(*args, **kwargs)
    setattr(owner, name, inner)
"#;
const HANDLER: &str =
    "\ndef handler(event, context):\n    return [1 / event, context.aws_request_id]\n";

fn wrapped() -> Vec<Case> {
    let mut all = Vec::new();
    for names in ["handle_event_request", "to_json", "log_error", "make_error"] {
        all.push((
            names,
            format!("{WRAP}wrap(bootstrap, {names:?})\n{HANDLER}"),
        ));
    }
    for names in [
        "post_init_error",
        "post_invocation_result",
        "post_invocation_error",
    ] {
        all.push((
            names,
            format!("{WRAP}wrap(bootstrap.LambdaRuntimeClient, {names:?})\n{HANDLER}"),
        ));
    }
    let mut cases: Vec<Case> = all
        .into_iter()
        .map(|(name, source)| {
            case(&format!("{name} wrapped"), &source)
                .event("1")
                .event("0")
                .event("{")
                .event_with("text", b"x", &[("Content-Type", "text/plain")])
        })
        .collect();
    let everything = format!(
        "{WRAP}for n in ('post_init_error', 'post_invocation_result', 'post_invocation_error'): wrap(bootstrap.LambdaRuntimeClient, n)\nwrap(bootstrap, 'handle_event_request')\nwrap(bootstrap, 'to_json')\n"
    );
    cases.push(
        case("everything wrapped", &(everything.clone() + HANDLER))
            .event_with(
                "all headers",
                b"1",
                &[
                    ("Lambda-Runtime-Invocation-Id", "i"),
                    ("Lambda-Runtime-Client-Context", "{}"),
                    ("Lambda-Runtime-Aws-Tenant-Id", "t"),
                ],
            )
            .event("0"),
    );
    cases.push(case(
        "everything wrapped, init error",
        &(everything + "raise ValueError('init')\n"),
    ));
    cases.push(
        case(
            "wrapped in the handler",
            &format!("{WRAP}{HANDLER}").replace(
                "    return [",
                "    wrap(bootstrap, 'to_json')\n    return [",
            ),
        )
        .event("1")
        .event("0"),
    );
    cases.push(
        case(
            "wrapped as a module",
            &format!("{WRAP}wrap(bootstrap, 'handle_event_request')\n{HANDLER}"),
        )
        .start(Start::Module)
        .event("1")
        .event("0"),
    );
    cases
}

fn used() -> Vec<Case> {
    let marshaller = "\
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
class Marshaller:
    def unmarshal_request(self, body, content_type): return body.decode()
    def marshal_response(self, response): return repr(response), 'text/plain'
LambdaRuntimeClient.marshaller = Marshaller()
def handler(event, context): return (event,)
";
    let names = r#"
import awslambdaric, importlib
def handler(event, context):
    module, name = event.rsplit(".", 1)
    value = getattr(importlib.import_module(module), name)
    return [type(value).__name__, getattr(value, "__name__", None), value if isinstance(value, (str, int)) else None]
"#;
    let paths = [
        "awslambdaric.__version__",
        "awslambdaric.bootstrap.handle_event_request",
        "awslambdaric.bootstrap.run",
        "awslambdaric.bootstrap.to_json",
        "awslambdaric.bootstrap.LambdaRuntimeClient",
        "awslambdaric.bootstrap.LambdaContext",
        "awslambdaric.bootstrap.FaultException",
        "awslambdaric.bootstrap.make_error",
        "awslambdaric.bootstrap.make_xray_fault",
        "awslambdaric.bootstrap.extract_traceback",
        "awslambdaric.bootstrap.parse_json_header",
        "awslambdaric.bootstrap.create_lambda_context",
        "awslambdaric.bootstrap.LambdaLoggerHandler",
        "awslambdaric.bootstrap.LambdaLoggerFilter",
        "awslambdaric.bootstrap.Unbuffered",
        "awslambdaric.bootstrap.StandardLogSink",
        "awslambdaric.bootstrap.FramedTelemetryLogSink",
        "awslambdaric.bootstrap.log_error",
        "awslambdaric.lambda_context.LambdaContext",
        "awslambdaric.lambda_context.ClientContext",
        "awslambdaric.lambda_context.Client",
        "awslambdaric.lambda_context.CognitoIdentity",
        "awslambdaric.lambda_runtime_exception.FaultException",
        "awslambdaric.lambda_runtime_client.LambdaRuntimeClient",
        "awslambdaric.lambda_runtime_client.LambdaRuntimeClientError",
        "awslambdaric.lambda_runtime_client.InvocationRequest",
        "awslambdaric.lambda_runtime_marshaller.LambdaMarshaller",
        "awslambdaric.lambda_runtime_marshaller.to_json",
        "awslambdaric.lambda_runtime_log_utils.JsonFormatter",
        "awslambdaric.__main__.main",
        "snapshot_restore_py.register_before_snapshot",
        "snapshot_restore_py.register_after_restore",
    ];
    let functions = r#"
import json
from awslambdaric import bootstrap as b
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller, to_json
from awslambdaric.lambda_runtime_exception import FaultException
class Sink:
    def log_error(self, lines): print("sink", lines)
    def log(self, text, frame_type=None): print("sink", text, frame_type)
def attempt(code):
    try:
        return ascii(eval(code))
    except Exception as error:
        return [type(error).__name__, str(error)]
def handler(event, context):
    return attempt(event)
"#;
    let calls = [
        "b.make_error('m', 't', ['s'], 'id')",
        "b.make_error(None, None, None)",
        "b.make_error('m', 't', [], None)",
        "b.make_xray_fault('t', 'm', '/dir', [('f.py', 1, 'fn', 'code'), ('f.py', 2, 'gn', None)])",
        "b.parse_json_header('{\"a\": 1}', 'X')",
        "b.parse_json_header('{', 'X')",
        "b.log_error({'errorType': 'T', 'errorMessage': 'M', 'stackTrace': ['  a\\n    b', '', 'c']}, Sink())",
        "b.log_error({'errorType': 'T'}, Sink())",
        "b.log_error({}, Sink())",
        "b.log_error({'errorMessage': 'M', 'stackTrace': None}, Sink())",
        "b.log_error({'errorMessage': 'M', 'stackTrace': []}, Sink())",
        "to_json({'a': 'ü'})",
        "to_json({1})",
        "to_json(float('nan'))",
        "LambdaMarshaller().unmarshal_request(b'[1]')",
        "LambdaMarshaller().unmarshal_request(b'x', 'text/plain')",
        "LambdaMarshaller().unmarshal_request(b'{')",
        "LambdaMarshaller().marshal_response({'a': 1})",
        "LambdaMarshaller().marshal_response(b'x')",
        "LambdaMarshaller().marshal_response(object)",
        "FaultException('t', 'm').trace",
        "FaultException('t', 'm', ['x']).msg",
        "FaultException.MARSHAL_ERROR",
        "str(FaultException('t', 'm', None))",
        "repr(FaultException('t', 'm'))",
        "b.extract_traceback(None)",
        "b.create_lambda_context('{\"custom\": 1}', None, 5, 'id', 'arn', 'tenant')",
        "b.create_lambda_context('{', None, 5, 'id', 'arn', None)",
        "b.StandardLogSink().log('to stdout\\n')",
        "b.StandardLogSink().log_error(['a', 'b'])",
        "b.Unbuffered(__import__('io').StringIO()).write('x')",
        "b._get_handler('app.handler').__name__",
        "b._get_handler('app.nope')",
        "b._get_handler('nope')",
        "FaultException.__mro__",
        "b.LambdaRuntimeClient('host').lambda_runtime_address",
        "b.LambdaRuntimeClient.marshaller.__class__.__name__",
        "b.LambdaContext is __import__('awslambdaric.lambda_context').lambda_context.LambdaContext",
    ];
    vec![
        case("a marshaller of the function's own", marshaller)
            .event("[1]")
            .event("x"),
        paths.iter().fold(case("each name", names), |case, path| {
            case.event(&format!("\"{path}\""))
        }),
        calls
            .iter()
            .fold(case("functions", functions), |case, call| {
                case.event_with(call, format!("{}", Quoted(call)).as_bytes(), &[])
            }),
    ]
}

/// A JSON string.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "\"{}\"",
            self.0.replace('\\', "\\\\").replace('"', "\\\"")
        )
    }
}

#[test]
fn names() {
    let mut cases = wrapped();
    cases.extend(used());
    compare("names", cases);
}
