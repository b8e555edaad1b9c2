//! What must vary between two runs, replaced. Everything else is compared byte for byte.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::recorder::{Part, Segment};

/// What varies by its form, and what stands for it.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Time of a log line.
        (
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z",
            "TIME",
        ),
        // Time of a message from the client's native part.
        (r"\[[0-9]{13}\] LAMBDA_RUNTIME", "[TIME] LAMBDA_RUNTIME"),
        // Where an object happens to lie.
        (r" at 0x[0-9a-f]+", " at ADDRESS"),
    ]
    .map(|(pattern, replacement)| (Regex::new(pattern).unwrap(), replacement))
    .into()
});

/// Replaces what varies in everything that one run has shown. `words`: what varies by its value.
pub fn segments(segments: Vec<Segment>, words: &[(&str, &str)]) -> Vec<Segment> {
    let clean = |part: Part, bytes: Vec<u8>| {
        let mut text = match part {
            Part::Frames => frames(&bytes),
            _ => escaped(&bytes),
        };
        for (word, replacement) in words {
            text = text.replace(word, replacement);
        }
        for (pattern, replacement) in RULES.iter() {
            text = pattern.replace_all(&text, *replacement).into_owned();
        }
        match part {
            Part::Requests => in_order(&text),
            Part::Stderr => without_client_frames(&text),
            _ => text,
        }
    };
    let each = |(part, bytes)| (part, clean(part, bytes).into_bytes());
    segments
        .into_iter()
        .map(|segment| segment.into_iter().map(each).collect())
        .collect()
}

/// Bytes as text, with what is no UTF-8 escaped.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Frames of the telemetry descriptor as text: type and message, whose length and time have been checked.
fn frames(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<16>() {
        let number =
            |range: std::ops::Range<usize>| u32::from_be_bytes(head[range].try_into().unwrap());
        let micros = u64::from_be_bytes(head[8..].try_into().unwrap());
        assert!(
            (1_700_000_000_000_000..4_000_000_000_000_000).contains(&micros),
            "a frame's time"
        );
        let (message, rest) = rest
            .split_at_checked(number(4..8) as usize)
            .expect("a frame was cut");
        text.push_str(&format!("{:08x} {}\n", number(0..4), escaped(message)));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame was cut");
    text
}

/// The official client lists the paths of an X-Ray cause in the order of a set.
fn in_order(request: &str) -> String {
    static PATHS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#""paths": \[(.*?)\]\}"#).unwrap());
    let sorted = |found: &Captures| {
        let mut paths: Vec<&str> = found[1].split(", ").collect();
        paths.sort_unstable();
        format!("\"paths\": [{}]}}", paths.join(", "))
    };
    PATHS.replace_all(request, sorted).into_owned()
}

/// A traceback on standard error without the frames of the clients themselves, and of the library's modules that they call:
/// what remains are the function's frames and the exceptions.
fn without_client_frames(text: &str) -> String {
    static OWN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^[ |]*File "(RUNTIME/|<_lambda_ric|<frozen runpy>|<frozen importlib|.*/importlib/__init__\.py|.*/runpy\.py|.*/concurrent/futures/|.*/multiprocessing/|.*/http/client\.py|.*/socket\.py|.*/threading\.py|<frozen os>|.*/os\.py)"#).unwrap()
    });
    let mut kept = String::new();
    let mut skips = false;
    for line in text.split_inclusive('\n') {
        // Lines of groups of exceptions stand behind a bar.
        let indent = line.strip_prefix("  | ").unwrap_or(line);
        if indent.starts_with("  File \"") {
            skips = OWN.is_match(line);
        } else if !indent.starts_with("    ") {
            skips = false;
        }
        if !skips {
            kept.push_str(line);
        }
    }
    kept
}
