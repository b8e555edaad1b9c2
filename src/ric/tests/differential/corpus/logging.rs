//! Logging: formats, levels, frames, and the streams.

use crate::case::{Case, case};
use crate::compare::compare;
use crate::corpus::random::Random;

const CALLS: &str = include_str!("logs.py");

/// The functions of logs.py.
fn calls() -> Vec<&'static str> {
    let definitions = CALLS.lines().filter_map(|line| line.strip_prefix("def "));
    let names = definitions.map(|line| line.split('(').next().unwrap_or_default());
    names.filter(|name| *name != "handler").collect()
}

fn every_call(name: &str) -> Case {
    let mut all = case(name, CALLS);
    for call in calls() {
        let tenant = if call.contains("tenant") {
            "tenant"
        } else {
            ""
        };
        all = all.event_with(
            call,
            format!("\"{call}\"").as_bytes(),
            &[("Lambda-Runtime-Aws-Tenant-Id", tenant)],
        );
    }
    all
}

/// One record of each level, before and in an invocation.
fn levels() -> Vec<Case> {
    let source = "\
import logging
def each(name):
    log = logging.getLogger(name)
    for level in (0, 1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 1000):
        log.log(level, 'level %d', level)
each('at.import')
def handler(event, context):
    root = logging.getLogger()
    print(root.level, [type(h).__name__ for h in root.handlers], root.handlers[0].level)
    each(None)
    each('in.handler')
    context.log('context\\n')
";
    let mut all = Vec::new();
    for format in ["", "JSON", "json", "Json", "TEXT", "text", "XML"] {
        for level in [
            "", "TRACE", "trace", "DEBUG", "debug", "Info", "INFO", "WARN", "WARNING", "ERROR",
            "FATAL", "CRITICAL", "NOTSET", "NONSENSE", "10", " INFO",
        ] {
            let all_levels = matches!(format, "" | "JSON");
            if !all_levels && !matches!(level, "" | "INFO") {
                continue;
            }
            let mut one = case(&format!("format {format:?} level {level:?}"), source)
                .event("1")
                .with_frames();
            if !format.is_empty() {
                one = one.variable("AWS_LAMBDA_LOG_FORMAT", format);
            }
            if !level.is_empty() {
                one = one.variable("AWS_LAMBDA_LOG_LEVEL", level);
            }
            all.push(one);
        }
    }
    all.push(
        case("level set to nothing", source)
            .event("1")
            .with_frames()
            .variable("AWS_LAMBDA_LOG_LEVEL", ""),
    );
    all.push(
        case("text on standard output", source)
            .event("1")
            .variable("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    );
    all.push(
        case("JSON on standard output", source)
            .event("1")
            .variable("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    );
    all.push(case("neither", source).event("1"));
    all
}

/// What a function does to logging and to the streams.
fn changes() -> Vec<Case> {
    let sources = [
        (
            "logging imported late",
            "def handler(e, c):\n    import logging\n    logging.warning('late')\n    print(logging.Formatter.converter.__name__, logging.getLogger().handlers[0].log_sink is not None)\n",
        ),
        (
            "logging never imported",
            "import sys\ndef handler(e, c):\n    c.log('x\\n')\n    print('printed')\n    return 'done'\n",
        ),
        (
            "basicConfig",
            "import logging\nlogging.basicConfig(level=10)\ndef handler(e, c): logging.debug('d'); logging.warning('w')\n",
        ),
        (
            "basicConfig by force",
            "import logging\nlogging.basicConfig(level=10, force=True)\ndef handler(e, c): logging.debug('d'); c.log('to stdout\\n')\n",
        ),
        (
            "dictConfig",
            "import logging.config\nlogging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler'}}, 'root': {'level': 'INFO', 'handlers': ['h']}})\ndef handler(e, c): logging.info('mine'); 1 / 0\n",
        ),
        (
            "a handler more",
            "import logging, sys\nh = logging.StreamHandler(sys.stdout)\nh.setFormatter(logging.Formatter('%(aws_request_id)s %(message)s', defaults=None) if False else logging.Formatter('%(message)s'))\nlogging.getLogger().addHandler(h)\ndef handler(e, c): logging.error('twice'); 1 / 0\n",
        ),
        (
            "another formatter",
            "import logging\nlogging.getLogger().handlers[0].setFormatter(logging.Formatter('<%(levelname)s %(aws_request_id)s %(tenant_id)s %(message)s>'))\ndef handler(e, c): logging.error('own form'); 1 / 0\n",
        ),
        (
            "level of the handler",
            "import logging\nlogging.getLogger().handlers[0].setLevel('ERROR')\ndef handler(e, c): logging.warning('no'); logging.error('yes')\n",
        ),
        (
            "disabled",
            "import logging\nlogging.disable(logging.CRITICAL)\ndef handler(e, c): logging.critical('no'); 1 / 0\n",
        ),
        (
            "root at critical",
            "import logging\nlogging.getLogger().setLevel('CRITICAL')\ndef handler(e, c): logging.error('no'); 1 / 0\n",
        ),
        (
            "renamed level",
            "import logging\nlogging.addLevelName(30, 'GELB')\ndef handler(e, c): logging.warning('w')\n",
        ),
        (
            "own record factory",
            "import logging\nold = logging.getLogRecordFactory()\ndef new(*a, **k):\n    r = old(*a, **k); r.mine = 5; return r\nlogging.setLogRecordFactory(new)\ndef handler(e, c): logging.warning('w')\n",
        ),
        (
            "own filter",
            "import logging\nclass F(logging.Filter):\n    def filter(self, record):\n        record.msg = 'filtered ' + str(record.msg); return True\nlogging.getLogger().handlers[0].addFilter(F())\ndef handler(e, c): logging.warning('w')\n",
        ),
        (
            "handler in a thread",
            "import logging, threading\ndef handler(e, c):\n    t = threading.Thread(target=logging.warning, args=('from a thread',), name='T'); t.start(); t.join()\n",
        ),
        (
            "async",
            "import asyncio, logging\nasync def f():\n    logging.warning('from a task')\ndef handler(e, c): asyncio.run(f())\n",
        ),
        (
            "fork",
            "import logging, os\ndef handler(e, c):\n    pid = os.fork()\n    if not pid:\n        logging.warning('child'); print('child'); os._exit(0)\n    os.waitpid(pid, 0)\n    logging.warning('parent')\n",
        ),
        (
            "print",
            "import sys\ndef handler(e, c):\n    print('a', 'b', sep='-', end='')\n    print('err', file=sys.stderr)\n    print('ü😀')\n    sys.stdout.write('x\\n'); sys.stdout.writelines(['a', 'b\\n'])\n    return [sys.stdout.write('y\\n'), sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.fileno(), type(sys.stdout).__name__, type(sys.stdout).__module__, hasattr(sys.stdout, 'buffer'), sys.__stdout__ is sys.stdout.stream]\n",
        ),
        (
            "print to the buffer",
            "import sys, os\ndef handler(e, c):\n    sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.buffer.flush(); os.write(1, b'raw\\n'); os.write(2, b'raw err\\n')\n",
        ),
        (
            "print a surrogate",
            "def handler(e, c):\n    print('\\ud800')\n",
        ),
        (
            "log a surrogate",
            "import logging\nlogging.raiseExceptions = False\ndef handler(e, c):\n    logging.warning('lone \\ud800')\n    return 1\n",
        ),
        (
            "stdout replaced",
            "import io, sys\nsys.stdout = io.StringIO()\ndef handler(e, c):\n    print('into memory'); c.log('context'); import logging; logging.warning('w')\n    value = sys.stdout.getvalue()\n    return len(value) > 60\n",
        ),
        (
            "warnings captured",
            "import logging, warnings\nlogging.captureWarnings(True)\ndef handler(e, c): warnings.warn('captured')\n",
        ),
        (
            "subprocess",
            "import subprocess\ndef handler(e, c):\n    subprocess.run(['echo', 'from a child'])\n",
        ),
        (
            "lastResort",
            "import logging\nlogging.getLogger().handlers.clear()\ndef handler(e, c): logging.getLogger('x').warning('last resort'); c.log('c\\n'); 1 / 0\n",
        ),
        (
            "sink used directly",
            "import logging\ndef handler(e, c):\n    sink = logging.getLogger().handlers[0].log_sink\n    sink.log('direct\\n'); sink.log('typed\\n', b'\\xa5\\x5a\\x00\\x17'); sink.log_error(['one', 'two'])\n    return type(sink).__name__\n",
        ),
        (
            "formatter subclassed",
            "import logging\nf = logging.getLogger().handlers[0].formatter\nclass Mine(type(f)):\n    def format(self, record): return 'MINE ' + super().format(record)\nlogging.getLogger().handlers[0].setFormatter(Mine())\ndef handler(e, c): logging.warning('w %s', 1)\n",
        ),
        (
            "converter",
            "import logging, time\nlogging.Formatter.converter = time.localtime\ndef handler(e, c): logging.warning('local'); 1 / 0\n",
        ),
        (
            "an error in a log call",
            "import logging\ndef handler(e, c): logging.warning('%d', 'text')\n",
        ),
        (
            "closed descriptor",
            "import os\nos.close(2)\ndef handler(e, c):\n    import sys\n    return 1\n",
        ),
    ];
    let mut all = Vec::new();
    for (name, source) in sources {
        all.push(case(&format!("{name}, text"), source).event("0"));
        all.push(
            case(&format!("{name}, JSON frames"), source)
                .event("0")
                .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
                .with_frames(),
        );
    }
    all
}

/// Records with random messages, arguments and extras.
fn random(name: &str, seed: u64) -> Case {
    let mut random = Random::new(seed);
    let mut events = Vec::new();
    for _ in 0..150 {
        let method = random.of(&["debug", "info", "warning", "error", "critical", "exception"]);
        let message = match random.below(4) {
            0 => format!("{{'event': {}}}", random.expression(2)),
            1 => format!(
                "'%s and %r', {}, {}",
                random.expression(1),
                random.expression(1)
            ),
            2 => random.expression(2),
            _ => "'plain'".to_owned(),
        };
        let extra = match random.below(3) {
            0 => format!(
                ", extra={{'one': {}, 'two': {}}}",
                random.expression(2),
                random.expression(1)
            ),
            1 => ", exc_info=True".to_owned(),
            _ => String::new(),
        };
        events.push(format!(
            "logging.getLogger('random').{method}({message}{extra})"
        ));
    }
    let source = include_str!("values.py").to_owned()
        + "import logging\nlogging.getLogger().setLevel(0)\n"
        + "def handler(event, context):\n    try:\n        return eval(event)\n    except Exception as error:\n        return [type(error).__name__, str(error)]\n";
    case(name, &source).texts(events)
}

#[test]
fn logging_levels() {
    compare("logging levels", levels());
}

#[test]
fn logging_changes() {
    compare("logging changes", changes());
}

#[test]
fn logging_records() {
    let json = |case: Case| case.variable("AWS_LAMBDA_LOG_FORMAT", "JSON");
    compare(
        "logging",
        vec![
            every_call("text"),
            every_call("text frames").with_frames(),
            every_call("text frames with level")
                .with_frames()
                .variable("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
            json(every_call("JSON")),
            json(every_call("JSON frames"))
                .with_frames()
                .variable("AWS_LAMBDA_LOG_LEVEL", "DEBUG"),
            random("random text", 7),
            json(random("random JSON", 8)),
            json(random("random JSON frames", 9)).with_frames(),
        ],
    );
}
