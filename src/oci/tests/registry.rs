//! The registry client against Debian's docker-registry: logins, tokens, TLS, proxies.

mod support;

use std::time::Duration;

use oci::Digest;
use oci::registry::{
    Access, Endpoint, Http, HttpError, HttpOptions, Network, Proxies, Reference, Request, Secret,
};
use serde_json::json;
use support::certificates::Leaf;
use support::proxy::Proxy;
use support::real_registry::RealRegistry;
use support::{PASSWORD, REFRESH_TOKEN, USER};

const BLOB: &[u8] = b"a blob of the tests";

fn http(network: Network) -> Http {
    Http::new(HttpOptions {
        pause: Duration::from_millis(1),
        attempts: 2,
        network,
        ..HttpOptions::default()
    })
}

/// Panics if a secret shows.
fn shown(error: &HttpError) -> String {
    let text = format!("{error}; {:?}", error.hint());
    for text in [&text, &format!("{error:?} {error:#?}")] {
        assert!(!text.contains("canary"), "{text}");
    }
    text
}

/// Puts a blob into a repository: POST, PUT; then asks for it: HEAD, GET.
fn round_trip(http: &Http, address: &str, repository: &str) -> Result<(), HttpError> {
    let reference: Reference = format!("{address}/{repository}").parse().unwrap();
    let endpoint = Endpoint::new(http, &reference)?;
    upload(&endpoint, repository)?;
    let url = endpoint.url(repository, &format!("blobs/{}", Digest::of(BLOB)))?;
    let pull = Access::pull(repository);
    endpoint.send(&pull, &Request::head(url.clone()))?;
    let answer = endpoint.read(&pull, &Request::get(url), 1000)?;
    assert_eq!(answer.body, BLOB);
    Ok(())
}

fn upload(endpoint: &Endpoint, repository: &str) -> Result<(), HttpError> {
    let push = Access::push(repository);
    let start = Request::post(endpoint.url(repository, "blobs/uploads/")?).repeatable();
    let mut session = endpoint.location(&endpoint.send(&push, &start)?)?;
    session
        .query_pairs_mut()
        .append_pair("digest", &Digest::of(BLOB).to_string());
    let open = || Ok(Box::new(BLOB) as Box<dyn std::io::Read + Send>);
    let put = Request::put(session).stream(BLOB.len() as u64, &open);
    endpoint.once(&push, &put)?;
    Ok(())
}

#[test]
fn a_registry_without_logins() {
    let registry = RealRegistry::plain();
    round_trip(&http(Network::default()), registry.address(), "team/a").unwrap();
    assert!(!registry.log().contains("Authorization"));
}

#[test]
fn a_registry_with_passwords() {
    let registry = RealRegistry::htpasswd();
    round_trip(&http(registry.network()), registry.address(), "team/a").unwrap();
    let error = round_trip(&http(Network::default()), registry.address(), "team/a").unwrap_err();
    assert!(shown(&error).contains("no user and password are known for it"));
    let wrong = registry.network_with(&json!({"username": USER, "password": "canary-wrong"}));
    let error = round_trip(&http(wrong), registry.address(), "team/a").unwrap_err();
    assert!(shown(&error).contains("401"), "{error}");
}

#[test]
fn a_registry_with_tokens() {
    let registry = RealRegistry::token();
    let address = registry.address();
    round_trip(&http(registry.network()), address, "team/a").unwrap();
    // One to push and one to pull.
    assert_eq!(registry.tokens().given(), 2);
    let refresh = registry.network_with(&json!({"identitytoken": REFRESH_TOKEN}));
    round_trip(&http(refresh), address, "team/b").unwrap();
    let user_of_tokens = registry.network_with(&json!({"auth": "dXNlcjpjYW5hcnktcGFzc3dvcmQ="}));
    round_trip(&http(user_of_tokens), address, "public/a").unwrap();
    let pull = |network: Network| {
        let http = http(network);
        let endpoint = Endpoint::new(&http, &format!("{address}/public/a").parse().unwrap())?;
        let url = endpoint.url("public/a", &format!("blobs/{}", Digest::of(BLOB)))?;
        endpoint.read(&Access::pull("public/a"), &Request::get(url), 1000)
    };
    assert_eq!(pull(Network::default()).unwrap().body, BLOB);
    let error = round_trip(&http(Network::default()), address, "public/a").unwrap_err();
    assert!(shown(&error).contains("401"), "{error}");
    for login in [
        json!({"username": USER, "password": "canary-wrong"}),
        json!({"identitytoken": "canary-wrong"}),
    ] {
        let error = pull(registry.network_with(&login)).unwrap_err();
        let text = shown(&error);
        assert!(
            text.contains("the login for it is refused") && text.contains("docker login"),
            "{text}"
        );
    }
}

