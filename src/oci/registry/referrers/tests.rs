//! Attaching to an image, with and without the referrers API.

use super::super::fake::{Fault, Registry, Request as Received, State, answer};
use super::super::{Clock, Http, HttpOptions, Reference};
use super::*;

const REPOSITORY: &str = "team/python";

fn with<T>(registry: &Registry, act: impl FnOnce(&Referrers) -> T) -> T {
    let options = HttpOptions {
        clock: Clock::simulated(),
        ..HttpOptions::default()
    };
    let http = Http::new(options);
    let reference: Reference = format!("{}/{REPOSITORY}", registry.address)
        .parse()
        .unwrap();
    let endpoint = Endpoint::new(&http, &reference).unwrap();
    act(&Referrers {
        endpoint: &endpoint,
        repository: REPOSITORY,
        subject: subject().digest,
    })
}

fn subject() -> Descriptor {
    Descriptor {
        media_type: media_type::MANIFEST.to_owned(),
        digest: Digest::of(b"subject"),
        size: 7,
    }
}

/// A registry that has the blobs of `sbom`.
fn state() -> State {
    let mut state = State::default();
    for bytes in [EMPTY_CONFIG, b"sbom"] {
        let key = (REPOSITORY.to_owned(), Digest::of(bytes).to_string());
        state.blobs.insert(key, bytes.to_vec());
    }
    state
}

fn sbom(kind: &str, number: usize) -> Document {
    let file = Descriptor {
        media_type: "text/plain".to_owned(),
        digest: Digest::of(b"sbom"),
        size: 4,
    };
    let annotations = BTreeMap::from([("number".to_owned(), number.to_string())]);
    artifact(
        kind,
        &subject(),
        &[(file, "sbom.txt".to_owned())],
        &annotations,
    )
}

fn is_put_of_the_fallback(request: &Received) -> bool {
    request.method == "PUT" && request.path.contains("/manifests/sha256-")
}

#[test]
fn an_artifact_says_what_it_is() {
    let links = Links::parse(&sbom("application/spdx+json", 1).bytes).unwrap();
    assert_eq!(
        links.artifact_type.as_deref(),
        Some("application/spdx+json")
    );
    assert_eq!(links.subject, Some(subject().digest));
    let blobs: Vec<Digest> = links.blobs.iter().map(|blob| blob.digest).collect();
    assert_eq!(blobs, [Digest::of(b"{}"), Digest::of(b"sbom")]);
}

#[test]
fn the_api_is_used_where_there_is_one() {
    let mut state = state();
    state.referrers = Some(2);
    let registry = Registry::start(state);
    with(&registry, |referrers| {
        assert!(referrers.list(None).unwrap().is_empty());
        for number in 0..5 {
            let kind = if number == 3 { "a/b" } else { "c/d" };
            referrers.put(&sbom(kind, number)).unwrap();
        }
        // Three pages.
        assert_eq!(referrers.list(None).unwrap().len(), 5);
        let filtered = referrers.list(Some("a/b")).unwrap();
        assert_eq!(filtered.len(), 1);
        assert_eq!(filtered[0].digest, sbom("a/b", 3).digest);
    });
    let tags = registry
        .state()
        .manifests
        .keys()
        .filter(|(_, name)| !name.contains(':'))
        .count();
    assert_eq!(tags, 0, "the fallback is for registries without the API");
}

#[test]
fn the_fallback_tag_is_used_where_there_is_none() {
    let registry = Registry::start(state());
    with(&registry, |referrers| {
        assert!(referrers.list(None).unwrap().is_empty());
        for number in [2, 0, 1, 1] {
            referrers.put(&sbom("a/b", number)).unwrap();
        }
        let found = referrers.list(None).unwrap();
        assert_eq!(found.len(), 3);
        assert!(found.is_sorted_by_key(|entry| entry.digest));
        assert_eq!(found[0].artifact_type.as_deref(), Some("a/b"));
        assert!(found[0].annotations.contains_key("number"));
        assert!(referrers.list(Some("c/d")).unwrap().is_empty());
    });
    let tag = format!("sha256-{}", subject().digest.hex());
    let state = registry.state();
    let (kind, _) = &state.manifests[&(REPOSITORY.to_owned(), tag)];
    assert_eq!(kind, media_type::INDEX);
}

#[test]
fn what_others_wrote_in_between_is_kept() {
    let mut puts = 0;
    let script = move |request: &Received| {
        // The first write is answered, and lost.
        puts += usize::from(is_put_of_the_fallback(request));
        (is_put_of_the_fallback(request) && puts == 1).then(|| Fault::Answer(answer(201)))
    };
    let registry = Registry::scripted(state(), script);
    with(&registry, |referrers| {
        referrers.put(&sbom("a/b", 1)).unwrap();
        assert_eq!(referrers.list(None).unwrap().len(), 1);
    });
    let loses =
        |request: &Received| is_put_of_the_fallback(request).then(|| Fault::Answer(answer(201)));
    let registry = Registry::scripted(state(), loses);
    let error = with(&registry, |referrers| referrers.put(&sbom("a/b", 1))).unwrap_err();
    assert!(
        matches!(error, ReferrersError::Overwritten { .. }),
        "{error}"
    );
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), MAX_WRITES);
}

#[test]
fn a_refusal_is_not_taken_for_a_missing_api() {
    for status in [400, 401, 403, 500] {
        let script = move |request: &Received| {
            request
                .path
                .contains("/referrers/")
                .then(|| Fault::Answer(answer(status)))
        };
        let registry = Registry::scripted(state(), script);
        let error = with(&registry, |referrers| referrers.list(None)).unwrap_err();
        assert!(
            matches!(error, ReferrersError::List { .. }),
            "{status}: {error}"
        );
        assert_eq!(registry.count("GET", "/manifests/"), 0);
    }
}

#[test]
fn a_list_that_leads_astray_is_not_followed() {
    let page = |link: &'static str| {
        move |request: &Received| {
            let index = Document::index(&[]);
            request.path.contains("/referrers/").then(|| {
                Fault::Answer(
                    answer(200)
                        .header("Content-Type", media_type::INDEX)
                        .header("Link", link)
                        .body(&index.bytes),
                )
            })
        }
    };
    for link in [
        "<http://169.254.169.254/x>; rel=\"next\"",
        "<https://127.0.0.1:1/x>; rel=next",
    ] {
        let registry = Registry::scripted(state(), page(link));
        let error = with(&registry, |referrers| referrers.list(None)).unwrap_err();
        assert!(matches!(error, ReferrersError::Pages { .. }), "{error}");
        assert_eq!(registry.log().len(), 1);
    }
    let registry = Registry::scripted(
        state(),
        page("</v2/team/python/referrers/x?again>; rel=\"next\""),
    );
    let error = with(&registry, |referrers| referrers.list(None)).unwrap_err();
    assert!(matches!(error, ReferrersError::Pages { .. }), "{error}");
    assert_eq!(registry.log().len(), MAX_PAGES);
}

#[test]
fn links_are_parsed() {
    for (link, next) in [
        ("</v2/x?n=1>; rel=\"next\"", Some("/v2/x?n=1")),
        ("<a>; rel=prev, <b>; title=x; rel=next", Some("b")),
        ("<a>; rel=\"prev\"", None),
        ("a; rel=next", None),
        ("<a", None),
        ("", None),
    ] {
        assert_eq!(next_page(link), next, "{link}");
    }
}
