//! Initialisation: handler strings, modules that cannot be imported, and what is printed and exited with.

use crate::case::{Api, Case, Start, case};
use crate::compare::compare;

const HANDLERS: &[&str] = &[
    "app",
    "",
    ".",
    "..",
    "app.",
    ".handler",
    ".app.handler",
    "..handler",
    "app..handler",
    "app.nope",
    "app.C.handler",
    "nope.handler",
    "nope.sub.handler",
    "package.sub.handler",
    "package.missing.handler",
    "package/sub.handler",
    "a/b/c.my_handler",
    "a/b\\c.handler",
    "/app.handler",
    "./app.handler",
    "app/.handler",
    "sys.exit",
    "time.sleep",
    "builtins.len",
    "dir/sys.my_handler",
    "package.sys.my_handler",
    "json.dumps",
    "app handler",
    "app.handler ",
    " app.handler",
    "äpp.handler",
    "app.händler",
    "app.\u{1f600}",
    "app.handler\n",
    "app.py.handler",
    "app.__name__",
    "app.__class__",
    "app.C.method",
    "os.path.join",
    "app-with-dash.handler",
    "package.handler",
    "App.handler",
    "app:handler",
    "app.handler()",
    "__main__.handler",
    "_lambda.handler",
    "%s.%d",
    "'.\"",
];

fn handlers() -> Vec<Case> {
    let with = |handler: &&str| {
        case(&format!("handler {handler:?}"), "class C:\n    def method(event, context): pass\ndef handler(event, context): return 'app'\n")
            .file("package/__init__.py", "def handler(event, context): return 'package'\n")
            .file("package/sub.py", "def handler(event, context): return 'sub'\n")
            .file("package/sys.py", "def my_handler(event, context): return 'package.sys'\n")
            .file("dir/sys.py", "def my_handler(event, context): return 'dir/sys'\n")
            .file("a/b/c.py", "def my_handler(event, context): return 'c'\n")
            .file("äpp.py", "def handler(event, context): return 'äpp'\n")
            .file("app-with-dash.py", "def handler(event, context): return 'dash'\n")
            .handler(handler)
            .event("{}")
    };
    HANDLERS.iter().map(with).collect()
}

