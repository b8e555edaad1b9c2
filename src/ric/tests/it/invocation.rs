//! Invocations that work: requests to the byte, events, results, the context.

use crate::function::function;

const ECHO: &str = "def handler(event, context):\n    return event\n";

#[test]
fn requests_are_the_official_clients_on_one_connection() {
    let Some(f) = function(ECHO) else { return };
    let minor = f.executable.minor;
    let outcome = f
        .event(r#"{"a":1}"#)
        .event_with(b"[2]", &[("Lambda-Runtime-Invocation-Id", "invocation-7")])
        .variable("http_proxy", "http://127.0.0.1:1")
        .run();
    let version = outcome.requests[0].header("User-Agent").unwrap().to_owned();
    assert!(
        version.starts_with(&format!("aws-lambda-python/3.{minor}.")),
        "{version}"
    );
    let agent = format!("User-Agent: {version}");
    let next = format!(
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\n{agent}"
    );
    let response = |id: &str, more: &str| {
        format!(
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: HOST\r\nAccept: */*\r\n\
             content-type: application/json\r\n{agent}\r\n{more}"
        )
    };
    let seen: Vec<(&str, &str)> = outcome
        .requests
        .iter()
        .map(|r| (r.head.as_str(), r.text()))
        .collect();
    assert_eq!(
        seen,
        [
            (next.as_str(), ""),
            (&response("request-1", "content-length: 8"), r#"{"a": 1}"#),
            (&next, ""),
            (
                &response(
                    "request-2",
                    "lambda-runtime-invocation-id: invocation-7\r\ncontent-length: 3"
                ),
                "[2]"
            ),
            (&next, ""),
        ]
    );
    assert!(
        outcome
            .requests
            .iter()
            .all(|request| request.connection == 0)
    );
    assert_eq!(
        (
            outcome.stdout.as_str(),
            outcome.stderr.as_str(),
            outcome.status
        ),
        ("", "", None)
    );
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f.event("1").event("2").closing().run();
    assert_eq!(outcome.posts(), ["1", "2"]);
    let connections: Vec<usize> = outcome
        .requests
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 0, 1, 1, 2]);
}

#[test]
fn chunked_answers_in_any_case_of_letters_are_understood() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f
        .raw_event(
            "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: chunked\r\nlambda-runtime-AWS-request-id:x\r\n\r\n\
             3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n",
        )
        .run();
    assert_eq!(outcome.posts(), ["[1, 2]"]);
    assert_eq!(
        outcome.requests[1].line(),
        "POST /2018-06-01/runtime/invocation/x/response"
    );
}

#[test]
fn other_types_of_events_and_results_are_bytes() {
    let Some(f) = function("def handler(event, context):\n    return bytes(reversed(event))\n")
    else {
        return;
    };
    let outcome = f
        .event_with(b"\x01\xff", &[("Content-Type", "image/png")])
        .event_with(
            b"{}",
            &[("Content-Type", "application/json; charset=utf-8")],
        )
        .event_with(b"ab", &[("Content-Type", "Application/JSON")])
        .run();
    let bodies: Vec<&[u8]> = [1, 3, 5]
        .map(|index| outcome.requests[index].body.as_slice())
        .to_vec();
    assert_eq!(bodies, [&b"\xff\x01"[..], b"}{", b"ba"]);
    assert_eq!(
        outcome.requests[1].header("content-type"),
        Some("application/unknown")
    );
}

#[test]
fn absent_headers_have_defaults() {
    let source = "def handler(event, context):\n    return [event, context.get_remaining_time_in_millis(), \
        context.invoked_function_arn, context.tenant_id, context.client_context]\n";
    let Some(f) = function(source) else { return };
    let outcome = f
        .event_with(
            b"{}",
            &[("Content-Type", ""), ("Lambda-Runtime-Deadline-Ms", "")],
        )
        .event_with(
            b"{}",
            &[
                ("Lambda-Runtime-Deadline-Ms", "0"),
                ("Lambda-Runtime-Invoked-Function-Arn", ""),
            ],
        )
        .run();
    let arn = "arn:aws:lambda:us-east-1:012345678912:function:f";
    assert_eq!(
        outcome.posts(),
        [
            format!(r#"[{{}}, 0, "{arn}", null, null]"#).as_str(),
            r#"[{}, 0, "", null, null]"#
        ]
    );
}

#[test]
fn the_context_has_every_field() {
    let source = r#"
def handler(event, c):
    client = c.client_context
    return {
        "names": [c.function_name, c.function_version, c.memory_limit_in_mb, c.log_group_name, c.log_stream_name],
        "id": [c.aws_request_id, c.invoked_function_arn, c.tenant_id],
        "identity": [c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id],
        "client": client and [client.custom, client.env, client.client and client.client.app_title, hasattr(client, "x")],
        "w3c": c.w3c(),
        "time": 0 < c.get_remaining_time_in_millis() and type(c.get_remaining_time_in_millis()) is int,
        "type": f"{type(c).__module__}.{type(c).__name__}",
    }
"#;
    let Some(f) = function(source) else { return };
    let client = r#"{"custom": {"k": 1}, "env": "e", "x": 1, "client": {"app_title": "t", "y": 2},
        "w3c": {"traceparent": "tp", "tracestate": 5, "other": "o"}}"#
        .replace('\n', " ");
    let outcome = f
        .variable("AWS_LAMBDA_FUNCTION_NAME", "name")
        .variable("AWS_LAMBDA_FUNCTION_VERSION", "7")
        .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .variable("AWS_LAMBDA_LOG_GROUP_NAME", "group")
        .event("{}")
        .event_with(
            b"{}",
            &[
                ("Lambda-Runtime-Client-Context", client.as_str()),
                (
                    "Lambda-Runtime-Cognito-Identity",
                    r#"{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}"#,
                ),
                ("Lambda-Runtime-Aws-Tenant-Id", "tenant"),
            ],
        )
        .run();
    let arn = "arn:aws:lambda:us-east-1:012345678912:function:f";
    let names = r#""names": ["name", "7", "128", "group", null]"#;
    let rest = r#""time": true, "type": "awslambdaric.lambda_context.LambdaContext""#;
    assert_eq!(
        outcome.posts(),
        [
            format!(
                r#"{{{names}, "id": ["request-1", "{arn}", null], "identity": [null, null], "client": null, "w3c": {{}}, {rest}}}"#
            ),
            format!(
                r#"{{{names}, "id": ["request-2", "{arn}", "tenant"], "identity": ["i", "p"], "client": [{{"k": 1}}, "e", "t", false], "w3c": {{"traceparent": "tp"}}, {rest}}}"#
            ),
        ]
    );
}

#[test]
fn headers_that_are_no_json_are_errors_of_the_invocation() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f
        .event_with(b"{}", &[("Lambda-Runtime-Client-Context", "x")])
        .event_with(b"{}", &[("Lambda-Runtime-Cognito-Identity", "{")])
        .event("1")
        .run();
    let kind = "Runtime.LambdaContextUnmarshalError";
    assert_eq!(
        outcome.posts(),
        [
            format!(
                r#"{{"errorMessage": "Unable to parse Client Context JSON: Expecting value: line 1 column 1 (char 0)", "errorType": "{kind}", "requestId": "request-1", "stackTrace": []}}"#
            )
            .as_str(),
            &format!(
                r#"{{"errorMessage": "Unable to parse Cognito Identity JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)", "errorType": "{kind}", "requestId": "request-2", "stackTrace": []}}"#
            ),
            "1"
        ]
    );
}

#[test]
fn the_trace_id_is_in_the_environment_while_there_is_one() {
    let source = "import os, subprocess\ndef handler(event, context):\n    \
        return [os.environ.get('_X_AMZN_TRACE_ID'), \
        subprocess.run(['/bin/sh', '-c', 'echo -n $_X_AMZN_TRACE_ID'], stdout=-1).stdout]\n";
    let Some(f) = function(source) else { return };
    let outcome = f
        .variable("_X_AMZN_TRACE_ID", "old")
        .event_with(b"1", &[("Lambda-Runtime-Trace-Id", "Root=1")])
        .event("2")
        .event_with(b"3", &[("Lambda-Runtime-Trace-Id", "Root=3")])
        .run();
    assert_eq!(
        outcome.posts(),
        [
            r#"["Root=1", "Root=1"]"#,
            r#"[null, ""]"#,
            r#"["Root=3", "Root=3"]"#
        ]
    );
}

#[test]
fn a_stale_or_too_large_answer_does_not_end_the_runtime() {
    for (status, body) in [(410, "stale"), (413, "too large")] {
        let Some(f) = function(ECHO) else { return };
        let outcome = f.event("1").event("2").post(status, body).run();
        assert_eq!((outcome.posts(), outcome.status), (vec!["1", "2"], None));
        let line = format!(
            "[ERROR] TIME LAMBDA_RUNTIME Failed to post handler success response. Http response code: {status}. {body}\n"
        );
        assert_eq!(outcome.stdout_without_times(), line.repeat(2));
    }
}

#[test]
fn other_refused_answers_end_the_runtime() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f.event("1").event("2").post(500, "no").run();
    assert_eq!((outcome.posts(), outcome.code()), (vec!["1"], Some(1)));
    assert!(
        outcome.stdout.ends_with("Http response code: 500. no\n"),
        "{}",
        outcome.stdout
    );
    assert!(
        outcome
            .stderr
            .ends_with("RuntimeError: Failed to post invocation response\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn no_next_invocation_ends_the_runtime() {
    for (message, expected) in [
        (
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            "Failed to get next invocation. Http Response code: 500\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "Failed to find header lambda-runtime-aws-request-id in response\n",
        ),
        (
            "no http at all\r\n\r\n",
            "LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint",
        ),
    ] {
        let Some(f) = function(ECHO) else { return };
        let minor = f.executable.minor;
        let outcome = f.raw_event(message).run();
        assert_eq!(outcome.code(), Some(1), "{message}");
        assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
        let last = outcome.stderr.lines().last().unwrap();
        let expected = if minor >= 12 {
            "awslambdaric.lambda_runtime_exception.FaultException: ('Runtime.LambdaRuntimeClientError', \
             'LAMBDA_RUNTIME Failed to get next invocation: Failed to get next', None)"
        } else {
            "RuntimeError: Failed to get next"
        };
        assert_eq!(last, expected);
    }
}

#[test]
fn large_events_come_and_go() {
    let Some(f) = function(ECHO) else { return };
    let text = format!("\"{}\"", "é\u{20ac}x".repeat(900_000));
    let outcome = f.event(&text).event("1").run();
    assert_eq!(outcome.posts().len(), 2);
    assert_eq!(outcome.posts()[1], "1");
    assert!(outcome.posts()[0].len() > 5_000_000);
}

#[test]
fn an_answer_that_breaks_off_ends_the_runtime() {
    let whole =
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\nContent-Length: 4\r\n\r\ntrue";
    for end in [1, 20, whole.len() - 5, whole.len() - 1] {
        let Some(f) = function(ECHO) else { return };
        let outcome = f.event("1").last_words(&whole[..end]).run();
        assert_eq!(
            (outcome.posts(), outcome.code()),
            (vec!["1"], Some(1)),
            "{end}"
        );
        assert!(
            outcome
                .stdout
                .contains("Failed to get next invocation. No Response from endpoint")
        );
    }
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let Some(f) = function(ECHO) else { return };
    let outcome = f
        .last_words("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: x\r\n\r\n[1, 2]")
        .event("3")
        .run();
    assert_eq!(outcome.posts(), ["[1, 2]", "3"]);
    let connections: Vec<usize> = outcome
        .requests
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 1, 1, 1, 1]);
}

#[test]
fn a_runtime_api_that_is_not_there_ends_the_runtime() {
    let Some(f) = function(ECHO) else { return };
    let mut command = f.command(&f.program("bootstrap"));
    let output = command
        .arg("app.handler")
        .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint"),
        "{stdout}"
    );
}