#[test]
fn a_token_that_runs_out_between_two_requests() {
    let registry = RealRegistry::token();
    let http = http(registry.network());
    let endpoint = Endpoint::new(
        &http,
        &format!("{}/team/a", registry.address()).parse().unwrap(),
    )
    .unwrap();
    registry.tokens().set_life(6);
    upload(&endpoint, "team/a").unwrap();
    assert_eq!(registry.tokens().given(), 1);
    std::thread::sleep(Duration::from_secs(7));
    upload(&endpoint, "team/a").unwrap();
    assert_eq!(registry.tokens().given(), 2);
    // Tokens that are refused at once are not asked for again and again.
    registry.tokens().set_life(-10);
    std::thread::sleep(Duration::from_secs(7));
    let error = upload(&endpoint, "team/a").unwrap_err();
    assert!(shown(&error).contains("401"), "{error}");
    assert_eq!(registry.tokens().given(), 3);
}

#[test]
fn a_token_that_runs_out_in_the_midst_of_an_upload() {
    let registry = RealRegistry::token();
    let http = http(registry.network());
    let reference = format!("{}/team/a", registry.address()).parse().unwrap();
    let endpoint = Endpoint::new(&http, &reference).unwrap();
    let push = Access::push("team/a");
    let url = endpoint.url("team/a", "blobs/uploads/").unwrap();
    registry.tokens().set_life(2);
    let started = endpoint.send(&push, &Request::post(url)).unwrap();
    let mut session = endpoint.location(&started).unwrap();
    let digest = Digest::of(BLOB).to_string();
    session.query_pairs_mut().append_pair("digest", &digest);
    std::thread::sleep(Duration::from_secs(3));
    let open = || Ok(Box::new(BLOB) as Box<dyn std::io::Read + Send>);
    let put = Request::put(session).stream(BLOB.len() as u64, &open);
    assert_eq!(endpoint.once(&push, &put).unwrap().status().as_u16(), 201);
    assert_eq!(registry.tokens().given(), 2);
}

#[test]
fn one_token_for_two_repositories() {
    let registry = RealRegistry::token();
    let http = http(registry.network());
    let endpoint = Endpoint::new(
        &http,
        &format!("{}/team/a", registry.address()).parse().unwrap(),
    )
    .unwrap();
    upload(&endpoint, "team/base").unwrap();
    let mount = format!("blobs/uploads/?mount={}&from=team/base", Digest::of(BLOB));
    let request = Request::post(endpoint.url("team/a", &mount).unwrap());
    let both = Access::push("team/a").and_pull("team/base");
    let response = endpoint.send(&both, &request).unwrap();
    assert_eq!(response.status().as_u16(), 201);
    assert_eq!(registry.tokens().given(), 2);
}

#[test]
fn a_private_ca() {
    let registry = RealRegistry::tls(Leaf::Good);
    round_trip(&http(registry.network()), registry.address(), "team/a").unwrap();
    let unverified = Network {
        insecure: [registry.address().to_owned()].into(),
        ..Network::default()
    };
    round_trip(&http(unverified), registry.address(), "team/a").unwrap();
    // Another CA's registry, and a host that is not named.
    let other = RealRegistry::tls(Leaf::Good);
    let strangers = [
        registry.network(),
        Network {
            insecure: ["127.0.0.1:1".to_owned()].into(),
            ..registry.network()
        },
    ];
    for network in strangers {
        let error = round_trip(&http(network), other.address(), "team/a").unwrap_err();
        let text = shown(&error);
        assert!(
            text.contains("signed by an authority unknown here") && text.contains("--ca-cert"),
            "{text}"
        );
    }
}