const MODULES: &[(&str, &str)] = &[
    ("import error", "import no_such_module\n"),
    ("import error of a name", "from json import no_such_name\n"),
    ("import error raised", "raise ImportError('own text')\n"),
    ("import error without text", "raise ImportError\n"),
    (
        "module not found raised",
        "raise ModuleNotFoundError('mine', name='x')\n",
    ),
    ("syntax error", "def f(:\n    pass\n"),
    ("syntax error later", "import os\n\n\nx = = 1\n"),
    ("indentation error", "def f():\npass\n"),
    ("tab error", "if True:\n        x = 1\n\ty = 2\n"),
    ("unfinished", "x = (1,\n"),
    ("unfinished text", "x = '''abc\n"),
    ("syntax error with Unicode", "größe = = 'ü'\n"),
    ("syntax error without end of line", "x = = 1"),
    ("nul byte", "x = 1\0\n"),
    ("not UTF-8 says it is", "# -*- coding: nonsense -*-\n"),
    ("value error", "raise ValueError('at import')\n"),
    ("value error without text", "raise ValueError\n"),
    (
        "value error in a function",
        "def f():\n    raise ValueError('deep')\n\n\ndef g():\n    f()\n\n\ng()\n",
    ),
    (
        "value error with a cause",
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('caused') from e\n",
    ),
    ("key error", "{}['x']\n"),
    ("latin-1 text", "raise ValueError('é')\n"),
    ("Unicode text", "raise ValueError('日本語')\n"),
    ("lone surrogate", "raise ValueError('\\ud800')\n"),
    (
        "Unicode type",
        "raise type('Fehlér', (Exception,), {})('x')\n",
    ),
    (
        "str raises",
        "class E(Exception):\n    def __str__(self): 1 / 0\nraise E\n",
    ),
    ("recursion", "def f(): f()\nf()\n"),
    ("exit 0", "import sys\nsys.exit(0)\n"),
    ("exit 3", "import sys\nprint('out')\nsys.exit(3)\n"),
    ("exit text", "raise SystemExit('said')\n"),
    ("keyboard interrupt", "raise KeyboardInterrupt\n"),
    ("base exception", "raise BaseException('base')\n"),
    ("generator exit", "raise GeneratorExit\n"),
    ("os._exit", "import os\nos._exit(7)\n"),
    ("abort", "import os\nos.abort()\n"),
    (
        "error in logging",
        "import logging\nlogging.getLogger().setLevel('ERROR')\nraise ValueError('warning filtered')\n",
    ),
    (
        "logging without handlers",
        "import logging\nlogging.getLogger().handlers.clear()\nraise ValueError('no handlers')\n",
    ),
    (
        "basicConfig",
        "import logging\nlogging.basicConfig(level='DEBUG', format='%(message)s', force=True)\nlogging.debug('mine')\nraise ValueError('x')\n",
    ),
    (
        "fault",
        "from awslambdaric.lambda_runtime_exception import FaultException\nraise FaultException('My.Type', 'message', ['trace'])\n",
    ),
    (
        "printed",
        "import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.stdout.write('no end')\nraise ValueError\n",
    ),
    (
        "error in a thread",
        "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start()\nt.join()\ndef handler(e, c): return 1\n",
    ),
    (
        "warning at import",
        "import warnings\nwarnings.warn('careful')\ndef handler(e, c): return 1\n",
    ),
    (
        "getattr raises",
        "def __getattr__(name): raise ValueError(name)\n",
    ),
    (
        "getattr raises attribute error",
        "def __getattr__(name): raise AttributeError('own ' + name)\n",
    ),
    (
        "module replaced",
        "import sys, types\nm = types.ModuleType('app')\nm.handler = lambda e, c: 'replaced'\nsys.modules['app'] = m\n",
    ),
    (
        "module removed",
        "import sys\ndel sys.modules['app']\ndef handler(e, c): return 1\n",
    ),
    (
        "exception group",
        "import sys\nraise (ExceptionGroup('g', [ValueError(1)]) if sys.version_info >= (3, 11) else ValueError('none'))\n",
    ),
    (
        "stdout closed",
        "import os\nos.close(1)\ndef handler(e, c): return 1\n",
    ),
    (
        "stdout none",
        "import sys\nsys.stdout = None\ndef handler(e, c): return 1\n",
    ),
    ("imports another that fails", "import package.broken\n"),
    (
        "imports another with a syntax error",
        "import package.syntax\n",
    ),
    (
        "imports another that cannot import",
        "import package.missing\n",
    ),
    ("circular", "import package.circle\nx = 1\n"),
];

/// Those of the modules whose errors are logged in different ways.
const LOGGED: [&str; 6] = [
    "import error",
    "syntax error",
    "value error",
    "value error without text",
    "fault",
    "lone surrogate",
];

fn modules(name: &str, change: impl Fn(Case) -> Case) -> Vec<Case> {
    let with = |(title, source): &(&str, &str)| {
        let case = case(&format!("{name}{title}"), source)
            .file("package/__init__.py", "")
            .file("package/broken.py", "def f():\n    return 1 / 0\n\n\nf()\n")
            .file("package/syntax.py", "\nx = = 1\n")
            .file("package/missing.py", "import not_there\n")
            .file("package/circle.py", "from app import x\n");
        change(case.event("1"))
    };
    MODULES.iter().map(with).collect()
}

fn answers() -> Vec<Case> {
    let mut all = Vec::new();
    for (status, body) in [
        (200, ""),
        (202, "{}"),
        (226, "text"),
        (400, "bad"),
        (403, "{\"errorType\": \"InvalidStateTransition\"}"),
        (500, "é"),
    ] {
        all.push(
            case(&format!("init/error answered {status}"), "1 / 0\n")
                .init_error_answer(status, body),
        );
    }
    all
}

