//! The official client installed beside the function, as people do who build their own images.

use crate::function::{Function, function};
use crate::{host, packages};

const PACKAGES: [&str; 3] = [
    "awslambdaric==4.2.2",
    "simplejson==4.1.1",
    "snapshot-restore-py==1.0.0",
];

/// A function with the official client in its own folder, which comes first in sys.path.
fn with_client(source: &str) -> Option<Function> {
    // There are no wheels of it for interpreters without a GIL.
    let f = function(source).filter(|f| !f.executable.free_threaded)?;
    let folder = packages::install(f.executable, "official-client", &PACKAGES);
    for entry in host::entries_of(&folder) {
        host::link(&entry, &f.folder.join(entry.file_name().unwrap()));
    }
    Some(f)
}

#[test]
fn nobody_imports_it() {
    let source = "import sys\ndef handler(event, context):\n    if event == 2: raise ValueError('no')\n    \
        return [name for name in sys.modules if name.startswith('awslambdaric')]\n";
    let Some(f) = with_client(source) else { return };
    let outcome = f.event("1").event("2").event("3").run();
    assert_eq!((outcome.posts()[0], outcome.posts()[2]), ("[]", "[]"));
    assert_eq!((outcome.status, outcome.stderr.as_str()), (None, ""));
}

#[test]
fn who_imports_it_gets_it_and_the_loop_goes_on_without_it() {
    let source = "import sys\nimport awslambdaric.bootstrap as b\nimport awslambdaric.lambda_runtime_client\n\
        import awslambdaric.lambda_context\n\
        def replaced(*a, **k): raise SystemExit('replaced')\nb.handle_event_request = b.to_json = replaced\n\
        def handler(event, context):\n    if event == 2: raise ValueError('no')\n    \
        ours = isinstance(context, awslambdaric.lambda_context.LambdaContext)\n    \
        return [b.__file__.startswith(sys.path[0]), ours]\n";
    let Some(f) = with_client(source) else { return };
    let outcome = f.event("1").event("2").event("3").run();
    let posts = outcome.posts();
    assert_eq!((posts[0], posts[2]), ("[true, false]", "[true, false]"));
    assert!(
        posts[1].contains(r#""errorType": "ValueError""#),
        "{}",
        posts[1]
    );
    assert_eq!((outcome.status, outcome.stderr.as_str()), (None, ""));
}

#[test]
fn its_snapshot_hooks_are_run() {
    let source = "from snapshot_restore_py import register_before_snapshot, register_after_restore\n\
        register_before_snapshot(print, 'before')\nregister_after_restore(print, 'after')\n\
        def handler(event, context): return event\n";
    let Some(f) = with_client(source) else { return };
    let outcome = f
        .variable("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
        .event("1")
        .run();
    assert_eq!(outcome.stdout, "before\nafter\n");
    assert_eq!(outcome.requests[2].text(), "1");
}
