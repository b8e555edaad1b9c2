//! What depends on the version of Python.

use std::sync::OnceLock;

use crate::{ffi, system};

/// `3.13.5`
pub fn full() -> String {
    let text = ffi::version_text();
    let release = text.split_whitespace().next().unwrap_or_default();
    let numbers: Vec<&str> = release.splitn(3, '.').collect();
    let digits = |text: &str| {
        text.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    };
    let [major, minor, micro] =
        [0, 1, 2].map(|index| numbers.get(index).copied().map(digits).unwrap_or_default());
    format!("{major}.{minor}.{micro}")
}

/// `3.13`
pub fn short() -> String {
    let full = full();
    full.rsplit_once('.')
        .map_or(full.clone(), |(short, _)| short.to_owned())
}

/// The number after `3.`
pub fn minor() -> u32 {
    static MINOR: OnceLock<u32> = OnceLock::new();
    let parse = || full().split('.').nth(1)?.parse().ok();
    *MINOR.get_or_init(|| parse().unwrap_or_default())
}

/// Whether the interpreter was built without a GIL.
pub fn is_free_threaded() -> bool {
    static FREE: OnceLock<bool> = OnceLock::new();
    *FREE.get_or_init(|| ffi::version_text().contains("free-threading build"))
}

/// Whether JSON escapes everything outside ASCII. The environment decides, not the interpreter, as in the official client.
pub fn escapes_unicode() -> bool {
    const PLAIN: [&str; 4] = [
        "AWS_Lambda_python3.12",
        "AWS_Lambda_python3.13",
        "AWS_Lambda_python3.14",
        "AWS_Lambda_python3.15",
    ];
    let environment = system::present("AWS_EXECUTION_ENV").unwrap_or_default();
    !PLAIN.iter().any(|plain| environment == *plain)
}

/// Whether the environment says that this version is a preview.
pub fn is_preview() -> bool {
    system::present("AWS_EXECUTION_ENV")
        .is_some_and(|environment| environment == "AWS_Lambda_python3.15")
}
