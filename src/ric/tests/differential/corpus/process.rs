//! Signals, the hooks around a snapshot, and several workers.

use crate::case::{Case, case};
use crate::compare::compare;

fn signals() -> Vec<Case> {
    let handling = |action: &str| {
        format!(
            "import signal, sys\ndef on(number, frame):\n    print('signal', number)\n    {action}\nfor n in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1): signal.signal(n, on)\ndef handler(event, context): return event\n"
        )
    };
    let plain = "def handler(event, context): return event\n";
    vec![
        case("SIGTERM", plain).event("1").end("TERM"),
        case("SIGINT", plain).event("1").end("INT"),
        case("SIGUSR1", plain).event("1").end("USR1"),
        case("SIGTERM handled", &handling("sys.exit(0)")).event("1").end("TERM"),
        case("SIGTERM before the first event", &handling("sys.exit(5)")).end("TERM"),
        case("SIGTERM handled, error", &handling("raise ValueError('in a signal handler')")).event("1").end("TERM"),
        case("SIGINT handled", &handling("sys.exit(0)")).event("1").end("INT"),
        case("SIGTERM handled, goes on", &handling("pass")).event("1").end("TERM"),
        case("SIGTERM at exit", "import atexit\natexit.register(print, 'at exit')\ndef handler(event, context): return event\n").event("1").end("TERM"),
        case("SIGTERM, exit, at exit", &(handling("sys.exit(0)") + "import atexit\natexit.register(print, 'at exit')\n")).event("1").end("TERM"),
        case("signal in the handler", "import os, signal\nsignal.signal(signal.SIGUSR1, lambda n, f: print('got', n))\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGUSR1)\n    return 'went on'\n").event("1").event("2"),
        case("alarm in the handler", "import signal\ndef on(n, f): raise TimeoutError('alarm')\nsignal.signal(signal.SIGALRM, on)\ndef handler(event, context):\n    signal.setitimer(signal.ITIMER_REAL, 0.05)\n    signal.pause()\n").event("1"),
        case("handlers as found", "import signal\ndef handler(event, context): return [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ)]\n").event("1"),
    ]
}

fn snapshots() -> Vec<Case> {
    let hooks = "\
import snapshot_restore_py as s
from snapshot_restore_py import register_before_snapshot, register_after_restore
def hook(name, *arguments, **keywords):
    print(name, arguments, keywords)
register_before_snapshot(hook, 'before 1')
register_before_snapshot(hook, 'before 2', 1, key=2)
register_after_restore(hook, 'after 1')
register_after_restore(hook, 'after 2', x=1)
@register_before_snapshot
def decorated(): print('decorated before')
@register_after_restore
def decorated_after(): print('decorated after')
def handler(event, context): return [len(s.get_before_snapshot()), len(s.get_after_restore()), decorated is not None]
";
    let failing = |when: &str, what: &str| {
        format!(
            "import sys\nfrom snapshot_restore_py import *\ndef bad():\n    {what}\nregister_{when}(print, 'first')\nregister_{when}(bad)\nregister_{when}(print, 'last')\ndef handler(event, context): return 1\n"
        )
    };
    let start = |case: Case| {
        case.variable("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
            .event("1")
    };
    let mut all = vec![
        start(case("hooks", hooks)),
        start(case("no hooks", "def handler(event, context): return 1\n")),
        case("hooks, no snapshot", hooks).event("1"),
        case("hooks, another type", hooks)
            .variable("AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency")
            .event("1"),
        case("hooks, other spelling", hooks)
            .variable("AWS_LAMBDA_INITIALIZATION_TYPE", "Snap-Start")
            .event("1"),
        start(case("restore/next answers 500", hooks)).restore_answers(500, 202),
        start(case("restore/next answers 202", hooks)).restore_answers(202, 202),
        start(case(
            "restore/error answers 500",
            &failing("after_restore", "1 / 0"),
        ))
        .restore_answers(200, 500),
        start(case(
            "init/error answers 500",
            &failing("before_snapshot", "1 / 0"),
        ))
        .init_error_answer(500, "no"),
        start(case("import error", "1 / 0\n")),
        start(case(
            "module as it is",
            "import snapshot_restore_py as s\ndef handler(event, context): return [s.__name__, sorted(n for n in dir(s) if 'register' in n or 'get_' in n)]\n",
        )),
        start(case("JSON frames", &failing("after_restore", "1 / 0")))
            .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .with_frames(),
    ];
    for (name, what) in [
        ("raises", "raise TypeError('bad hook')"),
        ("exits", "sys.exit(4)"),
        ("is interrupted", "raise KeyboardInterrupt"),
        ("takes an argument", "bad(1)"),
        ("raises Unicode", "raise ValueError('é')"),
    ] {
        for when in ["before_snapshot", "after_restore"] {
            all.push(start(case(&format!("{when} {name}"), &failing(when, what))));
        }
    }
    all
}

fn workers() -> Vec<Case> {
    let start = |case: Case| {
        case.variable("AWS_LAMBDA_MAX_CONCURRENCY", "1")
            .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
    };
    let echo = "import logging\nlogging.warning('import')\ndef handler(event, context):\n    logging.warning('handler')\n    if event == 'fail': 1 / 0\n    return event\n";
    vec![
        start(case("one worker", echo))
            .event("1")
            .event("\"fail\"")
            .event("3"),
        start(case("one worker, debug", echo))
            .variable("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
            .event("1"),
        start(case("one worker, frames", echo))
            .variable("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
            .with_frames()
            .event("1"),
        start(case("response refused", echo))
            .event("1")
            .answer(500, "no")
            .event("2"),
        start(case("error refused", echo))
            .event("\"fail\"")
            .answer(400, "no")
            .event("2"),
        start(case("response stale", echo))
            .event("1")
            .answer(410, "stale")
            .event("2"),
        start(case("init error", "1 / 0\n")),
        start(case("init error answered 403", "1 / 0\n")).init_error_answer(403, "{}"),
        start(case("init error answered 500", "1 / 0\n")).init_error_answer(500, "{}"),
        start(case("exits at import", "import sys\nsys.exit(3)\n")),
        case("no number", echo)
            .variable("AWS_LAMBDA_MAX_CONCURRENCY", "many")
            .event("1"),
        case("empty number", echo)
            .variable("AWS_LAMBDA_MAX_CONCURRENCY", "")
            .event("1"),
        case("zero", echo)
            .variable("AWS_LAMBDA_MAX_CONCURRENCY", "0")
            .event("1"),
        start(case("worker without JSON", echo))
            .variable("AWS_LAMBDA_LOG_FORMAT", "TEXT")
            .event("1"),
        case("another initialization type", echo)
            .variable("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
            .event("1"),
    ]
}

#[test]
fn process_signals() {
    compare("signals", signals());
}

#[test]
fn process_snapshots() {
    compare("snapshots", snapshots());
}

#[test]
fn process_workers() {
    compare("workers", workers());
}
