//! JSON in and out: simplejson's rules and messages.

use std::path::Path;

use crate::function::function;
use crate::host;

#[test]
fn events_are_read_as_simplejson_reads_them() {
    let long = "9".repeat(4301);
    let cases: Vec<(&[u8], &str)> = vec![
        (
            b"{\"a\": [1, -2, 2.5, 1e3, true, false, null, \"x\"]}",
            "{'a': [1, -2, 2.5, 1000.0, True, False, None, 'x']}",
        ),
        (b" [ ] ", "[]"),
        (b"{}", "{}"),
        (b"\xef\xbb\xbf{}", "{}"),
        (b"{\"a\":1,\"a\":2}", "{'a': 2}"),
        (
            b"123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        (b"-0", "0"),
        (b"-0.0", "-0.0"),
        (b"1e400", "inf"),
        (b"\"\\u00e9\\ud83d\\ude00\\n\\/\"", "'é😀\\n/'"),
        (b"\"\\ud800\"", "'\\ud800'"),
        (b"\"\\ud800\\u0041\"", "'\\ud800A'"),
        (b"", "! Expecting value: line 1 column 1 (char 0)"),
        (b"NaN", "! Expecting value: line 1 column 1 (char 0)"),
        (
            b"[-Infinity]",
            "! Expecting value: line 1 column 2 (char 1)",
        ),
        (b"nul", "! Expecting value: line 1 column 1 (char 0)"),
        (b"-", "! Expecting value: line 1 column 1 (char 0)"),
        (
            b"01",
            "! Extra data: line 1 column 2 - line 1 column 3 (char 1 - 2)",
        ),
        (
            b"[1]\n\n 2",
            "! Extra data: line 3 column 2 - line 3 column 3 (char 6 - 7)",
        ),
        (
            b"[1,]",
            "! Illegal trailing comma before end of array: line 1 column 3 (char 2)",
        ),
        (
            b"{\"a\":1,}",
            "! Illegal trailing comma before end of object: line 1 column 7 (char 6)",
        ),
        (
            b"[1 2]",
            "! Expecting ',' delimiter or ']': line 1 column 4 (char 3)",
        ),
        (
            b"{\"a\" 1}",
            "! Expecting ':' delimiter: line 1 column 6 (char 5)",
        ),
        (
            b"{a}",
            "! Expecting property name enclosed in double quotes or '}': line 1 column 2 (char 1)",
        ),
        (
            b"{\"a\":1,b}",
            "! Expecting property name enclosed in double quotes: line 1 column 8 (char 7)",
        ),
        (b"[", "! Expecting value or ']': line 1 column 2 (char 1)"),
        (
            "\"é".as_bytes(),
            "! Unterminated string starting at: line 1 column 1 (char 0)",
        ),
        (
            "\"é\t\"".as_bytes(),
            "! Invalid control character '\\t' at: line 1 column 3 (char 2)",
        ),
        (
            b"\"\\x\"",
            "! Invalid \\X escape sequence 'x': line 1 column 3 (char 2)",
        ),
        (
            b"\"\\u12\"",
            "! Invalid \\uXXXX escape sequence: line 1 column 2 (char 1)",
        ),
        (
            b"\xff",
            "! 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        ),
        (long.as_bytes(), "! Exceeds the limit (4300"),
    ];
    let source = "def handler(event, context):\n    return repr(event).encode('utf-8', 'backslashreplace')\n";
    let Some(mut f) = function(source) else {
        return;
    };
    for (event, _) in &cases {
        f = f.event_with(event, &[]);
    }
    let outcome = f.run();
    let posts = outcome.posts();
    assert_eq!(posts.len(), cases.len());
    for ((event, expected), post) in cases.iter().zip(posts) {
        let event = String::from_utf8_lossy(event);
        match expected.strip_prefix("! ") {
            None => assert_eq!(post, *expected, "{event}"),
            Some(message) => {
                let start = r#"{"errorMessage": "Unable to unmarshal input: "#;
                let written = message.replace('\\', "\\\\");
                assert!(
                    post.starts_with(&format!("{start}{written}")),
                    "{event}: {post}"
                );
                assert!(
                    post.contains(r#""errorType": "Runtime.UnmarshalError""#),
                    "{event}: {post}"
                );
            }
        }
    }
}

/// The fuzz target `python_json` has the same oracle.
#[test]
fn seeds_are_read_as_the_interpreter_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/seeds/python_json");
    let mut seeds = host::entries_of(&folder);
    seeds.sort();
    assert!(seeds.len() > 10);
    let source = r#"
import json, pathlib
def refuse(name):
    raise ValueError(name)
def read(path):
    try:
        return repr(json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=refuse))
    except ValueError:
        return None
found = {path.name: read(path) for path in pathlib.Path("FOLDER").iterdir()}
def handler(event, context):
    wanted = None if event == "refused" else repr(event)
    return [name for name in sorted(found) if found[name] == wanted]
"#;
    let Some(mut f) = function(&source.replace("FOLDER", folder.to_str().unwrap())) else {
        return;
    };
    for seed in &seeds {
        f = f.event_with(&host::read(seed), &[]);
    }
    let outcome = f.event_with(b"\"refused\"", &[]).run();
    let mut posts = outcome.posts();
    let last = posts.pop().unwrap();
    let mut refused = Vec::new();
    assert_eq!(posts.len(), seeds.len());
    for (seed, post) in seeds.iter().zip(posts) {
        let name = format!("{:?}", seed.file_name().unwrap());
        if post.contains(r#""errorType": "Runtime.UnmarshalError""#) {
            refused.push(name);
        } else {
            assert!(post.contains(&name), "{name}: {post}");
        }
    }
    assert_eq!(last, format!("[{}]", refused.join(", ")));
}

#[test]
fn results_are_written_as_simplejson_writes_them() {
    let source = r#"
import collections, datetime, decimal, enum
Point = collections.namedtuple("Point", "a b")
class Number(enum.IntEnum):
    ONE = 1
class Shy:
    def _asdict(self):
        return {"x": 1}
class Loud(int):
    def __str__(self):
        return "loud"
class Empty(dict):
    def items(self):
        return [("not", "asked")]
D = decimal.Decimal
circle = []
circle.append(circle)
def handler(event, context):
    return eval(event)
"#;
    let object = |kind: &str| format!("! Object of type {kind} is not JSON serializable");
    let cases: Vec<(&str, String)> = vec![
        ("None", "null".into()),
        (
            "[1, 2.5, 1e22, 1e16, -0.0, 10**30, True]",
            "[1, 2.5, 1e+22, 1e+16, -0.0, 1000000000000000000000000000000, true]".into(),
        ),
        (
            "[float('nan'), float('inf'), -float('inf')]",
            "[NaN, Infinity, -Infinity]".into(),
        ),
        (
            "{1: 1, 2.5: 2, True: 3, None: 4, b'k': 5}",
            r#"{"1": 3, "2.5": 2, "null": 4, "k": 5}"#.into(),
        ),
        ("(1, (2,))", "[1, [2]]".into()),
        (
            "[Point(1, Point(2, 3)), Shy()]",
            r#"[{"a": 1, "b": {"a": 2, "b": 3}}, {"x": 1}]"#.into(),
        ),
        (
            "[D('1.10'), D('1E+3'), D('Infinity'), D('-NaN'), D('sNaN')]",
            "[1.10, 1E+3, Infinity, NaN, NaN]".into(),
        ),
        (
            "[Number.ONE, Loud(7), {Number.ONE: Loud(8)}]",
            r#"[1, 7, {"1": 8}]"#.into(),
        ),
        (
            "[b'x', {'a': b'\\xc3\\xa9'.decode()}][0:1]",
            r#"["x"]"#.into(),
        ),
        (
            "[[], {}, '', (), Empty()]",
            r#"[[], {}, "", [], {}]"#.into(),
        ),
        (
            "collections.OrderedDict(b=1, a=2)",
            r#"{"b": 1, "a": 2}"#.into(),
        ),
        (
            r#"'/"\\\b\f\n\r\t\x00\x1f'"#,
            r#""/\"\\\b\f\n\r\t\u0000\u001f""#.into(),
        ),
        ("{1}", object("set")),
        ("bytearray(b'x')", object("bytearray")),
        ("datetime.date(2020, 1, 1)", object("date")),
        ("len", object("builtin_function_or_method")),
        ("int", object("type")),
        (
            "[b'\\xff']",
            "! 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte".into(),
        ),
        (
            "{D(1): 1}",
            "! keys must be str, int, float, bool or None, not Decimal".into(),
        ),
        (
            "{(1,): 1}",
            "! keys must be str, int, float, bool or None, not tuple".into(),
        ),
        ("circle", "! Circular reference detected".into()),
    ];
    let Some(mut f) = function(source) else {
        return;
    };
    for (expression, _) in &cases {
        f = f.event_with(expression.as_bytes(), &[("Content-Type", "text/plain")]);
    }
    let outcome = f.run();
    let posts = outcome.posts();
    assert_eq!(posts.len(), cases.len());
    for ((expression, expected), post) in cases.iter().zip(posts) {
        match expected.strip_prefix("! ") {
            None => assert_eq!(post, expected, "{expression}"),
            Some(message) => {
                let start = format!(
                    r#"{{"errorMessage": "Unable to marshal response: {message}", "errorType": "Runtime.MarshalError", "#
                );
                assert!(post.starts_with(&start), "{expression}: {post}");
            }
        }
    }
}

#[test]
fn unicode_is_escaped_up_to_python_3_11() {
    let Some(f) = function(
        "def handler(event, context):\n    return {'price': '£1.00😀', 'x': '\\u2028\\x7f'}\n",
    ) else {
        return;
    };
    let minor = f.executable.minor;
    let outcome = f.event("1").run();
    let expected = if minor < 12 {
        r#"{"price": "\u00a31.00\ud83d\ude00", "x": "\u2028\u007f"}"#.to_owned()
    } else {
        "{\"price\": \"£1.00😀\", \"x\": \"\u{2028}\u{7f}\"}".to_owned()
    };
    assert_eq!(outcome.posts(), [expected]);
}

#[test]
fn a_lone_surrogate_is_escaped_or_an_error_but_never_the_end() {
    let Some(f) =
        function("def handler(event, context):\n    return ['\\ud800'] if event else 'next'\n")
    else {
        return;
    };
    let minor = f.executable.minor;
    let outcome = f.event("1").event("0").run();
    assert_eq!(
        (outcome.posts().len(), outcome.posts()[1], outcome.status),
        (2, "\"next\"", None)
    );
    let expected = if minor < 12 {
        r#"["\ud800"]"#
    } else {
        r#"{"errorMessage": "Unable to marshal response: 'utf-8' codec can't encode"#
    };
    assert!(outcome.posts()[0].starts_with(expected), "{outcome:?}");
}

#[test]
fn nesting_has_a_limit_and_no_crash() {
    let source = "deep = []\nfor _ in range(100000): deep = [deep]\ndef handler(event, context):\n    return deep\n";
    let Some(f) = function(source) else { return };
    let outcome = f
        .event(&"[".repeat(100_000))
        .event(&"{\"a\":".repeat(100_000))
        .event("1")
        .run();
    assert_eq!(outcome.status, None);
    for (post, kind) in
        outcome
            .posts()
            .iter()
            .zip(["unmarshal input", "unmarshal input", "marshal response"])
    {
        assert!(
            post.contains(&format!("Unable to {kind}: ")) && post.contains("recursion"),
            "{post}"
        );
    }
    assert_eq!(outcome.posts().len(), 3);
}
