//! The agents that people use, from the package index: what they have to see arrives where they send it.

use std::net::UdpSocket;
use std::time::Duration;

use crate::fake_api::{Behaviour, FakeApi, Request};
use crate::function::{Function, function};
use crate::packages;

const PACKAGES: [&str; 11] = [
    "aws-lambda-powertools==3.37.0",
    "aws-xray-sdk==2.15.0",
    "botocore==1.44.5",
    "certifi==2026.10.18",
    "jmespath==1.1.0",
    "python-dateutil==2.9.0.post0",
    "sentry-sdk==2.75.0",
    "six==1.17.0",
    "typing-extensions==4.16.0",
    "urllib3==2.8.0",
    "wrapt==2.5.2",
];

const TRACE: &str = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";

/// A function that finds the agents, with the variables that the platform sets.
fn with_agents(source: &str) -> Option<Function> {
    let f = function(source)?;
    let folder = packages::install(f.executable, "agents", &PACKAGES);
    let f = f
        .variable("PYTHONPATH", folder.to_str().unwrap())
        .variable("AWS_REGION", "eu-central-1")
        .variable("AWS_LAMBDA_FUNCTION_NAME", "orders")
        .variable("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .variable("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/orders")
        .variable("AWS_LAMBDA_LOG_STREAM_NAME", "stream");
    Some(f)
}

const SENTRY: &str = r#"
import os, sentry_sdk
from sentry_sdk.integrations.aws_lambda import AwsLambdaIntegration
sentry_sdk.init(dsn=os.environ["DSN"], integrations=[AwsLambdaIntegration()], traces_sample_rate=1.0,
                _experiments={"transport_compression_level": 0})
"#;

/// Runs a function with a server of Sentry's; gives what came in there, too.
fn with_sentry(source: &str, events: &[&str]) -> Option<(crate::function::Outcome, Vec<Request>)> {
    let behaviour = Behaviour {
        post: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
        closes: false,
        refuses: false,
        chunk_limit: None,
    };
    let server = FakeApi::start(Vec::new(), behaviour);
    let f = with_agents(&format!("{SENTRY}{source}"))?;
    let f = f.variable("DSN", &format!("http://public@{}/1", server.address));
    let outcome = events.iter().fold(f, |f, event| f.event(event)).run();
    Some((outcome, server.requests()))
}

#[test]
fn sentry_gets_errors_and_transactions() {
    let source = "def handler(event, context):\n    return 10 / event\n";
    let Some((outcome, envelopes)) = with_sentry(source, &["5", "0", "2"]) else {
        return;
    };
    assert_eq!(outcome.status, None, "{outcome:?}");
    assert_eq!((outcome.posts()[0], outcome.posts()[2]), ("2.0", "5.0"));
    let start = r#"{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", "requestId": "request-2", "stackTrace": ["  File "#;
    assert!(
        outcome.posts()[1].starts_with(start),
        "{}",
        outcome.posts()[1]
    );
    let all: Vec<&str> = envelopes.iter().map(Request::text).collect();
    assert!(
        envelopes
            .iter()
            .all(|request| request.line() == "POST /api/1/envelope/"),
        "{all:?}"
    );
    let errors: Vec<&&str> = all
        .iter()
        .filter(|text| text.contains(r#""type":"event""#))
        .collect();
    assert_eq!(errors.len(), 1, "{all:?}");
    for part in [
        r#""type":"ZeroDivisionError","value":"division by zero""#,
        r#""mechanism":{"type":"aws_lambda","handled":false}"#,
        r#""transaction":"orders""#,
        r#""aws_request_id":"request-2""#,
        r#""function":"handler""#,
    ] {
        assert!(
            errors[0].contains(part),
            "{part} is missing in {}",
            errors[0]
        );
    }
    let transactions = all
        .iter()
        .filter(|text| text.contains(r#""type":"transaction""#));
    assert_eq!(transactions.count(), 3, "{all:?}");
}

#[test]
fn sentry_gets_an_error_of_the_initialisation() {
    let Some((outcome, envelopes)) = with_sentry("raise ValueError('no start')\n", &[]) else {
        return;
    };
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.posts()[0].starts_with(r#"{"errorMessage": "no start", "errorType": "ValueError""#)
    );
    let all: Vec<&str> = envelopes.iter().map(Request::text).collect();
    let part = r#""type":"ValueError","value":"no start""#;
    assert!(all.len() == 1 && all[0].contains(part), "{all:?}");
}

/// What came to the X-Ray daemon: a line of its own and a document each.
fn segments(daemon: &UdpSocket) -> Vec<String> {
    daemon
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut buffer = vec![0; 65536];
    let mut all = Vec::new();
    while let Ok(count) = daemon.recv(&mut buffer) {
        let text = std::str::from_utf8(&buffer[..count]).unwrap();
        let document = text.strip_prefix("{\"format\": \"json\", \"version\": 1}\n");
        all.push(
            document
                .or(text.split_once('\n').map(|(_, document)| document))
                .unwrap()
                .to_owned(),
        );
    }
    all
}

#[test]
fn xray_gets_subsegments_of_the_invocation() {
    let source = "\
from aws_xray_sdk.core import xray_recorder
def handler(event, context):
    with xray_recorder.in_subsegment('work') as subsegment:
        subsegment.put_annotation('order', event)
        return 1 / event
";
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Some(f) = with_agents(source) else { return };
    let outcome = f
        .variable(
            "AWS_XRAY_DAEMON_ADDRESS",
            &daemon.local_addr().unwrap().to_string(),
        )
        .event_with(b"1", &[("Lambda-Runtime-Trace-Id", TRACE)])
        .event_with(b"0", &[("Lambda-Runtime-Trace-Id", TRACE)])
        .run();
    assert_eq!(outcome.posts()[0], "1.0", "{outcome:?}");
    let all = segments(&daemon);
    assert_eq!(all.len(), 2, "{all:?}");
    for (document, fault) in all.iter().zip([false, true]) {
        for part in [
            r#""name": "work""#,
            r#""trace_id": "1-5bef4de7-ad49b0e87f6ef6c87fc2e700""#,
            r#""parent_id": "9a9197af755a6419""#,
            r#""type": "subsegment""#,
            r#""annotations": {"order": "#,
        ] {
            assert!(document.contains(part), "{part} is missing in {document}");
        }
        assert_eq!(document.contains(r#""fault": true"#), fault, "{document}");
    }
}

#[test]
fn powertools_log_trace_and_measure() {
    let source = "\
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
logger, tracer, metrics = Logger(), Tracer(), Metrics(namespace='Shop')
@tracer.capture_method
def price(event):
    return event * 2
@metrics.log_metrics(capture_cold_start_metric=True)
@tracer.capture_lambda_handler
@logger.inject_lambda_context(log_event=True)
def handler(event, context):
    logger.info('priced', extra={'price': price(event)})
    metrics.add_metric(name='Orders', unit=MetricUnit.Count, value=1)
    import sys
    return [name for name in sys.modules if name.startswith(('awslambdaric.boot', 'awslambdaric.lambda_runtime'))]
";
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Some(f) = with_agents(source) else { return };
    let outcome = f
        .variable("POWERTOOLS_SERVICE_NAME", "shop")
        .variable(
            "AWS_XRAY_DAEMON_ADDRESS",
            &daemon.local_addr().unwrap().to_string(),
        )
        .event_with(b"21", &[("Lambda-Runtime-Trace-Id", TRACE)])
        .run();
    assert_eq!(outcome.posts(), ["[]"], "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    let logged = |part: &str| lines.iter().any(|line| line.contains(part));
    for part in [
        r#""message":21"#,
        r#""message":"priced""#,
        r#""price":42"#,
        r#""cold_start":true"#,
        r#""function_name":"orders","function_memory_size":"256""#,
        r#""function_request_id":"request-1""#,
        r#""xray_trace_id":"1-5bef4de7-ad49b0e87f6ef6c87fc2e700""#,
        r#""service":"shop""#,
        r#""Namespace":"Shop""#,
        r#""Orders":[1.0]"#,
        r#""ColdStart":[1.0]"#,
    ] {
        assert!(logged(part), "{part} is missing in {lines:?}");
    }
    let all = segments(&daemon).concat();
    for part in [
        r###""name": "## handler""###,
        r###""name": "## app.price""###,
        r#""ColdStart": true"#,
        r#""Service": "shop""#,
    ] {
        assert!(all.contains(part), "{part} is missing in {all}");
    }
}

#[test]
fn without_an_agent_nothing_of_the_official_names_is_imported() {
    let source = "\
import sys
def handler(event, context):
    context.log('x')
    names = ('awslambdaric', 'snapshot_restore_py', 'logging', 'traceback', 'decimal', 'json', 'simplejson', 'threading', 'asyncio', 'multiprocessing')
    return [name for name in names if name in sys.modules]
";
    let Some(f) = function(source) else { return };
    assert_eq!(f.event("{\"a\": [1, 2.5]}").run().posts(), ["[]"]);
}
