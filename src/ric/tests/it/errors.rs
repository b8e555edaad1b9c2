//! Errors: of the initialisation, of the handler, and what ends the process.

use crate::function::{Function, Outcome, function};

/// Runs a function that must fail to initialise; gives the error type's header, the body and the outcome.
fn failed_init(f: Function) -> (String, String, Outcome) {
    let outcome = f.event("{}").run();
    assert_eq!(outcome.code(), Some(1), "{outcome:?}");
    let [request] = outcome.requests.as_slice() else {
        panic!("{outcome:?}")
    };
    let header = request
        .header("Lambda-Runtime-Function-Error-Type")
        .unwrap()
        .to_owned();
    let expected = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: identity\r\n\
         Content-Length: {}\r\nLambda-Runtime-Function-Error-Type: {header}",
        request.body.len()
    );
    assert_eq!(request.head, expected);
    (header, request.text().to_owned(), outcome)
}

fn error(message: &str, kind: &str, id: &str) -> String {
    format!(
        r#"{{"errorMessage": "{message}", "errorType": "{kind}", "requestId": "{id}", "stackTrace": []}}"#
    )
}

#[test]
fn handlers_that_cannot_be_found() {
    for (handler, kind, message) in [
        (
            "app",
            "MalformedHandlerName",
            "Bad handler 'app': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "time.h",
            "BuiltInModuleConflict",
            "Cannot use built-in module time as a handler module",
        ),
        (
            "nope.h",
            "ImportModuleError",
            "Unable to import module 'nope': No module named 'nope'",
        ),
        (
            "a/b.h",
            "ImportModuleError",
            "Unable to import module 'a/b': No module named 'a'",
        ),
        (
            "imports.h",
            "ImportModuleError",
            "Unable to import module 'imports': No module named 'missing_one'",
        ),
        (
            "app.C.handler",
            "ImportModuleError",
            "Unable to import module 'app.C': No module named 'app.C'; 'app' is not a package",
        ),
        (
            "app.nope",
            "HandlerNotFound",
            "Handler 'nope' missing on module 'app'",
        ),
        (
            "é.h",
            "ImportModuleError",
            "Unable to import module 'é': No module named 'é'",
        ),
    ] {
        let Some(f) = function("class C:\n    def handler(event, context): pass\n") else {
            return;
        };
        // Without its own Unicode rule every version would escape the é.
        let minor = f.executable.minor;
        let (header, body, outcome) = failed_init(
            f.file("imports.py", "import missing_one\n")
                .handler(handler),
        );
        let kind = format!("Runtime.{kind}");
        let written = if minor < 12 {
            message.replace('é', "\\u00e9")
        } else {
            message.to_owned()
        };
        assert_eq!(
            (header.as_str(), body.as_str()),
            (kind.as_str(), error(&written, &kind, "").as_str()),
            "{handler}"
        );
        let lines: Vec<&str> = outcome.stdout.split('\n').collect();
        assert!(
            lines[0].starts_with("[WARNING]\t")
                && lines[0].contains("LAMBDA_WARNING: Unhandled exception.")
        );
        assert_eq!(
            lines[1..],
            [
                format!("[ERROR] {kind}: {message}\rTraceback (most recent call last):").as_str(),
                ""
            ]
        );
    }
}

#[test]
fn nested_modules_and_slashes_are_found() {
    for handler in [
        "pkg/sub/mod.h",
        "pkg.sub.mod.h",
        "dir/sys.h",
        "pkg.sub.sys.h",
    ] {
        let Some(f) = function("") else { return };
        let source = "def h(event, context):\n    return __name__\n";
        let f = ["pkg/sub/mod.py", "pkg/sub/sys.py", "dir/sys.py"]
            .iter()
            .fold(f, |f, name| f.file(name, source));
        let outcome = f.handler(handler).event("1").run();
        let module = handler.trim_end_matches(".h").replace('/', ".");
        assert_eq!(outcome.posts(), [format!("\"{module}\"")], "{handler}");
    }
}

