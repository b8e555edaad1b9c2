//! What a handler is told: the context object, and the environment.

use crate::case::{Case, Start, case};
use crate::compare::compare;

const SHOW: &str = r#"
import os
def handler(event, context):
    c = context.client_context
    names = ["aws_request_id", "log_group_name", "log_stream_name", "function_name", "function_version", "memory_limit_in_mb",
             "invoked_function_arn", "tenant_id", "_epoch_deadline_time_in_ms"]
    shown = [ascii(getattr(context, name)) for name in names]
    parts = [c, c and c.custom, c and c.env, c and c.client, context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    trace = os.environ.get("_X_AMZN_TRACE_ID")
    import subprocess
    inherited = subprocess.run(["/bin/sh", "-c", "echo $_X_AMZN_TRACE_ID"], capture_output=True).stdout.decode() if trace == "inherit" else ""
    remaining = context.get_remaining_time_in_millis()
    return [shown, [ascii(part) for part in parts], ascii(context), context.w3c(), trace, inherited, type(remaining).__name__, remaining == 0]
"#;

const CLIENT: &str = "Lambda-Runtime-Client-Context";
const COGNITO: &str = "Lambda-Runtime-Cognito-Identity";

fn headers() -> Case {
    let sets: &[&[(&str, &str)]] = &[
        &[],
        &[("Lambda-Runtime-Trace-Id", "Root=1-2-3;Parent=4;Sampled=1")],
        &[],
        &[("Lambda-Runtime-Trace-Id", "inherit")],
        &[("lambda-runtime-trace-id", "lower case")],
        &[("Lambda-Runtime-Aws-Tenant-Id", "tenant")],
        &[("Lambda-Runtime-Aws-Tenant-Id", "grün")],
        &[("Lambda-Runtime-Aws-Tenant-Id", " ")],
        &[("Lambda-Runtime-Invoked-Function-Arn", "")],
        &[
            ("Lambda-Runtime-Invoked-Function-Arn", "one"),
            ("lambda-runtime-invoked-function-arn", "two"),
        ],
        &[("Lambda-Runtime-Deadline-Ms", "")],
        &[("Lambda-Runtime-Deadline-Ms", "1")],
        &[("Lambda-Runtime-Deadline-Ms", "123abc")],
        &[("Lambda-Runtime-Deadline-Ms", "+5")],
        &[("Lambda-Runtime-Deadline-Ms", "010")],
        &[("Lambda-Runtime-Deadline-Ms", "4102444800000.5")],
        &[("Lambda-Runtime-Invocation-Id", "invocation-1")],
        &[("LAMBDA-RUNTIME-INVOCATION-ID", "upper case")],
        &[("Lambda-Runtime-Deadline-Ms", "99999999999999")],
        &[("Lambda-Runtime-Aws-Request-Id", "own-id.x_y~z:1")],
        &[
            (
                "Lambda-Runtime-Aws-Request-Id",
                "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            ),
            ("X-Other", "ignored"),
        ],
        &[
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Trace-Id", "  spaces  "),
        ],
        &[(CLIENT, "{}")],
        &[(CLIENT, "null")],
        &[(CLIENT, "[]")],
        &[(CLIENT, "5")],
        &[(CLIENT, "\"text\"")],
        &[(CLIENT, "{")],
        &[(
            CLIENT,
            "{\"custom\": {\"a\": 1}, \"env\": {\"b\": \"c\"}, \"client\": {\"installation_id\": \"i\", \"app_title\": \"t\", \"app_version_name\": \"n\", \"app_version_code\": \"c\", \"app_package_name\": \"p\", \"other\": 1}, \"more\": 2}",
        )],
        &[(CLIENT, "{\"client\": null, \"custom\": null}")],
        &[(CLIENT, "{\"client\": {}}")],
        &[(CLIENT, "{\"client\": []}")],
        &[(CLIENT, "{\"client\": \"x\"}")],
        &[(CLIENT, "{\"client\": 0}")],
        &[(CLIENT, "{\"custom\": NaN}")],
        &[(CLIENT, "{\"custom\": \"\u{e9}\u{65e5}\"}")],
        &[(
            CLIENT,
            "{\"w3c\": {\"traceparent\": \"00-1-2-01\", \"tracestate\": \"a=b\", \"baggage\": \"k=v\", \"other\": \"x\"}}",
        )],
        &[(
            CLIENT,
            "{\"w3c\": {\"traceparent\": 5, \"baggage\": \"k\"}, \"custom\": {\"w3c\": 1}}",
        )],
        &[(CLIENT, "{\"w3c\": null}")],
        &[(CLIENT, "{\"w3c\": \"text\", \"env\": 1}")],
        &[(CLIENT, "not json")],
        &[(COGNITO, "{}")],
        &[(COGNITO, "null")],
        &[(COGNITO, "[]")],
        &[(COGNITO, "\"x\"")],
        &[(
            COGNITO,
            "{\"cognitoIdentityId\": \"i\", \"cognitoIdentityPoolId\": \"p\", \"x\": 1}",
        )],
        &[(COGNITO, "{\"cognitoIdentityId\": {\"a\": [1]}}")],
        &[(COGNITO, "{]")],
        &[(CLIENT, "{\"a\":1}"), (COGNITO, "x")],
        &[(CLIENT, "{"), ("Content-Type", "text/plain")],
    ];
    let mut all = case("headers", SHOW);
    for set in sets {
        all = all.event_with(&format!("{set:?}"), b"1", set);
    }
    all
}

fn deadlines() -> Case {
    let source = "def handler(event, context):\n    remaining = context.get_remaining_time_in_millis()\n    return 0 < remaining <= 100000\n";
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    case("a deadline soon", source).event_with(
        "soon",
        b"1",
        &[("Lambda-Runtime-Deadline-Ms", &(now + 100_000).to_string())],
    )
}

/// The object as a piece of Python.
fn object() -> Case {
    let source = r#"
from awslambdaric.lambda_context import LambdaContext, ClientContext, Client, CognitoIdentity
def attempt(code, **names):
    try:
        return ascii(eval(code, globals(), names))
    except Exception as error:
        return ascii(error)
def handler(event, context):
    return attempt(event, context=context)
"#;
    let expressions = [
        "type(context).__name__",
        "type(context).__module__",
        "type(context).__mro__",
        "isinstance(context, LambdaContext)",
        "context.missing",
        "context['x']",
        "sorted(vars(context))",
        "[n for n in dir(context) if not n.startswith(('__', '_extract'))]",
        "setattr(context, 'mine', 1), context.mine",
        "setattr(context, 'aws_request_id', 'x'), context",
        "LambdaContext('id', None, None, 0)",
        "LambdaContext('id', {}, {}, 0)",
        "LambdaContext('id', {'client': {}}, {'cognitoIdentityId': 1}, 99, 'arn', 'tenant')",
        "LambdaContext()",
        "LambdaContext('id')",
        "LambdaContext(invoke_id='i', client_context=None, cognito_identity=None, epoch_deadline_time_in_ms=5)",
        "LambdaContext('id', [], None, 0)",
        "LambdaContext('id', None, None, None).get_remaining_time_in_millis()",
        "LambdaContext('id', None, None, 10**15).get_remaining_time_in_millis() > 0",
        "ClientContext()",
        "ClientContext().custom",
        "setattr(ClientContext(), 'x', 1)",
        "Client.__slots__, ClientContext.__slots__, CognitoIdentity.__slots__",
        "CognitoIdentity.__module__",
        "context.w3c() is context.w3c()",
        "context.log('logged\\n')",
        "context.log(5)",
        "context.log(None)",
        "context.log(['a'])",
        "context.log()",
        "__import__('json').dumps(context)",
        "__import__('copy').copy(context)",
        "type(context.identity).__name__",
        "context.identity.__slots__",
        "hash(context) == hash(context)",
        "context == context",
        "bool(context)",
        "str(context) == repr(context)",
        "type(__import__('pickle').loads(__import__('pickle').dumps(context)))",
    ];
    case("object", source)
        .texts(expressions)
        .variable("AWS_LAMBDA_FUNCTION_NAME", "f")
}

fn environment(name: &str) -> Case {
    let source = r#"
import os
hidden = {"AWS_LAMBDA_RUNTIME_API", "LAMBDA_RUNTIME_DIR", "PYTHONPATH", "PYTHONHOME"}
at_import = sorted(os.environ)
def handler(event, context):
    os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "changed"
    return [at_import, sorted(set(os.environ.items()) - {(n, os.environ.get(n)) for n in hidden}), ascii(context)]
"#;
    case(name, source)
        .event("1")
        .event_with("trace", b"1", &[("Lambda-Runtime-Trace-Id", "t")])
        .event("2")
}

#[test]
fn context() {
    let mut full = environment("environment");
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1234"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        ("_X_AMZN_TRACE_ID", "old"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("ÜNICODE", "wert"),
    ] {
        full = full.variable(name, value);
    }
    compare(
        "context",
        vec![
            headers(),
            deadlines(),
            object(),
            environment("empty environment"),
            full,
            environment("as a module").start(Start::Module),
        ],
    );
}
