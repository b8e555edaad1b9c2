//! The examples for function authors work as they stand.

use std::path::Path;

use crate::function::function;
use crate::host;

#[test]
fn examples_do_what_the_text_says() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images/README.md");
    let text = String::from_utf8(host::read(&text)).unwrap();
    let examples: Vec<&str> = text
        .split("```python\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let event = r#"{"count": 2, "names": ["a", "b"], "name": "Ada"}"#;
    let head =
        r#"{"statusCode": 200, "headers": {"content-type": "text/html"}, "cookies": ["seen=yes"]}"#;
    let page = format!("{head}\0\0\0\0\0\0\0\0<h1>Hello</h1><p>and good bye</p>");
    let expected = [
        ("line 0\nline 1\n", 2, ""),
        (&page, 3, ""),
        (r#"["A", "B"]"#, 0, ""),
        ("data: 0\n\ndata: 1\n\n", 2, ""),
        (
            r#"{"id": "request-1"}"#,
            0,
            "[INFO]\tTIME\trequest-1\tgot Ada\n",
        ),
    ];
    assert_eq!(examples.len(), expected.len());
    for (example, (body, chunks, stdout)) in examples.iter().zip(expected) {
        let Some(f) = function(example) else { return };
        let outcome = f.event(event).run();
        let answer = &outcome.requests[1];
        assert_eq!(
            answer.line(),
            "POST /2018-06-01/runtime/invocation/request-1/response"
        );
        assert_eq!(
            (answer.text(), answer.chunks.len()),
            (body, chunks),
            "{example}"
        );
        assert_eq!(outcome.stdout_without_times(), stdout, "{example}");
    }
}
