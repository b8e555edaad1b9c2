//! The log: text and JSON, levels, frames on the telemetry descriptor.

use crate::function::function;

const LEVELS: &str = "import logging\nlog = logging.getLogger('mine')\ndef handler(event, context):\n    \
    for name in ('debug', 'info', 'warning', 'error', 'critical'): getattr(log, name)('to %s', name)\n";

#[test]
fn text_lines_carry_level_time_and_request() {
    let source = "import logging\nlogging.warning('at import')\ndef handler(event, context):\n    \
        logging.getLogger().error('uh é')\n    print('printed')\n    context.log('no newline|')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    assert_eq!(
        outcome.stdout_without_times(),
        "[WARNING]\tTIME\t\tat import\n[ERROR]\tTIME\trequest-1\tuh é\nprinted\nno newline|"
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn context_log_works_without_logging() {
    let Some(f) = function(
        "import sys\ndef handler(event, context):\n    context.log({1: 2})\n    return 'logging' in sys.modules\n",
    ) else {
        return;
    };
    let outcome = f.event("1").run();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.posts()),
        ("{1: 2}", vec!["false"])
    );
}

#[test]
fn logging_is_configured_whenever_it_is_imported() {
    let source = "import sys\nbefore = 'logging' in sys.modules\ndef handler(event, context):\n    \
        import logging\n    logging.warning('late')\n    return [before, [type(h).__name__ for h in logging.getLogger().handlers]]\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    assert_eq!(outcome.posts(), [r#"[false, ["LambdaLoggerHandler"]]"#; 2]);
    assert_eq!(
        outcome.stdout_without_times(),
        "[WARNING]\tTIME\trequest-1\tlate\n[WARNING]\tTIME\trequest-2\tlate\n"
    );
}

#[test]
fn the_level_comes_from_the_environment() {
    for (level, expected) in [
        ("", "warning error critical"),
        ("INFO", "info warning error critical"),
        ("TRACE", "debug info warning error critical"),
        ("error", "error critical"),
        ("trace", "warning error critical"),
        ("nonsense", "warning error critical"),
    ] {
        let Some(f) = function(LEVELS) else { return };
        let outcome = f.variable("AWS_LAMBDA_LOG_LEVEL", level).event("1").run();
        let expected: String = expected
            .split(' ')
            .map(|name| format!("[{}]\tTIME\trequest-1\tto {name}\n", name.to_uppercase()))
            .collect();
        assert_eq!(outcome.stdout_without_times(), expected, "{level}");
    }
}

#[test]
fn frames_carry_the_level_if_one_is_asked_for() {
    let line = |name: &str| format!("[{}]\tTIME\trequest-1\tto {name}\n", name.to_uppercase());
    for (level, types) in [("", [0x03, 0x03, 0x03]), ("WARN", [0x13, 0x17, 0x1b])] {
        let Some(f) = function(LEVELS) else { return };
        let outcome = f
            .with_frames()
            .variable("AWS_LAMBDA_LOG_LEVEL", level)
            .event("1")
            .run();
        let names = ["warning", "error", "critical"];
        let expected: Vec<(u32, String)> = types
            .iter()
            .zip(names)
            .map(|(kind, name)| (0xa55a_0000 | kind, line(name)))
            .collect();
        assert_eq!(
            (outcome.frames, outcome.stdout.as_str()),
            (expected, ""),
            "{level}"
        );
    }
}

#[test]
fn the_descriptors_variable_is_gone_and_errors_are_framed() {
    let source = "import os\ndef handler(event, context):\n    \
        context.log('x')\n    print('raw')\n    raise ValueError(os.environ.get('_LAMBDA_TELEMETRY_LOG_FD'))\n";
    let Some(f) = function(source) else { return };
    let file = f.folder.join("app.py");
    let outcome = f.with_frames().event("1").run();
    let space = "\u{a0}";
    let error = format!(
        "[ERROR] ValueError: None\nTraceback (most recent call last):\n{space}{space}File \"{}\", line 5, in handler\n\
         {}raise ValueError(os.environ.get('_LAMBDA_TELEMETRY_LOG_FD'))",
        file.display(),
        space.repeat(4)
    );
    assert_eq!(
        outcome.frames,
        [(0xa55a_0003, "x".to_owned()), (0xa55a_0017, error)]
    );
    assert_eq!(outcome.stdout, "raw\n");
}

