//! The names that agents replace: called through when they are replaced, not imported when nobody does.

use crate::function::function;

/// What agents do: find the module through `__main__`, wrap its functions and the client's methods.
const AGENT: &str = r#"
import sys
main = sys.modules["__main__"]
bootstrap = main.awslambdaricmain.bootstrap if hasattr(main, "awslambdaricmain") else main.bootstrap
def wrap(owner, name):
    original = getattr(owner, name)
    def inner(*args, **kwargs):
        print(name)
        return original(*args, **kwargs)
    setattr(owner, name, inner)
for name in ("post_init_error", "post_invocation_result", "post_invocation_error"):
    wrap(bootstrap.LambdaRuntimeClient, name)
wrap(bootstrap, "handle_event_request")
wrap(bootstrap, "to_json")
"#;

#[test]
fn replaced_names_are_called() {
    let source = format!(
        "{AGENT}\ndef handler(event, context):\n    return [1 / event, context.aws_request_id]\n"
    );
    let Some(f) = function(&source) else { return };
    let outcome = f
        .event("1")
        .event_with(b"0", &[("Lambda-Runtime-Invocation-Id", "invocation-7")])
        .event("{")
        .run();
    assert_eq!(outcome.status, None, "{outcome:?}");
    assert_eq!(outcome.posts()[0], r#"[1.0, "request-1"]"#);
    let start = r#"{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "requestId": "request-2", "stackTrace": ["  File "#;
    assert!(
        outcome.posts()[1].starts_with(start),
        "{}",
        outcome.posts()[1]
    );
    assert_eq!(
        outcome.requests[3].header("lambda-runtime-invocation-id"),
        Some("invocation-7")
    );
    let message = "Unable to unmarshal input: Expecting property name enclosed in double quotes or '}': line 1 column 2 (char 1)";
    let expected = format!(
        r#"{{"errorMessage": "{message}", "errorType": "Runtime.UnmarshalError", "requestId": "request-3", "stackTrace": []}}"#
    );
    assert_eq!(outcome.posts()[2], expected);
    let failed = [
        "handle_event_request",
        "to_json",
        "to_json",
        "post_invocation_error",
    ];
    let called: Vec<&str> = outcome
        .stdout
        .lines()
        .filter(|line| !line.contains(['[', '\u{a0}']))
        .collect();
    assert_eq!(
        called,
        [
            &["handle_event_request", "post_invocation_result"][..],
            &failed,
            &failed
        ]
        .concat()
    );
}

#[test]
fn an_init_error_goes_through_the_replaced_method() {
    let Some(f) = function(&format!("{AGENT}\nraise ValueError('no')\n")) else {
        return;
    };
    let outcome = f.run();
    assert_eq!((outcome.code(), outcome.requests.len()), (Some(1), 1));
    assert!(outcome.posts()[0].starts_with(r#"{"errorMessage": "no", "errorType": "ValueError""#));
    assert!(
        outcome.stdout.ends_with("\npost_init_error\n"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_marshaller_of_the_users_own_is_used() {
    let source = r#"
from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
class Marshaller:
    def unmarshal_request(self, body, content_type): return body.decode()
    def marshal_response(self, response): return repr(response), "text/plain"
LambdaRuntimeClient.marshaller = Marshaller()
def handler(event, context): return (event,)
"#;
    let Some(f) = function(source) else { return };
    let outcome = f.event("[1]").run();
    assert_eq!(outcome.posts(), ["('[1]',)"]);
    assert_eq!(
        outcome.requests[1].header("content-type"),
        Some("text/plain")
    );
}

#[test]
fn without_a_replacement_nothing_goes_through_them() {
    let source = r#"
import awslambdaric, awslambdaric.bootstrap as b, traceback
from awslambdaric.lambda_context import LambdaContext
def handler(event, context):
    frames = [frame.filename for frame in traceback.extract_stack()]
    return [awslambdaric.__version__, isinstance(context, LambdaContext), any("awslambdaric" in name for name in frames)]
"#;
    let Some(f) = function(source) else { return };
    assert_eq!(f.event("1").run().posts(), [r#"["4.2.2", true, false]"#]);
}

#[test]
fn a_context_can_be_made_in_plain_python() {
    let Some(f) = function("") else { return };
    let code = "from awslambdaric.lambda_context import LambdaContext as C\n\
        c = C('id', {'custom': 1}, {'cognitoIdentityId': 'i'}, 0)\n\
        print(c.aws_request_id, c.client_context.custom, c.identity.cognito_identity_id, c.get_remaining_time_in_millis())";
    let mut command = f.command(f.executable.python.to_str().unwrap());
    let output = command
        .args(["-c", code])
        .env("PYTHONPATH", &f.executable.runtime)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "id 1 i 0\n",
        "{:?}",
        String::from_utf8(output.stderr)
    );
}
