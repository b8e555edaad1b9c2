//! Where ours may differ from the official client: every difference that is allowed, and why. A difference that is not
//! here is a failure, and an entry whose difference is not seen any more is one, too.

use std::ops::RangeInclusive;

use crate::compare::Difference;

/// A difference that is allowed.
#[derive(Debug)]
pub struct Allowed {
    /// Area, case and event; `*` stands for anything, here and in the texts.
    pub place: &'static str,
    /// The 13 of Python 3.13.
    pub python: RangeInclusive<u32>,
    /// What the official client does differently: each part that differs, as its name, a colon and the text.
    pub official: &'static str,
    /// What ours does.
    pub ours: &'static str,
    /// Why ours does not do the same.
    #[expect(
        dead_code,
        reason = "for who reads the list, and in the message about a stale entry"
    )]
    pub reason: &'static str,
}

impl Allowed {
    pub fn covers(&self, difference: &Difference) -> bool {
        matches(self.place, &difference.place)
            && matches(self.official, &difference.official)
            && matches(self.ours, &difference.ours)
    }
}

/// Every version.
const ALL: RangeInclusive<u32> = 10..=15;
/// Those whose handlers of signals wait for the next event.
const EARLIER: RangeInclusive<u32> = 10..=11;
/// Those that leave Unicode as it is, and take events in a thread.
const LATER: RangeInclusive<u32> = 12..=15;
/// Those whose end waits for such a thread.
const THREAD_KEEPS: RangeInclusive<u32> = 13..=15;

