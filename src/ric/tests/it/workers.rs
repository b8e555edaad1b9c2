//! Managed Instances: several workers, each a process with a connection of its own.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::function::{Function, function};
use crate::host;

const PID: &str = "import os\ndef handler(event, context):\n    if event == 'die': os._exit(3)\n    return os.getpid()\n";

fn workers(count: &str, source: &str) -> Option<Function> {
    let f = function(source)?.variable("AWS_LAMBDA_MAX_CONCURRENCY", count);
    // Without a GIL they would be threads.
    let free_threaded = f.executable.free_threaded;
    Some(if free_threaded {
        f.variable("PYTHON_GIL", "1")
    } else {
        f
    })
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_worker_has_its_connection_and_dies_with_the_parent() {
    let Some(f) = workers("3", PID) else { return };
    let running = f.event("1").event("1").event("1").start();
    wait_until("three workers wait again", || {
        running
            .requests()
            .iter()
            .filter(|r| r.line().starts_with("GET"))
            .count()
            == 6
    });
    let requests = running.requests();
    let mut connections: Vec<usize> = requests.iter().map(|request| request.connection).collect();
    connections.sort_unstable();
    connections.dedup();
    assert_eq!(connections, [0, 1, 2]);
    let pids: Vec<String> = requests
        .iter()
        .filter(|r| r.line().ends_with("/response"))
        .map(|r| r.text().to_owned())
        .collect();
    assert_eq!(pids.len(), 3);
    assert!(!pids.contains(&running.child.id().to_string()));
    host::signal(running.child.id(), "TERM");
    running.wait();
    wait_until("the workers are gone", || {
        pids.iter()
            .all(|pid| !Path::new("/proc").join(pid).join("exe").exists())
    });
}

#[test]
fn a_worker_that_dies_is_replaced() {
    let Some(f) = workers("1", PID) else { return };
    let running = f.event("\"die\"").event("1").start();
    wait_until("the second worker answered", || {
        running
            .requests()
            .iter()
            .any(|r| r.line().ends_with("/response"))
    });
    let lines: Vec<(usize, String)> = running
        .requests()
        .iter()
        .map(|r| (r.connection, r.line().to_owned()))
        .collect();
    let next = "GET /2018-06-01/runtime/invocation/next".to_owned();
    assert_eq!(lines[..2], [(0, next.clone()), (1, next)]);
    host::signal(running.child.id(), "KILL");
    running.wait();
}

#[test]
fn failed_initialisations_end_all() {
    for status in [202, 403] {
        let Some(f) = workers("2", "raise ValueError('no')\n") else {
            return;
        };
        let outcome = f.post(status, "").start().wait();
        assert_eq!(
            (outcome.code(), outcome.posts().len()),
            (Some(0), 2),
            "{status}"
        );
        assert!(
            outcome
                .requests
                .iter()
                .all(|r| r.line() == "POST /2018-06-01/runtime/init/error")
        );
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn refused_answers_do_not_end_a_worker() {
    let Some(f) = workers("1", "def handler(event, context): return event\n") else {
        return;
    };
    let running = f.event("1").event("2").post(500, "no").start();
    wait_until("both are answered", || running.requests().len() == 5);
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(outcome.posts(), ["1", "2"]);
    let line = "[WARNING]\tTIME\trequest-2\tFailed to post invocation response: This won't kill the Runtime loop\n";
    assert!(
        outcome.stdout_without_times().ends_with(line),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_refused_next_is_tried_again() {
    let Some(f) = workers("1", "def handler(event, context): return event\n") else {
        return;
    };
    let no = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
    let running = f
        .variable("AWS_LAMBDA_LOG_LEVEL", "INFO")
        .raw_event(no)
        .raw_event(no)
        .event("1")
        .start();
    wait_until("the event is answered", || running.requests().len() == 5);
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(outcome.posts(), ["1"]);
    for line in [
        "[WARNING]\tTIME\t\tInitial runtime_client.next() failed: Failed to get next\n",
        "[INFO]\tTIME\t\tRetrying runtime_client.next() [attempt 2]...\n",
        "[WARNING]\tTIME\t\tAttempt 2 failed: Failed to get next\n",
        "[INFO]\tTIME\t\tRetrying runtime_client.next() [attempt 3]...\n",
    ] {
        assert!(
            outcome.stdout_without_times().contains(line),
            "{line}{}",
            outcome.stdout
        );
    }
}

#[test]
fn the_pool_is_announced_once() {
    let Some(f) = workers("2", PID) else { return };
    let running = f
        .variable("AWS_LAMBDA_LOG_LEVEL", "DEBUG")
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .start();
    wait_until("the workers wait", || running.requests().len() == 2);
    host::signal(running.child.id(), "TERM");
    let expected = "{\"timestamp\": \"TIME\", \"level\": \"DEBUG\", \"message\": {\"event\": \"runtime_worker_pool_initializing\", \
        \"workerCount\": 2, \"executionEnvironmentMaxConcurrency\": 2}, \"logger\": \"root\", \"requestId\": \"\"}\n";
    assert_eq!(running.wait().stdout_without_times(), expected);
}