#[test]
fn json_lines_have_the_fields_in_order() {
    let source = r#"
import logging
log = logging.getLogger("mine")
log.warning("before")
def handler(event, context):
    log.warning("%s\né", "text", extra={"more": {"a": 1}, "none": None, "odd": object})
    log.error({"event": "dict"})
    log.log(25, "floored")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("caught")
    raise ValueError("bad")
"#;
    let Some(f) = function(source) else { return };
    let file = f.folder.join("app.py").display().to_string();
    let outcome = f
        .variable("AWS_LAMBDA_LOG_FORMAT", "json")
        .variable("AWS_LAMBDA_LOG_LEVEL", "INFO")
        .event_with(b"1", &[("Lambda-Runtime-Aws-Tenant-Id", "tenant")])
        .run();
    let text = outcome.stdout_without_times();
    let lines: Vec<&str> = text.lines().collect();
    let start = |level: &str, message: &str| {
        format!(
            r#"{{"timestamp": "TIME", "level": "{level}", "message": {message}, "logger": "mine""#
        )
    };
    let id = r#""requestId": "request-1""#;
    assert_eq!(
        lines[0],
        format!(r#"{}, "requestId": ""}}"#, start("WARNING", "\"before\""))
    );
    assert_eq!(
        lines[1],
        format!(
            r#"{}, {id}, "tenantId": "tenant", "more": {{"a": 1}}, "odd": "<class 'object'>"}}"#,
            start("WARNING", r#""text\né""#)
        )
    );
    assert_eq!(
        lines[2],
        format!(
            r#"{}, {id}, "tenantId": "tenant"}}"#,
            start("ERROR", r#"{"event": "dict"}"#)
        )
    );
    assert_eq!(
        lines[3],
        format!(
            r#"{}, {id}, "tenantId": "tenant"}}"#,
            start("INFO", "\"floored\"")
        )
    );
    assert!(
        lines[4].starts_with(&format!(
            "{}, \"stackTrace\": [",
            start("ERROR", "\"caught\"")
        )),
        "{}",
        lines[4]
    );
    let end = format!(
        r#""errorType": "ZeroDivisionError", "errorMessage": "division by zero", {id}, "location": "{file}:handler:12", "tenantId": "tenant"}}"#
    );
    assert!(lines[4].ends_with(&end), "{}", lines[4]);
    assert_eq!(
        lines[5],
        format!(
            r#"{{"timestamp": "TIME", "level": "ERROR", "errorMessage": "bad", "errorType": "ValueError", {id}, "stackTrace": ["  File \"{file}\", line 13, in handler\n    raise ValueError(\"bad\")\n"]}}"#
        )
    );
    assert_eq!(lines.len(), 6);
}

#[test]
fn json_frames_have_types_of_their_own() {
    let Some(f) = function(LEVELS) else { return };
    let outcome = f
        .with_frames()
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .event("1")
        .run();
    let types: Vec<u32> = outcome
        .frames
        .iter()
        .map(|(kind, _)| kind & 0xffff)
        .collect();
    assert_eq!(types, [0x12, 0x16, 0x1a]);
}

#[test]
fn the_users_own_configuration_wins() {
    let source = "import logging, logging.config\ndef handler(event, context):\n    \
        logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler'}}, \
        'root': {'level': 'INFO', 'handlers': ['h']}})\n    logging.info('mine')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("", "mine\n")
    );
}

#[test]
fn streams_are_unbuffered() {
    let source = "import sys\ndef handler(event, context):\n    sys.stderr.write('e')\n    \
        return [sys.stdout.write('a'), sys.stdout.writelines(['b', 'c']), type(sys.stdout).__name__, sys.stdout.fileno()]\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("abc", "e")
    );
    assert_eq!(outcome.posts(), [r#"[null, null, "Unbuffered", 1]"#]);
}