pub const ALLOWED: &[Allowed] = &[
    Allowed {
        place: "json out: unescaped/*",
        python: ALL,
        official: "Stderr: Traceback*UnicodeEncodeError: *surrogates not allowed\n\nExit: exit status: 1\n",
        ours: "Stdout: [ERROR] Runtime.MarshalError: *surrogates not allowed*POST */error HTTP/1.1*",
        reason: "a lone surrogate in a result ends the official client's process; nothing is posted",
    },
    Allowed {
        place: "errors: */surrogate_text",
        python: ALL,
        official: "Stderr: Traceback*UnicodeEncodeError: *surrogates not allowed\n\nExit: exit status: 1\n",
        ours: "Stdout: *lone *surrogate*POST */error HTTP/1.1*\"lone \\ud800 surrogate\"*",
        reason: "a lone surrogate in an error's text ends the official client's process; nothing is posted",
    },
    Allowed {
        place: "errors: */str_*",
        python: ALL,
        official: "Stderr: Traceback*Exit: exit status: 1\n",
        ours: "Stdout: *<Str*: str() failed>*POST */error HTTP/1.1*\"<Str*: str() failed>\"*",
        reason: "an exception whose str() fails ends the official client's process; nothing is posted",
    },
    Allowed {
        place: "errors: */recursion",
        python: ALL,
        official: "*[Previous line repeated * more times]*maximum recursion depth exceeded*",
        ours: "*[Previous line repeated * more times]*maximum recursion depth exceeded*",
        reason: "ours has fewer Python frames below the handler, so the handler can go a few deeper",
    },
    Allowed {
        place: "errors: */0",
        python: ALL,
        official: "Stdout: [ERROR] TypeError: *RUNTIME/site-packages/awslambdaric/bootstrap.py\", line * in handle_event_request*",
        ours: "Stdout: [ERROR] TypeError: *\rTraceback (most recent call last):\n\nRequests: *\"stackTrace\": []}*",
        reason: "a handler that cannot be called has no frame of the function; the official client shows one of its own",
    },
    Allowed {
        place: "context: headers/*Deadline-Ms\", \"+5*",
        python: ALL,
        official: "Requests: *, \"5\"]*",
        ours: "Requests: *, \"0\"]*",
        reason: "a sign is no part of a time; the platform sends digits",
    },
    Allowed {
        place: "context: headers/*Deadline-Ms\", \"99999999999999*",
        python: ALL,
        official: "Requests: *, \"7766279631451\"]*",
        ours: "Requests: *, \"99999999999999\"]*",
        reason: "the official client's number of nanoseconds overflows in the year 2262",
    },
    Allowed {
        place: "context: headers/*Context\", \"*",
        python: ALL,
        official: "Stdout: [ERROR] AttributeError: * has no attribute 'get'\rTraceback (most recent call last):*awslambdaric/lambda_context.py*",
        ours: "Stdout: [ERROR] AttributeError: * has no attribute 'get'\rTraceback (most recent call last):*<_lambda_ric/context.py>*",
        reason: "a client context that is no object: both show frames of their own, which differ",
    },
    Allowed {
        place: "context: headers/*Identity\", \"*",
        python: ALL,
        official: "Stdout: [ERROR] AttributeError: * has no attribute 'get'\rTraceback (most recent call last):*awslambdaric/lambda_context.py*",
        ours: "Stdout: [ERROR] AttributeError: * has no attribute 'get'\rTraceback (most recent call last):*<_lambda_ric/context.py>*",
        reason: "an identity that is no object: both show frames of their own, which differ",
    },
    Allowed {
        place: "init handlers: */{}",
        python: ALL,
        official: "Stdout: [ERROR] TypeError: *RUNTIME/site-packages/awslambdaric/bootstrap.py\", line * in handle_event_request*",
        ours: "Stdout: [ERROR] TypeError: *\rTraceback (most recent call last):\n\nRequests: *\"stackTrace\": []}*",
        reason: "a handler that cannot be called has no frame of the function; the official client shows one of its own",
    },
    Allowed {
        place: "init handlers: handler \"app.händler\"/init",
        python: LATER,
        official: "Requests: *{\"errorMessage\": \"Handler 'h\\xe4ndler' missing*",
        ours: "Requests: *{\"errorMessage\": \"Handler 'händler' missing*",
        reason: "the official client posts an init error as Latin-1, which is no valid JSON",
    },
    Allowed {
        place: "init handlers: handler \"app.😀\"/init",
        python: LATER,
        official: "Stderr: Traceback*UnicodeEncodeError: 'latin-1' codec*",
        ours: "Requests: *POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"Handler '😀' missing*",
        reason: "the official client posts an init error as Latin-1, and not at all if it has other characters",
    },
    Allowed {
        place: "init modules: *syntax error with Unicode/init",
        python: LATER,
        official: "Requests: *POST /2018-06-01/runtime/init/error*gr\\xf6\\xdfe = = '\\xfc'*",
        ours: "Requests: *POST /2018-06-01/runtime/init/error*größe = = 'ü'*",
        reason: "the official client posts an init error as Latin-1, which is no valid JSON",
    },
    Allowed {
        place: "init modules: *latin-1 text/init",
        python: LATER,
        official: "Requests: *POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"\\xe9\"*",
        ours: "Requests: *POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"é\"*",
        reason: "the official client posts an init error as Latin-1, which is no valid JSON",
    },
    Allowed {
        place: "init modules: *Unicode text/init",
        python: LATER,
        official: "Stderr: Traceback*UnicodeEncodeError: 'latin-1' codec*",
        ours: "Requests: *POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"日本語\"*",
        reason: "the official client posts an init error as Latin-1, and not at all if it has other characters",
    },
    Allowed {
        place: "init modules: *Unicode type/init",
        python: ALL,
        official: "Requests: *POST /2018-06-01/runtime/init/error*Function-Error-Type: Fehl\\xe9r*",
        ours: "Requests: *POST /2018-06-01/runtime/init/error*Function-Error-Type: Fehlér*",
        reason: "the official client sends the type as Latin-1 in the header, and in the body, where it is no valid JSON",
    },
    Allowed {
        place: "init modules: *lone surrogate/init",
        python: ALL,
        official: "*Stderr: Traceback*UnicodeEncodeError: *surrogates not allowed\n*",
        ours: "*\\ud800*POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"\\ud800\"*",
        reason: "a lone surrogate in an error's text ends the official client before it has reported the error",
    },
    Allowed {
        place: "init modules: *str raises/init",
        python: ALL,
        official: "Stderr: Traceback*ZeroDivisionError: division by zero\n*",
        ours: "*POST /2018-06-01/runtime/init/error*{\"errorMessage\": \"<E: str() failed>\"*",
        reason: "an exception whose str() fails ends the official client before it has reported the error",
    },
    Allowed {
        place: "init modules: *recursion/init",
        python: LATER,
        official: "*[Previous line repeated * more times]*maximum recursion depth exceeded*",
        ours: "*[Previous line repeated * more times]*maximum recursion depth exceeded*",
        reason: "ours has fewer Python frames below the module, so the module can go a few deeper",
    },
    Allowed {
        place: "init: python -m without a handler/init",
        python: ALL,
        official: "Stderr: *IndexError: list index out of range\n\nDuring handling*ValueError: Handler not set\n\n",
        ours: "Stderr: *ValueError: Handler not set\n\n",
        reason: "the exception that led to the one that counts is of no interest",
    },
    Allowed {
        place: "init: *PYTHONUTF8 off/1",
        python: ALL,
        official: "Stderr: *UnicodeEncodeError: 'ascii' codec*",
        ours: "Stdout: [ERROR] UnicodeEncodeError: *\\xa0*POST */error*",
        reason: "an error log that standard output cannot show ends the official client's process",
    },
    Allowed {
        place: "init: empty address/init",
        python: ALL,
        official: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next*",
        ours: "Stderr: *KeyError: 'AWS_LAMBDA_RUNTIME_API'\n\n",
        reason: "an empty address is none",
    },
    Allowed {
        place: "init: *no*/init",
        python: ALL,
        official: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint\n*",
        ours: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint: *",
        reason: "ours says why",
    },
    Allowed {
        place: "requests: * answered 410/*",
        python: ALL,
        official: "Stderr: *RuntimeError: Failed to post invocation *Requests: *POST *",
        ours: "Requests: *POST *GET /2018-06-01/runtime/invocation/next *",
        reason: "a stale invocation is no fault of the function: ours goes on with the next",
    },
    Allowed {
        place: "requests: * answered 413/*",
        python: ALL,
        official: "Stderr: *RuntimeError: Failed to post invocation *Requests: *POST *",
        ours: "Requests: *POST *GET /2018-06-01/runtime/invocation/next *",
        reason: "the caller of a result that is too large is told by the platform: ours goes on with the next event",
    },
    Allowed {
        place: "requests: * answered 41*/end",
        python: ALL,
        official: "Exit: exit status: 1 after 1 events\n",
        ours: "Exit: waiting after 2 events\n",
        reason: "as above",
    },
    Allowed {
        place: "requests: status 40*/raw",
        python: ALL,
        official: "",
        ours: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. Http Response code: 40*\n\nStderr: *",
        reason: "the official client crashes on an answer without a content type before it looks at the status",
    },
    Allowed {
        place: "requests: status 40*/end",
        python: ALL,
        official: "Exit: signal: 11 (SIGSEGV) after 1 events\n",
        ours: "Exit: exit status: 1 after 1 events\n",
        reason: "as above",
    },
    Allowed {
        place: "requests: closed in the head/raw",
        python: ALL,
        official: "",
        ours: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint: *",
        reason: "the official client takes a head that breaks off for one without a content type, and crashes",
    },
    Allowed {
        place: "requests: closed in the head/end",
        python: ALL,
        official: "Exit: signal: 11 (SIGSEGV) after 1 events\n",
        ours: "Exit: exit status: 1 after 1 events\n",
        reason: "as above",
    },
    Allowed {
        place: "requests: no content type/raw",
        python: ALL,
        official: "",
        ours: "Requests: *POST /2018-06-01/runtime/invocation/r/response *\r\n\r\n5on connection 1\nGET *",
        reason: "the official client crashes; ours takes the event for JSON",
    },
    Allowed {
        place: "requests: no content type/end",
        python: ALL,
        official: "Exit: signal: 11 (SIGSEGV) after 1 events\n",
        ours: "Exit: waiting after 2 events\n",
        reason: "as above",
    },
    Allowed {
        place: "requests: deadline zero/raw",
        python: ALL,
        official: "Stderr: *Assertion `ms > 0' failed.\n\n",
        ours: "Requests: *POST /2018-06-01/runtime/invocation/r/response *",
        reason: "the official client aborts; with ours no time remains",
    },
    Allowed {
        place: "requests: deadline zero/end",
        python: ALL,
        official: "Exit: signal: 6 (SIGABRT) after 1 events\n",
        ours: "Exit: waiting after 2 events\n",
        reason: "as above",
    },
    Allowed {
        place: "requests: */raw",
        python: LATER,
        official: "*Stderr: Traceback*RuntimeError: Failed to get next\n\nDuring handling of the above exception*FaultException: *",
        ours: "*Stderr: Traceback (most recent call last):\nawslambdaric.lambda_runtime_exception.FaultException: *",
        reason: "the exception that led to the one that counts is of no interest",
    },
    Allowed {
        place: "logging changes: print a surrogate, */0",
        python: ALL,
        official: "*surrogates not allowed*RUNTIME/site-packages/awslambdaric/bootstrap.py*in write*",
        ours: "*surrogates not allowed*<_lambda_ric/start.py>*in write*",
        reason: "an error below print: both show a frame of their own, which differ",
    },
    Allowed {
        place: "logging changes: log a surrogate, */0",
        python: ALL,
        official: "*UnicodeEncodeError: *",
        ours: "Stdout: [WARNING]\tTIME\trequest-1\tlone \\ud800\n*",
        reason: "a log line with a lone surrogate is an error of the function with the official client; ours escapes it",
    },
    Allowed {
        place: "logging changes: log a surrogate, JSON*/0",
        python: ALL,
        official: "Frames: *UnicodeEncodeError*",
        ours: "Frames: a55a0012 *\"message\": \"lone \\ud800\"*",
        reason: "as above",
    },
    Allowed {
        place: "logging changes: an error in a log call, */0",
        python: ALL,
        official: "*RUNTIME/site-packages/awslambdaric/bootstrap.py*in emit*",
        ours: "*<_lambda_ric/logs.py>*in emit*",
        reason: "an error below a log call: both show frames of their own, which differ",
    },
    Allowed {
        place: "names: make_error wrapped/*",
        python: ALL,
        official: "Stdout: called make_error *",
        ours: "Stdout: [ERROR] *",
        reason: "no agent replaces make_error; ours makes both of its reports in one step",
    },
    Allowed {
        place: "json out: */(i for i in [1])",
        python: ALL,
        official: "Stdout: *Object of type generator is not JSON serializable*",
        ours: "Stdout: *Object of type int is not bytes or str*",
        reason: "a generator streams its response; the official client has no streaming",
    },
    Allowed {
        place: "init: init error, not an address/init",
        python: ALL,
        official: "Stderr: *socket.gaierror: *",
        ours: "Stderr: *OSError: *",
        reason: "ours finds out before it asks for the name",
    },
    Allowed {
        place: "init: PYTHONUTF8 off/end",
        python: ALL,
        official: "Exit: exit status: 1 after 1 events\n",
        ours: "Exit: waiting after 1 events\n",
        reason: "an error log that standard output cannot show ends the official client's process",
    },
    Allowed {
        place: "snapshots: restore/next answers */init",
        python: ALL,
        official: "*[ERROR] LambdaRuntimeClientError: *RUNTIME/site-packages/awslambdaric/lambda_runtime_client.py*",
        ours: "*[ERROR] LambdaRuntimeClientError: *<_lambda_ric/snapshot.py>*",
        reason: "an error of the client itself: both show frames of their own, which differ",
    },
    Allowed {
        place: "snapshots: *init",
        python: ALL,
        official: "*awslambdaric/lambda_runtime_hooks_runner.py*in run_*app.py*",
        ours: "*Traceback (most recent call last):\r\u{a0}\u{a0}File \"*app.py\", line 4, in bad\r*",
        reason: "the frame that calls a hook is the official client's own",
    },
    Allowed {
        place: "snapshots: JSON frames/init",
        python: ALL,
        official: "*awslambdaric/lambda_runtime_hooks_runner.py*in run_*app.py*",
        ours: "*\"stackTrace\": [\"  File \\\"*app.py\\\", line 4, in bad\\n*",
        reason: "as above",
    },
    Allowed {
        place: "workers: * refused/*",
        python: ALL,
        official: "*Requests: *on connection 2\n*",
        ours: "*Requests: *on connection 1\n*",
        reason: "the official client opens another connection after a post that was refused",
    },
    Allowed {
        place: "workers: response stale/1",
        python: ALL,
        official: "*Http response code: 410. stale\n*This won't kill the Runtime loop*",
        ours: "*Http response code: 410. stale\n\nRequests: *",
        reason: "a stale invocation needs no warning of its own",
    },
    Allowed {
        place: "workers: response stale/2",
        python: ALL,
        official: "Requests: on connection 2\n*",
        ours: "Requests: on connection 1\n*",
        reason: "the official client opens another connection after a post that was refused",
    },
    Allowed {
        place: "workers: init error answered 500/init",
        python: ALL,
        official: "Stderr: Process ForkProcess-1:\nTraceback *LambdaRuntimeClientError: *",
        ours: "Stderr: Traceback *LambdaRuntimeClientError: *",
        reason: "the name of the process comes from multiprocessing, which ours does without",
    },
    Allowed {
        place: "signals: SIG*/end",
        python: EARLIER,
        official: "Exit: waiting after * events\n",
        ours: "Exit: *: * after * events\n",
        reason: "up to 3.11 the official client's Python handlers of signals do not run while it waits for an event",
    },
    Allowed {
        place: "signals: SIG*/end",
        python: THREAD_KEEPS,
        official: "Exit: waiting after * events\n",
        ours: "Exit: *: * after * events\n",
        reason: "the official client's process cannot end while a thread waits for an event",
    },
    Allowed {
        place: "signals: SIGTERM, exit, at exit/1",
        python: THREAD_KEEPS,
        official: "Stdout: signal 15\n\n",
        ours: "Stdout: signal 15\nat exit\n\n",
        reason: "the official client's process cannot end while a thread waits for an event",
    },
    Allowed {
        place: "signals: SIG*",
        python: EARLIER,
        official: "",
        ours: "*",
        reason: "up to 3.11 the official client's Python handlers of signals do not run while it waits for an event",
    },
    Allowed {
        place: "signals: SIGTERM handled, error/1",
        python: LATER,
        official: "Stderr: *ValueError: in a signal handler\n\nDuring handling of the above exception*FaultException: *",
        ours: "Stderr: *ValueError: in a signal handler\n\n",
        reason: "the official client takes an error of a signal handler for one of its own",
    },
    Allowed {
        place: "requests: */raw",
        python: EARLIER,
        official: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint\n\n",
        ours: "Stdout: [ERROR] [TIME] LAMBDA_RUNTIME Failed to get next invocation. No Response from endpoint: *",
        reason: "ours says why",
    },
    Allowed {
        place: "requests: a generator/*",
        python: ALL,
        official: "Stdout: *Object of type generator is not JSON serializable*",
        ours: "Requests: *Lambda-Runtime-Function-Response-Mode: streaming\r\n*part\r\n*and part\r\n0\r\n*",
        reason: "a generator streams its response; the official client has no streaming",
    },
    Allowed {
        place: "requests: a coroutine/*",
        python: ALL,
        official: "Stdout: *Object of type coroutine is not JSON serializable*",
        ours: "Requests: *\r\n\r\n5on connection *",
        reason: "the official client runs no coroutines",
    },
];

/// Whether a text has the form of a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.split_once(piece) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[test]
fn a_star_stands_for_anything() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*e*c", "abcde", false),
        ("*", "", true),
        ("ab*b", "ab", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