fn starts() -> Vec<Case> {
    let app = || {
        case("", "import sys\ndef handler(event, context): return [__name__, sys.argv[1:], sys.flags.isolated, sys.dont_write_bytecode]\n").event("1")
    };
    let named = |name: &str, case: Case| Case {
        name: name.to_owned(),
        ..case
    };
    vec![
        named("python -m", app().start(Start::Module)),
        named(
            "python -m without a handler",
            app().start(Start::Module).handler(""),
        ),
        named(
            "python -m without an API",
            app().start(Start::Module).api(Api::Unknown),
        ),
        named(
            "python -m with a bad handler",
            app().start(Start::Module).handler("nope.handler"),
        ),
        named(
            "python -m, nobody listens",
            app().start(Start::Module).api(Api::At("127.0.0.1:1")),
        ),
        named("nobody listens", app().api(Api::At("127.0.0.1:1"))),
        named(
            "init error, nobody listens",
            case("", "1 / 0\n").api(Api::At("127.0.0.1:1")),
        ),
        named(
            "no such host",
            app().api(Api::At("no-such-host.invalid:80")),
        ),
        named("not an address", app().api(Api::At("::::"))),
        named(
            "init error, not an address",
            case("", "1 / 0\n").api(Api::At("::::")),
        ),
        named("empty address", app().api(Api::At("")).start(Start::Module)),
        named(
            "a .pth file",
            app().file("extra.pth", "import sys; sys.argv.append('from .pth')\n"),
        ),
        named(
            "PYTHONPATH",
            case("", "import other\ndef handler(e, c): return other.x\n")
                .file("more/other.py", "x = 5\n")
                .variable("PYTHONPATH", "more")
                .event("1"),
        ),
        named(
            "PYTHONOPTIMIZE",
            case(
                "",
                "def handler(e, c):\n    assert 0\n    return __debug__\n",
            )
            .variable("PYTHONOPTIMIZE", "1")
            .event("1"),
        ),
        named(
            "PYTHONUTF8 off",
            case(
                "",
                "import sys\ndef handler(e, c):\n    print('ü')\n    return sys.stdout.encoding\n",
            )
            .variable("LANG", "C")
            .variable("PYTHONUTF8", "0")
            .variable("PYTHONCOERCECLOCALE", "0")
            .event("1"),
        ),
        named(
            "PYTHONIOENCODING",
            case("", "def handler(e, c):\n    print('ü')\n")
                .variable("PYTHONIOENCODING", "latin-1")
                .event("1"),
        ),
        named(
            "proxies",
            app()
                .variable("http_proxy", "http://127.0.0.1:1")
                .variable("HTTP_PROXY", "http://127.0.0.1:1")
                .variable("ALL_PROXY", "http://127.0.0.1:1"),
        ),
        named(
            "preview",
            app()
                .variable("AWS_EXECUTION_ENV", "AWS_Lambda_python3.15")
                .start(Start::Module),
        ),
        named(
            "preview in China",
            app()
                .variable("AWS_EXECUTION_ENV", "AWS_Lambda_python3.15")
                .variable("AWS_REGION", "cn-north-1")
                .start(Start::Module),
        ),
        named(
            "preview, no warning",
            app()
                .variable("AWS_EXECUTION_ENV", "AWS_Lambda_python3.15")
                .variable("LAMBDA_DISABLE_PREVIEW_WARN", "1")
                .start(Start::Module),
        ),
    ]
}

#[test]
fn init_handlers() {
    compare("init handlers", handlers());
}

#[test]
fn init_modules() {
    let mut cases = modules("", |case| case);
    let json = modules("json, ", |case| {
        case.variable("AWS_LAMBDA_LOG_FORMAT", "JSON").with_frames()
    });
    cases.extend(
        json.into_iter()
            .filter(|case| LOGGED.contains(&case.name.trim_start_matches("json, "))),
    );
    compare("init modules", cases);
}

#[test]
fn init_starts() {
    let mut cases = answers();
    cases.extend(starts());
    compare("init", cases);
}
