//! Interpreters without a GIL: it stays off, and the workers of Managed Instances are threads. To be run with such an
//! interpreter's executable as RIC_TEST_EXECUTABLE; with others there is nothing to test here.

use std::thread;
use std::time::{Duration, Instant};

use crate::fake_api::Request;
use crate::function::{Function, Running, function};
use crate::host;

fn free_threaded(source: &str) -> Option<Function> {
    function(source).filter(|f| f.executable.free_threaded)
}

fn threads(count: &str, source: &str) -> Option<Function> {
    Some(free_threaded(source)?.variable("AWS_LAMBDA_MAX_CONCURRENCY", count))
}

fn wait_for_answers(running: &Running, count: usize) -> Vec<Request> {
    let started = Instant::now();
    loop {
        let requests = running.requests();
        let answers: Vec<Request> = requests
            .iter()
            .filter(|r| r.line().starts_with("POST") && r.text() != "")
            .cloned()
            .collect();
        if answers.len() >= count {
            return answers;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{requests:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn stop(running: Running) -> crate::function::Outcome {
    host::signal(running.child.id(), "KILL");
    running.wait()
}

#[test]
fn the_gil_stays_off() {
    let source = "import sys, logging, asyncio\nasync def handler(event, context):\n    logging.warning('x')\n    \
        if event == 1: raise ValueError(event)\n    if event == 2: return {1}\n    return sys._is_gil_enabled()\n";
    let Some(f) = free_threaded(source) else {
        return;
    };
    let outcome = f.event("1").event("2").event("3").run();
    assert_eq!((outcome.posts()[2], outcome.stderr.as_str()), ("false", ""));
}

#[test]
fn handlers_run_at_the_same_time_in_one_process() {
    let source = "import os, sys, threading\nmeet = threading.Barrier(4)\ndef handler(event, context):\n    meet.wait(20)\n    \
        return [os.getpid(), threading.get_ident(), sys._is_gil_enabled(), context.aws_request_id]\n";
    let Some(f) = threads("4", source) else {
        return;
    };
    let f = (1..=8).fold(f, |f, event| f.event(&event.to_string()));
    let running = f.start();
    let answers = wait_for_answers(&running, 8);
    let mut threads: Vec<&str> = Vec::new();
    for answer in &answers {
        let parts: Vec<&str> = answer.text().trim_matches(['[', ']']).split(", ").collect();
        assert_eq!(parts[0], running.child.id().to_string());
        assert_eq!(parts[2], "false");
        let id = answer.line().split('/').nth_back(1).unwrap();
        assert_eq!(parts[3], format!("\"{id}\""));
        threads.push(parts[1]);
    }
    threads.sort_unstable();
    threads.dedup();
    assert_eq!(threads.len(), 4);
    let mut connections: Vec<usize> = answers.iter().map(|answer| answer.connection).collect();
    connections.sort_unstable();
    assert_eq!(connections, [0, 0, 1, 1, 2, 2, 3, 3]);
    stop(running);
}

#[test]
fn log_lines_belong_to_their_invocation() {
    let source = "import asyncio, logging, os, threading\nmeet = threading.Barrier(2)\nasync def handler(event, context):\n    \
        meet.wait(20)\n    logging.warning('%s is %s', event, context.aws_request_id)\n    meet.wait(20)\n    \
        await asyncio.to_thread(logging.warning, '%s too', context.aws_request_id)\n    \
        assert '_X_AMZN_TRACE_ID' not in os.environ\n    raise ValueError(context.aws_request_id)\n";
    let Some(f) = threads("2", source) else {
        return;
    };
    let f = f
        .event_with(b"1", &[("Lambda-Runtime-Trace-Id", "Root=1")])
        .event("2");
    let running = f.start();
    for answer in wait_for_answers(&running, 2) {
        let id = answer.line().split('/').nth_back(1).unwrap();
        let error = format!(
            "{{\"errorMessage\": \"{id}\", \"errorType\": \"ValueError\", \"requestId\": \"{id}\""
        );
        assert!(answer.text().starts_with(&error), "{}", answer.text());
    }
    let stdout = stop(running).stdout_without_times();
    for (event, id) in [("1", "request-1"), ("2", "request-2")] {
        for line in [
            format!("[WARNING]\tTIME\t{id}\t{event} is {id}\n"),
            format!("[WARNING]\tTIME\t{id}\t{id} too\n"),
        ] {
            assert!(stdout.contains(&line), "{line}{stdout}");
        }
    }
}

#[test]
fn a_thread_that_ends_is_replaced_and_the_others_go_on() {
    let source = "import os, sys\ndef handler(event, context):\n    if event == 1: sys.exit(3)\n    return os.getpid()\n";
    let Some(f) = threads("2", source) else {
        return;
    };
    let running = f.event("1").event("2").event("3").event("4").start();
    let answers = wait_for_answers(&running, 3);
    let pid = running.child.id().to_string();
    assert!(answers.iter().all(|answer| answer.text() == pid));
    let started = Instant::now();
    while running
        .requests()
        .iter()
        .all(|request| request.connection < 2)
    {
        assert!(started.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(stop(running).stderr, "");
}

#[test]
fn signal_handlers_run_in_the_main_thread_and_end_the_process() {
    let source = "import atexit, signal, sys, threading\ndef stop(*_):\n    print(threading.current_thread().name)\n    sys.exit(5)\n\
        signal.signal(signal.SIGTERM, stop)\natexit.register(print, 'at exit')\ndef handler(event, context): return 1\n";
    let Some(f) = threads("3", source) else {
        return;
    };
    let running = f.event("1").start();
    wait_for_answers(&running, 1);
    thread::sleep(Duration::from_millis(100));
    host::signal(running.child.id(), "TERM");
    let outcome = running.wait();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("MainThread\nat exit\n", "")
    );
    assert_eq!(outcome.code(), Some(5));
}

#[test]
fn the_initialisation_is_one_for_all() {
    let source = "print('init')\nraise ValueError('no')\n";
    let Some(f) = threads("4", source) else {
        return;
    };
    let outcome = f.start().wait();
    assert_eq!((outcome.code(), outcome.posts().len()), (Some(1), 1));
    assert_eq!(outcome.stdout.matches("init\n").count(), 1);
}

#[test]
fn many_threads_share_everything_that_is_made_on_demand() {
    // Logging, errors, coroutines and JSON's exact path are all needed by all of them for the first time at once.
    let source = "import threading\nmeet = threading.Barrier(8)\nfrom decimal import Decimal\n\
        async def late(event):\n    import logging\n    logging.warning('w')\n    \
        if event % 2: raise KeyError(event)\n    return {'e': Decimal(event), 'k': {str(n): [n] * 20 for n in range(200)}}\n\
        def handler(event, context):\n    meet.wait(20)\n    return late(event)\n";
    let Some(f) = threads("8", source) else {
        return;
    };
    let f = (0..160).fold(f, |f, event| f.event(&event.to_string()));
    let running = f.start();
    let answers = wait_for_answers(&running, 160);
    let errors = |answers: &[Request]| {
        let is_error = |r: &&Request| r.line().ends_with("/error");
        answers.iter().filter(is_error).count()
    };
    assert_eq!(errors(&answers), 80);
    for answer in &answers {
        let start = if answer.line().ends_with("/error") {
            "{\"errorMessage\": \""
        } else {
            "{\"e\": "
        };
        assert!(answer.text().starts_with(start), "{}", answer.text());
    }
    let outcome = stop(running);
    assert_eq!(outcome.stdout.matches("\tw\n").count(), 160);
    assert_eq!(outcome.stderr, "");
}
