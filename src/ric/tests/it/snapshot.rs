//! SnapStart: hooks before the snapshot and after the restore.

use crate::function::{Function, function};

fn snapshot(hooks: &str) -> Option<Function> {
    let source = format!(
        "import snapshot_restore_py as s\n{hooks}\ndef handler(event, context): return 1\n"
    );
    Some(function(&source)?.variable("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start"))
}

#[test]
fn hooks_run_around_the_snapshot() {
    let hooks = "s.register_before_snapshot(print, 'first')\n@s.register_before_snapshot\ndef f(): print('second')\n\
        s.register_after_restore(print, 'third')\ns.register_after_restore(print, 'fourth', end='!')\n";
    let Some(f) = snapshot(hooks) else { return };
    let outcome = f.event("1").run();
    assert_eq!(outcome.stdout, "second\nfirst\nthird\nfourth!");
    let lines: Vec<&str> = outcome
        .requests
        .iter()
        .map(|request| request.line())
        .collect();
    assert_eq!(lines[0], "GET /2018-06-01/runtime/restore/next");
    assert_eq!(
        outcome.requests[0].head,
        format!(
            "{} HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: identity",
            lines[0]
        )
    );
    assert_eq!(lines.len(), 4);
}

#[test]
fn hooks_that_fail_are_reported() {
    for (hook, code, path, kind) in [
        (
            "register_before_snapshot",
            64,
            "init/error",
            "Runtime.BeforeSnapshotError",
        ),
        (
            "register_after_restore",
            65,
            "restore/error",
            "Runtime.AfterRestoreError",
        ),
    ] {
        let Some(f) = snapshot(&format!("@s.{hook}\ndef f(): raise TypeError('no')\n")) else {
            return;
        };
        let outcome = f.run();
        assert_eq!(outcome.code(), Some(code));
        let report = outcome.requests.last().unwrap();
        assert_eq!(report.line(), format!("POST /2018-06-01/runtime/{path}"));
        assert_eq!(
            report.header("Lambda-Runtime-Function-Error-Type"),
            Some(kind)
        );
        assert!(report.text().starts_with(
            r#"{"errorMessage": "no", "errorType": "TypeError", "requestId": "", "stackTrace": ["#
        ));
        assert!(outcome.stdout.starts_with("[ERROR] TypeError: no\r"));
    }
}

#[test]
fn without_snapstart_hooks_are_only_registered() {
    let Some(f) = function(
        "import snapshot_restore_py as s\ns.register_before_snapshot(print, 'x')\ndef handler(e, c): return 1\n",
    ) else {
        return;
    };
    let outcome = f.event("1").run();
    assert_eq!((outcome.stdout.as_str(), outcome.posts()), ("", vec!["1"]));
}
