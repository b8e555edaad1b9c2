//! Events: documents that simplejson reads, and documents that it refuses.

use crate::case::{Case, case};
use crate::compare::compare;
use crate::corpus::random::Random;

/// What came in, with its types, in ASCII.
const SHOW: &str = "def handler(event, context):\n    return ascii(event).encode()\n";

const DOCUMENTS: &[&str] = &[
    "",
    " ",
    "\n\t\r ",
    "null",
    "true",
    "false",
    "nul",
    "True",
    "nullx",
    "tru",
    "0",
    "-0",
    "-",
    "+1",
    "01",
    "1.",
    ".5",
    "1.5",
    "-1.5e3",
    "1e",
    "1e+",
    "1E400",
    "-1e400",
    "1e-400",
    "1.0",
    "100000000000000000000",
    "-9223372036854775808",
    "9223372036854775807",
    "9223372036854775808",
    "1e5",
    "1E5",
    "1e05",
    "0e1",
    "0.0",
    "-0.0",
    "5e-324",
    "1.7976931348623157e308",
    "0.1e1",
    "1.e5",
    "--1",
    "NaN",
    "Infinity",
    "-Infinity",
    "-NaN",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    "{\"a\": NaN}",
    "{}",
    "[]",
    "{ }",
    "[ ]",
    "[[]]",
    "{\"a\":{}}",
    "[1,2]",
    "[1, 2 , 3 ]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[",
    "]",
    "[1",
    "[1,",
    "[1, ",
    "[}",
    "{]",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{\"a\":1, }",
    "{\"a\" 1}",
    "{\"a\":}",
    "{a:1}",
    "{1:1}",
    "{'a':1}",
    "{\"a\":1 \"b\":2}",
    "{,}",
    "{\"a\":1,,}",
    "{\"a\":1,\"a\":2}",
    "{\"\":1}",
    "{\"a\\u0062\":1,\"ab\":2}",
    "{\"a\":1}{",
    "1 2",
    "[1]\n\n 2",
    "\"a\"",
    "\"",
    "\"a",
    "\"a\n\"",
    "\"\\",
    "\"\\\"",
    "\"\\u",
    "\"\\u1",
    "\"\\u12\"",
    "\"\\u123",
    "\"\\u123g\"",
    "\"\\u12345\"",
    "\"\\uD83D\\uDE00\"",
    "\"\\ud83d\"",
    "\"\\ude00\"",
    "\"\\ud83d\\ud83d\\ude00\"",
    "\"\\ud83dx\"",
    "\"\\ud83d\\n\"",
    "\"\\ud83d\\u\"",
    "\"\\ud83d\\u12\"",
    "\"\\uD800\\uE000\"",
    "\"\\ude00\\ud83d\"",
    "\"\\u0000\"",
    "\"\\u+123\"",
    "\"\\u 123\"",
    "\"\\u0x12\"",
    "\"\\x41\"",
    "\"\\'\"",
    "\"\\/\\b\\f\\n\\r\\t\\\\\\\"\"",
    "\"\t\"",
    "\"\u{7f}\"",
    "\"é😀\"",
    "\"é\t\"",
    "\"\u{2028}\"",
    "é",
    "[\"é\", x]",
    "\u{feff}{}",
    "\u{feff}\u{feff}{}",
    "\u{ef}\u{bb}\u{bf}{}",
    " \u{feff}{}",
    "\u{feff}",
    "\u{a0}{}",
    "\u{c}1",
    "{\"a\":\n1,\n}",
    "[1,\n2,\nx]",
    "{\"é\":\n\"é\" x",
    "// c\n1",
    "/* c */ 1",
    "[1,2]]",
    "undefined",
    "1_000",
    "0x10",
    "٣",
    "1٣",
    "\"\\ud83d\\ude00\\ud83d\"",
    "[\"\\ud800\",\"a\"]",
    "{\"\\ud800\":1}",
    "1e1000000000000000000000",
    "-01",
    "[0,00]",
    "1.5.5",
    "\u{1}",
    "\0",
    "[\0]",
];

fn bodies() -> Case {
    let mut all = case("documents", SHOW);
    for document in DOCUMENTS {
        all = all.event(document);
    }
    let long: [String; 5] = [
        "9".repeat(4300),
        "9".repeat(4301),
        format!("-{}", "9".repeat(4301)),
        format!("[{}", "9".repeat(5000)),
        format!("{}e5", "1".repeat(5000)),
    ];
    for document in &long {
        all = all.event_with(
            &format!("{} digits", document.len()),
            document.as_bytes(),
            &[],
        );
    }
    for bytes in [
        &b"\xff"[..],
        b"\"\xc3\"",
        b"\"\xc3",
        b"{\"a\": \"\xed\xa0\x80\"}",
        b"\xef\xbb",
        b"\xf0\x9f\x98",
        b"\xc0\x80",
        b"\xfe\xff\0{",
    ] {
        all = all.event_with(&bytes.escape_ascii().to_string(), bytes, &[]);
    }
    all
}

fn content_types() -> Case {
    let mut all = case("content types", SHOW);
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "text/plain",
        "application/json ",
        "x",
        "application/octet-stream",
    ] {
        all = all.event_with(kind, b"{\"a\": 1}", &[("Content-Type", kind)]);
        all = all.event_with(
            &format!("binary {kind}"),
            b"\0\xff",
            &[("Content-Type", kind)],
        );
        all = all.event_with(&format!("empty {kind}"), b"", &[("Content-Type", kind)]);
    }
    all
}

/// Valid documents of every shape, and the same with a byte changed, taken away or put in.
fn random() -> Case {
    let mut random = Random::new(1);
    let mut all = case("random", SHOW);
    for index in 0..400 {
        let mut document = random.document(4).into_bytes();
        if index % 2 == 1 {
            random.damage(&mut document);
        }
        all = all.event_with(
            &format!("{index} {}", document.escape_ascii()),
            &document,
            &[],
        );
    }
    all
}

/// Depths around the limit, from the handler's own depth on.
fn deep() -> Case {
    let mut all = case(
        "deep",
        "def handler(event, context):\n    return type(event).__name__\n",
    );
    for depth in [100, 900, 100_000] {
        all = all.event_with(
            &format!("{depth} arrays"),
            ("[".repeat(depth) + &"]".repeat(depth)).as_bytes(),
            &[],
        );
        all = all.event_with(
            &format!("{depth} objects"),
            ("{\"a\":".repeat(depth) + "1" + &"}".repeat(depth)).as_bytes(),
            &[],
        );
    }
    all
}

#[test]
fn json_in() {
    compare("json in", vec![bodies(), content_types(), random(), deep()]);
}
