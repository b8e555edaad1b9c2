//! Signals while the runtime waits for an event.

use std::os::unix::process::ExitStatusExt;

use crate::function::{function, without_times};
use crate::host;

#[test]
fn python_handlers_run_while_the_runtime_waits() {
    let source = "import signal, sys\ndef stop(number, frame):\n    print('closing', number)\n    sys.exit(5)\n\
        signal.signal(signal.SIGTERM, stop)\ndef handler(event, context): pass\n";
    let Some(f) = function(source) else { return };
    let mut running = f.event("1").start();
    running.wait_until_idle();
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.code()),
        ("closing 15\n", Some(5))
    );
}

#[test]
fn a_handler_that_returns_lets_the_wait_go_on() {
    let source = "import signal\nsignal.signal(signal.SIGUSR1, lambda *_: print('seen'))\ndef handler(event, context): pass\n";
    let Some(f) = function(source) else { return };
    let mut running = f.event("1").start();
    running.wait_until_idle();
    for _ in 0..3 {
        host::signal(running.child.id(), "USR1");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(without_times(&outcome.stdout), "seen\n".repeat(3));
    assert_eq!(outcome.status.unwrap().signal(), Some(15));
    assert_eq!(outcome.requests.len(), 3, "the request is not sent again");
}

#[test]
fn signals_without_a_handler_do_what_they_always_do() {
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let Some(f) = function("def handler(event, context): pass\n") else {
            return;
        };
        let mut running = f.start();
        running.wait_until_idle();
        host::signal(running.child.id(), name);
        assert_eq!(
            running.wait().status.unwrap().signal(),
            Some(number),
            "{name}"
        );
    }
}

#[test]
fn handlers_run_without_blocked_signals_and_on_the_main_thread() {
    let source = "import signal, threading\ndef handler(event, context):\n    \
        return [len(signal.pthread_sigmask(signal.SIG_BLOCK, [])), threading.active_count(), \
        threading.current_thread() is threading.main_thread()]\n";
    let Some(f) = function(source) else { return };
    assert_eq!(f.event("1").run().posts(), ["[0, 1, true]"]);
}

#[test]
fn other_threads_go_on_while_the_runtime_waits() {
    let source = "import threading, time\ndef work():\n    time.sleep(0.2)\n    print('worked', flush=True)\n    \
        import os\n    os._exit(9)\ndef handler(event, context):\n    threading.Thread(target=work).start()\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").start().wait();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.code()),
        ("worked\n", Some(9))
    );
}
