//! The parsers of what a registry sends and of what says who the user is there, as functions of bytes.

use super::auth::challenge;
use super::credentials::config::Config;
use super::manifest::{Document, Index, Manifest, Platform};
use super::{Links, Reference, http, referrers, retry, transfer, upload, without_login};

fn text(bytes: &[u8], parse: impl FnOnce(&str)) {
    if let Ok(text) = str::from_utf8(bytes) {
        parse(text);
    }
}

/// A manifest, with what kind it is said to be in front of a line feed.
pub fn manifest(bytes: &[u8]) {
    let (kind, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (str::from_utf8(&bytes[..end]).ok(), &bytes[end + 1..]),
        None => (None, bytes),
    };
    let _ = Document::parse(body, kind);
    if let Ok(manifest) = Manifest::parse(body) {
        assert!(manifest.blobs().count() > manifest.layers.len());
    }
}

/// An index; also as a list of links, and as the list of what is attached to an image.
pub fn index(bytes: &[u8]) {
    if let Ok(index) = Index::parse(bytes) {
        let wanted: Platform = "linux/arm64".parse().expect("it is a platform");
        let chosen = index.choose(&wanted);
        assert!(chosen.is_none_or(|chosen| index.manifests.iter().any(|(it, _)| it == chosen)));
    }
    if let Ok(links) = Links::parse(bytes) {
        let index = super::graph::Document::index(&links.manifests);
        let again = Links::parse(&index.bytes).expect("what is written can be read");
        assert_eq!(again.manifests, links.manifests);
    }
    let _ = http::message(bytes);
}

/// A reference: read, written and read again, it is the same.
pub fn reference(bytes: &[u8]) {
    text(bytes, |text| {
        let _ = without_login(text);
        let _ = text.parse::<Platform>();
        if let Ok(reference) = text.parse::<Reference>() {
            let shown = reference.to_string();
            assert_eq!(
                shown.parse::<Reference>().map(|it| it.to_string()).ok(),
                Some(shown)
            );
            assert!(reference.api(true).is_some());
        }
    });
}

/// `WWW-Authenticate`.
pub fn www_authenticate(bytes: &[u8]) {
    text(bytes, |text| {
        for challenge in challenge::parse(text) {
            let _ = (challenge.get("realm"), challenge.get("scope"));
        }
    });
}

/// `Link`.
pub fn link(bytes: &[u8]) {
    text(bytes, |text| {
        let next = referrers::next_page(text);
        assert!(next.is_none_or(|next| text.contains(next)));
    });
}

/// `Content-Range` of a download and `Range` of an upload.
pub fn range(bytes: &[u8]) {
    text(bytes, |text| {
        let _ = transfer::parse_content_range(text);
        let _ = upload::parse_range(text);
    });
}

/// `Retry-After`, and `Date` behind a line feed.
pub fn retry_after(bytes: &[u8]) {
    text(bytes, |text| {
        let (value, date) = match text.split_once('\n') {
            Some((value, date)) => (value, Some(date)),
            None => (text, None),
        };
        let _ = retry::parse_retry_after(value, date);
    });
}

/// The configuration file of docker and podman; no login of it shows itself.
pub fn docker_config(bytes: &[u8]) {
    let Ok(config) = Config::parse(bytes) else {
        return;
    };
    for registry in ["docker.io", "h.example", "localhost:5000"] {
        let _ = config.helper(registry);
        if let Ok(Some(login)) = config.login(registry, "team/python") {
            assert!(
                format!("{login:?}").contains("<redacted>"),
                "a secret is shown"
            );
        }
    }
}