#[test]
fn syntax_errors_name_file_and_line() {
    let Some(f) = function("def handler(:\n") else {
        return;
    };
    let file = f.folder.join("app.py");
    let (header, body, _) = failed_init(f);
    assert_eq!(header, "Runtime.UserCodeSyntaxError");
    assert!(
        body.contains(
            r#""errorMessage": "Syntax error in module 'app': invalid syntax (app.py, line 1)""#
        ),
        "{body}"
    );
    let trace = format!(
        r#""stackTrace": ["  File \"{}\" Line 1\n    def handler(:\n"]"#,
        file.display()
    );
    assert!(body.contains(&trace), "{body}");
}

#[test]
fn exceptions_at_import_have_the_importers_frames() {
    let Some(f) = function("x = 1\nraise ValueError('at import')\n") else {
        return;
    };
    let file = f.folder.join("app.py");
    let (header, body, _) = failed_init(f);
    assert_eq!(header, "ValueError");
    assert!(body.starts_with(r#"{"errorMessage": "at import", "errorType": "ValueError", "requestId": "", "stackTrace": ["  File \""#));
    for part in [
        r#"importlib/__init__.py\", line "#,
        r#", in import_module\n    return _bootstrap._gcd_import(name[level:], package, level)\n"#,
        r#""  File \"<frozen importlib._bootstrap>\", line "#,
        &format!(
            r#""  File \"{}\", line 2, in <module>\n    raise ValueError('at import')\n"]}}"#,
            file.display()
        ),
    ] {
        assert!(body.contains(part), "{part}\n{body}");
    }
}

#[test]
fn init_errors_are_utf8_whatever_they_say() {
    // The official client sends Latin-1 or dies.
    for (text, plain, escaped) in [
        ("é", "é", "\\u00e9"),
        ("\u{20ac}", "\u{20ac}", "\\u20ac"),
        ("\\ud800", "\\ud800", "\\ud800"),
    ] {
        let Some(f) = function(&format!("raise ValueError('{text}')\n")) else {
            return;
        };
        let expected = if f.executable.minor < 12 {
            escaped
        } else {
            plain
        };
        let (_, body, _) = failed_init(f);
        assert!(
            body.starts_with(&format!(r#"{{"errorMessage": "{expected}", "#)),
            "{body}"
        );
    }
}

#[test]
fn an_exception_in_the_handler_is_reported_and_the_next_event_comes() {
    let source = "class Mine(Exception): pass\ndef inner():\n    raise Mine('my \"error\"')\n\
        def handler(event, context):\n    if event: return event\n    inner()\n";
    let Some(f) = function(source) else { return };
    let (folder, minor) = (f.folder.display().to_string(), f.executable.minor);
    let outcome = f.event("0").event("7").run();
    let [_, post, _, second, _] = outcome.requests.as_slice() else {
        panic!("{outcome:?}")
    };
    let file = format!("{folder}/app.py");
    assert_eq!(
        post.text(),
        format!(
            r#"{{"errorMessage": "my \"error\"", "errorType": "Mine", "requestId": "request-1", "stackTrace": ["  File \"{file}\", line 6, in handler\n    inner()\n", "  File \"{file}\", line 3, in inner\n    raise Mine('my \"error\"')\n"]}}"#
        )
    );
    assert_eq!(
        post.header("lambda-runtime-function-xray-error-cause")
            .unwrap(),
        format!(
            r#"{{"working_directory": "{folder}", "exceptions": [{{"message": "my \"error\"", "type": "Mine", "stack": [{{"label": "handler", "path": "{file}", "line": 6}}, {{"label": "inner", "path": "{file}", "line": 3}}]}}], "paths": ["{file}"]}}"#
        )
    );
    let names: Vec<&str> = post
        .head
        .lines()
        .skip(1)
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "Host",
            "Accept",
            "content-type",
            "lambda-runtime-function-xray-error-cause",
            "User-Agent",
            "content-length"
        ]
    );
    assert_eq!(second.text(), "7");
    let space = "\u{a0}";
    assert_eq!(
        outcome.stdout,
        format!(
            "[ERROR] Mine: my \"error\"\rTraceback (most recent call last):\r\
             {space}{space}File \"{file}\", line 6, in handler\r{space}{space}{space}{space}inner()\r\
             {space}{space}File \"{file}\", line 3, in inner\r{space}{space}{space}{space}raise Mine('my \"error\"')\n"
        ),
        "Python 3.{minor}"
    );
}

#[test]
fn repeated_frames_collapse() {
    let Some(f) = function(
        "def handler(event, context):\n    def f(n):\n        if n: f(n - 1)\n        else: 1 / 0\n    f(9)\n",
    ) else {
        return;
    };
    let outcome = f.event("1").run();
    assert!(
        outcome.posts()[0].contains(r#""  [Previous line repeated 6 more times]\n""#),
        "{outcome:?}"
    );
}

#[test]
fn odd_exceptions_are_reported_too() {
    let source = r#"
class Mute(Exception):
    def __str__(self): raise RuntimeError("no")
def handler(event, context):
    if event == 1: raise Mute()
    if event == 2: raise ValueError("\ud800")
    if event == 3: raise ValueError()
    if event == 4: import missing_one
"#;
    let Some(f) = function(source) else { return };
    let outcome = f
        .event("1")
        .event("2")
        .event("3")
        .event("4")
        .event("5")
        .run();
    let starts = [
        r#"{"errorMessage": "<Mute: str() failed>", "errorType": "Mute", "#,
        r#"{"errorMessage": "\ud800", "errorType": "ValueError", "#,
        r#"{"errorMessage": "", "errorType": "ValueError", "#,
        r#"{"errorMessage": "No module named 'missing_one'", "errorType": "ModuleNotFoundError", "#,
        "null",
    ];
    assert_eq!(
        (outcome.posts().len(), outcome.status),
        (starts.len(), None)
    );
    for (post, start) in outcome.posts().iter().zip(starts) {
        assert!(post.starts_with(start), "{post}");
    }
}

#[test]
fn a_fault_that_user_code_raises_keeps_its_parts() {
    let source = "from awslambdaric.lambda_runtime_exception import FaultException\ndef handler(event, context):\n    \
        raise FaultException('Kind', 'message', ['  one\\n', 'two'])\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    let expected = r#"{"errorMessage": "message", "errorType": "Kind", "requestId": "request-1", "stackTrace": ["  one\n", "two"]}"#;
    assert_eq!(outcome.posts(), [expected]);
    assert_eq!(
        outcome.stdout,
        "[ERROR] Kind: message\rTraceback (most recent call last):\r\u{a0}\u{a0}one\rtwo\n"
    );
}

#[test]
fn what_is_no_exception_ends_the_process_and_posts_nothing() {
    for (statement, code) in [
        ("sys.exit(3)", 3),
        ("sys.exit()", 0),
        ("raise BaseException('b')", 1),
        ("os._exit(7)", 7),
    ] {
        let Some(f) = function(&format!(
            "import os, sys\ndef handler(event, context):\n    {statement}\n"
        )) else {
            return;
        };
        let outcome = f.event("1").run();
        assert_eq!(
            (outcome.posts(), outcome.code()),
            (vec![], Some(code)),
            "{statement}"
        );
        let Some(f) = function(&format!("import os, sys\n{statement}\n")) else {
            return;
        };
        let outcome = f.run();
        assert_eq!(
            (outcome.requests.len(), outcome.code()),
            (0, Some(code)),
            "{statement} at import"
        );
    }
}

#[test]
fn a_large_xray_cause_is_left_out() {
    let Some(f) = function("def handler(event, context):\n    raise ValueError('x' * event)\n")
    else {
        return;
    };
    let outcome = f.event("900000").event("1100000").run();
    let causes = [1, 3].map(|index| {
        outcome.requests[index]
            .header("lambda-runtime-function-xray-error-cause")
            .map(|cause| cause.len() > 900_000)
    });
    assert_eq!(causes, [Some(true), None]);
}
