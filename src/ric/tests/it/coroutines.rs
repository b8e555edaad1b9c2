//! `async def` handlers.

use crate::fake_api::Request;
use crate::function::function;

#[test]
fn the_result_of_a_coroutine_is_the_result() {
    let source = "import asyncio\nasync def handler(event, context):\n    await asyncio.sleep(0.001)\n    \
        if event == 1: return b'raw'\n    return {'e': event, 'id': context.aws_request_id}\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    assert_eq!(outcome.posts(), ["raw", r#"{"e": 2, "id": "request-2"}"#]);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn all_invocations_have_one_loop_and_tasks_go_on_in_the_next() {
    let source = "import asyncio\ndone = []\nasync def later():\n    await asyncio.sleep(0)\n    await asyncio.sleep(0)\n    done.append(1)\n\
        async def handler(event, context):\n    global task\n    loop = asyncio.get_running_loop()\n    \
        if event == 1: task = asyncio.create_task(later()); return [id(loop), done]\n    await task\n    return [id(loop), done]\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    let posts = outcome.posts();
    let (first, second) = (
        posts[0].split_once(", ").unwrap(),
        posts[1].split_once(", ").unwrap(),
    );
    assert_eq!(first.0, second.0);
    assert_eq!((first.1, second.1), ("[]]", "[1]]"));
}

#[test]
fn context_variables_come_in_and_do_not_leak() {
    let source = "import contextvars\nv = contextvars.ContextVar('v', default='default')\n\
        def handler(event, context):\n    return inner(event)\n\
        async def inner(event):\n    before = v.get()\n    v.set(event)\n    return [before, v.get()]\nv.set('import')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    assert_eq!(outcome.posts(), [r#"["import", 1]"#, r#"["import", 2]"#]);
}

#[test]
fn errors_of_coroutines_are_ordinary_errors() {
    let source = "import asyncio\nasync def handler(event, context):\n    await asyncio.sleep(0)\n    await fail(event)\n\
        async def fail(event):\n    if event == 1: raise ValueError('no')\n    \
        if event == 2: asyncio.current_task().cancel(); await asyncio.sleep(1)\n    \
        if event == 3: return {1, 2}\n    raise asyncio.CancelledError('c')\n";
    let Some(f) = function(source) else { return };
    let path = f.folder.join("app.py").display().to_string();
    let outcome = f
        .event("1")
        .event("2")
        .event("3")
        .event("4")
        .event("1")
        .run();
    let posts = outcome.posts();
    let line = |line: u32, name: &str, text: &str| {
        format!("\"  File \\\"{path}\\\", line {line}, in {name}\\n    {text}\\n\"")
    };
    let trace = [
        line(4, "handler", "await fail(event)"),
        line(6, "fail", "if event == 1: raise ValueError('no')"),
    ];
    for index in [0, 4] {
        let expected = format!(
            "{{\"errorMessage\": \"no\", \"errorType\": \"ValueError\", \"requestId\": \"request-{}\", \"stackTrace\": [{}]}}",
            index + 1,
            trace.join(", ")
        );
        assert_eq!(posts[index], expected);
    }
    assert!(
        posts[1].contains(r#""errorType": "CancelledError""#),
        "{}",
        posts[1]
    );
    assert_eq!(posts[2], "null");
    assert!(
        posts[3].contains(r#""errorMessage": "c", "errorType": "CancelledError""#),
        "{}",
        posts[3]
    );
    assert_eq!(outcome.status, None);
}

#[test]
fn what_ends_the_process_ends_it_in_a_coroutine_too() {
    let source = "import sys\nasync def handler(event, context): sys.exit(6)\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    assert_eq!((outcome.code(), outcome.posts().len()), (Some(6), 0));
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_signal_handler_that_raises_cancels_what_runs() {
    let source = "import asyncio, signal\ndef late(*_): raise TimeoutError('late')\nsignal.signal(signal.SIGALRM, late)\n\
        async def handler(event, context):\n    if event == 1:\n        signal.setitimer(signal.ITIMER_REAL, 0.05)\n        \
        try: await asyncio.sleep(30)\n        except asyncio.CancelledError: print('cancelled'); raise\n    \
        return len(asyncio.all_tasks())\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").run();
    let posts = outcome.posts();
    assert!(
        posts[0].contains(r#""errorMessage": "late", "errorType": "TimeoutError""#),
        "{}",
        posts[0]
    );
    assert_eq!(posts[1], "1");
    assert!(outcome.stdout.starts_with("cancelled\n"));
}

#[test]
fn a_coroutine_may_return_a_generator() {
    let source = "async def handler(event, context): return (part for part in ['a', 'b'])\n";
    let Some(f) = function(source) else { return };
    assert_eq!(f.event("1").run().requests[1].chunks, [1, 1]);
}

#[test]
fn asynchronous_generators_stream_from_one_task() {
    let source = "import asyncio, contextvars\nv = contextvars.ContextVar('v')\nasync def handler(event, context):\n    \
        task = asyncio.current_task()\n    v.set('kept')\n    yield 'a'\n    await asyncio.sleep(0.001)\n    \
        yield v.get()\n    yield str(task is asyncio.current_task())\n    if event == 2: raise KeyError('mid')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("2").event("1").run();
    let responses: Vec<&Request> = outcome
        .requests
        .iter()
        .filter(|r| r.line().ends_with("/response"))
        .collect();
    assert_eq!(responses.len(), 3);
    for (index, response) in responses.iter().enumerate() {
        assert_eq!(response.text(), "akeptTrue");
        assert_eq!(response.chunks, [1, 4, 4]);
        let trailers = response.trailers.as_deref().unwrap();
        let fails = trailers.starts_with("Lambda-Runtime-Function-Error-Type: KeyError\n");
        assert_eq!((fails, trailers.is_empty()), (index == 1, index != 1));
    }
    assert_eq!(outcome.stderr, "");
}

#[test]
fn an_asynchronous_generator_fails_before_its_first_piece() {
    let source = "async def handler(event, context):\n    raise ValueError('early')\n    yield\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").run();
    assert!(outcome.requests[1].line().ends_with("/error"));
    assert!(outcome.posts()[0].contains("in handler\\n    raise ValueError('early')\\n\"]"));
    assert_eq!(
        outcome.posts()[0].matches("File").count(),
        1,
        "{}",
        outcome.posts()[0]
    );
}

#[test]
fn a_peer_that_goes_away_closes_an_asynchronous_generator() {
    let source = "import asyncio\nasync def handler(event, context):\n    try:\n        while event:\n            \
        yield b'x' * 1000\n            await asyncio.sleep(0.01)\n        yield b'end'\n    finally:\n        \
        await asyncio.sleep(0)\n        print('closed', event, len(asyncio.all_tasks()))\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("0").chunk_limit(3).run();
    assert!(
        outcome.stdout.ends_with("\nclosed 1 1\nclosed 0 1\n"),
        "{}",
        outcome.stdout
    );
    assert_eq!((outcome.status, outcome.stderr.as_str()), (None, ""));
}

#[test]
fn nobody_imports_asyncio_for_others() {
    let source = "import sys\ndef handler(event, context):\n    \
        if event: return 'asyncio' in sys.modules\n    return (str('asyncio' in sys.modules) for _ in '1')\n";
    let Some(f) = function(source) else { return };
    let outcome = f.event("1").event("0").event("1").run();
    assert_eq!(outcome.posts(), ["false", "False", "false"]);
}
