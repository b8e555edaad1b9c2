//! Redirects and messages.

use super::error::message;
use super::*;

#[test]
fn redirects_never_lose_https() {
    let next = |from: &str, to: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().unwrap());
        let from = Url::parse(from).unwrap();
        Network::default()
            .next_hop(&from, &from, &headers)
            .map(|url| url.to_string())
            .ok()
    };
    let https = "https://a.example/x/y";
    assert_eq!(next(https, "z").as_deref(), Some("https://a.example/x/z"));
    assert_eq!(
        next(https, "//b.example/z").as_deref(),
        Some("https://b.example/z")
    );
    assert_eq!(
        next("http://a.example/", "https://b.example/").as_deref(),
        Some("https://b.example/")
    );
    for bad in ["http://a.example/", "file:///etc/passwd", "data:,x", ""] {
        assert_eq!(next(https, bad), None, "{bad}");
    }
}

#[test]
fn what_is_shown_holds_no_secret() {
    let url = Url::parse("https://user:canary@h.example:8443/a?token=canary#canary").unwrap();
    assert_eq!(
        (shown(&url), host(&url)),
        ("https://h.example:8443/a".into(), "h.example:8443".into())
    );
}

#[test]
fn a_registry_s_own_message_is_shown() {
    let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way"}]}"#;
    assert_eq!(message(body), "DENIED: no[31m way");
    assert_eq!(message(b"<html>"), "");
}