#[test]
fn certificates_that_are_wrong() {
    for (leaf, words, hint) in [
        (Leaf::Expired, "has expired", "clock"),
        (Leaf::Future, "is not valid yet", "clock"),
        (
            Leaf::OtherHost,
            "is for another host",
            "name that the certificate is for",
        ),
    ] {
        let registry = RealRegistry::tls(leaf);
        let error = round_trip(&http(registry.network()), registry.address(), "a").unwrap_err();
        assert!(matches!(error, HttpError::Tls { .. }), "{error:?}");
        let text = shown(&error);
        assert!(text.contains(words) && text.contains(hint), "{text}");
    }
}

#[test]
fn https_where_there_is_http_and_the_other_way_round() {
    let (plain, tls) = (RealRegistry::plain(), RealRegistry::tls(Leaf::Good));
    let error = round_trip(&http(tls.network()), plain.address(), "a").unwrap_err();
    let text = shown(&error);
    assert!(
        text.contains("does not speak TLS") && text.contains("--plain-http 127.0.0.1:"),
        "{text}"
    );
    let named = Network {
        plain_http: [plain.address().to_owned()].into(),
        ..tls.network()
    };
    round_trip(&http(named), plain.address(), "a").unwrap();
    let error = round_trip(&http(Network::default()), tls.address(), "a").unwrap_err();
    assert!(shown(&error).contains("400 Bad Request"), "{error}");
}

#[test]
fn through_a_proxy_that_wants_a_login() {
    let (registry, proxy) = (RealRegistry::tls(Leaf::Good), Proxy::start());
    let port = registry.address().rsplit_once(':').unwrap().1;
    let address = format!("registry.test:{port}");
    let network = |url: &str, no_proxy: &str| Network {
        proxies: Proxies {
            http: Some(("HTTP_PROXY", Secret::new(url))),
            https: Some(("HTTPS_PROXY", Secret::new(url))),
            no_proxy: no_proxy.to_owned(),
        },
        ..registry.network()
    };
    round_trip(&http(network(&proxy.url(), "")), &address, "a").unwrap();
    let asked = proxy.asked();
    assert!(
        !asked.is_empty()
            && asked
                .iter()
                .all(|line| line.starts_with("CONNECT registry.test:")),
        "{asked:?}"
    );

    let plain = RealRegistry::plain();
    let port = plain.address().rsplit_once(':').unwrap().1;
    let by_http = |network: Network| {
        let address = format!("registry.test:{port}");
        let plain_http = [address.clone()].into();
        round_trip(
            &http(Network {
                plain_http,
                ..network
            }),
            &address,
            "a",
        )
    };
    by_http(network(&proxy.url(), "")).unwrap();
    assert!(
        proxy
            .asked()
            .last()
            .unwrap()
            .starts_with("GET http://registry.test:")
    );

    // This machine is asked directly, and so is what NO_PROXY names: there is no such host.
    let before = proxy.asked().len();
    round_trip(&http(network(&proxy.url(), "")), registry.address(), "a").unwrap();
    for no_proxy in [
        "registry.test",
        ".test",
        "test",
        "*",
        "a.example, registry.test",
    ] {
        let error = round_trip(&http(network(&proxy.url(), no_proxy)), &address, "a").unwrap_err();
        assert!(
            matches!(error, HttpError::Unreachable { .. }),
            "{}",
            shown(&error)
        );
    }
    assert_eq!(proxy.asked().len(), before);

    let wrong = format!("http://{USER}:canary-wrong@{}", proxy.address());
    let error = round_trip(&http(network(&wrong, "")), &address, "a").unwrap_err();
    let text = shown(&error);
    assert!(
        text.contains("HTTPS_PROXY") && text.contains(proxy.address()),
        "{text}"
    );
    let error = by_http(network(&wrong, "")).unwrap_err();
    assert!(shown(&error).contains("the proxy wants a login"), "{error}");
    for bad in [
        "socks5://user:canary@h.example:1",
        "http://user:canary@:80",
        "canary canary",
    ] {
        let error = round_trip(&http(network(bad, "")), &address, "a").unwrap_err();
        assert!(
            shown(&error).contains("_PROXY is not the address of"),
            "{error}"
        );
    }
    assert!(!format!("{:?}", network(&format!("http://{PASSWORD}@h"), "")).contains("canary"));
}
