//! Handlers that fail: what is reported, to X-Ray too, and what is logged.

use crate::case::{Case, Start, case};
use crate::compare::compare;
use crate::corpus::random::Random;

const WAYS: &str = include_str!("errors.py");

/// The functions of errors.py.
fn ways() -> Vec<&'static str> {
    let definitions = WAYS.lines().filter_map(|line| line.strip_prefix("def "));
    let names = definitions.map(|line| line.split('(').next().unwrap_or_default().trim());
    names.filter(|name| *name != "handler").collect()
}

/// Texts that cannot be shown.
const UNSPEAKABLE: [&str; 3] = ["surrogate_text", "str_raises", "str_returns_int"];

/// Those that the official client survives.
fn survivable() -> impl Iterator<Item = &'static str> {
    let until_exit = ways()
        .into_iter()
        .take_while(|way| *way != "exit_in_function");
    until_exit.filter(|way| !UNSPEAKABLE.contains(way))
}

/// The same in another folder, through a package, and out of a file whose name looks like the runtime's own.
fn in_files() -> Vec<Case> {
    let other = "def deeper():\n    raise ValueError('from another file')\n";
    let handler = "import os\ndef handler(event, context):\n    return one.run(event)\n";
    let one = "def run(event):\n    if event == 'close':\n        1 / 0\n    import package.bootstrap as b\n    return b.deeper()\n";
    let package = case("package", "")
        .file("package/__init__.py", "")
        .file("package/one.py", one)
        .file("package/bootstrap.py", other)
        .file(
            "package/function.py",
            &format!("from package import one\n{handler}"),
        );
    let direct = case("own bootstrap.py", "")
        .file("own/bootstrap.py", other)
        .file("own/__init__.py", "");
    vec![
        package
            .handler("package.function.handler")
            .event("\"close\"")
            .event("\"far\""),
        direct.handler("own.bootstrap.deeper").event("0"),
        case(
            "own bootstrap.py in front",
            "import own.bootstrap\nhandler = lambda e, c: own.bootstrap.deeper()\n",
        )
        .file("own/bootstrap.py", other)
        .event("1"),
        case(
            "folder removed",
            "import os, shutil\ndef handler(event, context):\n    os.chdir('/'); 1 / 0\n",
        )
        .event("1"),
    ]
}

/// Handlers that are no functions, or take other arguments.
fn handlers() -> Vec<Case> {
    [
        ("not callable", "handler = 5\n"),
        ("none", "handler = None\n"),
        ("a class", "class handler:\n    def __init__(self, event, context): self.event = event\n"),
        ("a class with __call__", "class C:\n    def __call__(self, event, context): return event\nhandler = C()\n"),
        ("no arguments", "def handler(): pass\n"),
        ("one argument", "def handler(event): pass\n"),
        ("three arguments", "def handler(event, context, more): pass\n"),
        ("any arguments", "def handler(*arguments): return len(arguments)\n"),
        ("keyword only", "def handler(*, event, context): pass\n"),
        ("partial", "import functools\nhandler = functools.partial(lambda a, e, c: [a, e], 'a')\n"),
        ("bound method", "class C:\n    def m(self, event, context): return event\nhandler = C().m\n"),
        ("builtin", "handler = print\n"),
        ("wrapped", "import functools\ndef f(e, c): return 1 / e\n@functools.wraps(f)\ndef handler(*a): return f(*a)\n"),
        ("raises a class", "def handler(event, context): raise event\n"),
        ("module attribute", "def __getattr__(name):\n    if name == 'handler': return lambda e, c: name\n    raise AttributeError(name)\n"),
        ("with a changed excepthook", "import sys\nsys.excepthook = lambda *a: print('hook')\ndef handler(e, c): 1 / 0\n"),
    ]
    .map(|(name, source)| case(name, source).event("0"))
    .into()
}

/// Exceptions of random classes and texts, raised some calls deep, one while another is handled.
fn random() -> Case {
    let source = "\
def run(kind, text, depth, before):
    if depth:
        return run(kind, text, depth - 1, before)
    if before is None:
        raise kind(text)
    try:
        raise before('before')
    except before as error:
        if depth % 2:
            raise kind(text) from error
        raise kind(text)
def handler(event, context):
    exec(event.decode())
";
    let mut random = Random::new(5);
    let mut events = Vec::new();
    for _ in 0..150 {
        let kind = random.of(&[
            "ValueError",
            "KeyError",
            "OSError",
            "type('Größe', (Exception,), {})",
            "type('X', (KeyError, ValueError), {})",
            "LookupError",
            "StopIteration",
            "UnicodeError",
        ]);
        let before = random.of(&["None", "None", "ValueError", "type('B', (Exception,), {})"]);
        let (text, depth) = (random.expression(1), random.below(6));
        events.push(format!(
            "import decimal; D = decimal.Decimal; run({kind}, {text}, {depth}, {before})"
        ));
    }
    case("random", source).texts(events).resuming()
}

#[test]
fn errors() {
    let most = |name: &str| case(name, WAYS).texts(survivable());
    let mut cases = vec![
        case("text", WAYS).texts(ways()).resuming(),
        most("framed").with_frames(),
        most("json").variable("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        most("json framed")
            .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .with_frames(),
        most("escaped")
            .start(Start::Module)
            .variable("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
        case("json unspeakable", WAYS)
            .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .texts(UNSPEAKABLE)
            .resuming(),
        random(),
    ];
    cases.extend(in_files());
    cases.extend(handlers());
    compare("errors", cases);
}
