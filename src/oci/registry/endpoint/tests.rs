//! Registries that ask for logins, in ways good and bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::header::CONTENT_TYPE;

use super::super::faulty::{Answer as Reply, Request as Heard, Server};
use super::super::{Clock, HttpOptions, Keychain, Network};
use super::*;

fn http(network: Network) -> Http {
    Http::new(HttpOptions {
        attempts: 3,
        clock: Clock::simulated(),
        network,
        ..HttpOptions::default()
    })
}

fn password() -> Credentials {
    Credentials::Password {
        username: "user".into(),
        password: Secret::new("canary"),
    }
}

fn network(server: &Server, credentials: Credentials) -> Network {
    Network {
        keychain: Keychain::fixed(server.address(), &credentials),
        ..Network::default()
    }
}

fn endpoint<'h>(http: &'h Http, server: &Server) -> Endpoint<'h> {
    let reference = format!("{}/team/a", server.address());
    Endpoint::new(http, &reference.parse().unwrap()).unwrap()
}

fn ask(endpoint: &Endpoint, access: &Access) -> Result<Vec<u8>, HttpError> {
    let url = endpoint.url("team/a", "tags/list").unwrap();
    let answer = endpoint.read(access, &Request::get(url), 1000);
    if let Err(error) = &answer {
        let shown = format!("{error} {error:?} {:?}", error.hint());
        assert!(!shown.contains("canary"), "{shown}");
    }
    Ok(answer?.body)
}

/// A token server that gives `canary-1`, `canary-2` …, with more in its answer; and how many it gave.
fn tokens(more: &'static str) -> (Arc<Server>, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let count = given.clone();
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(format!(r#"{{"token":"canary-{number}"{more}}}"#).as_bytes())
    });
    (Arc::new(server), given)
}

/// A registry that takes what `takes` takes, and otherwise names a token server.
fn registry(
    realm: String,
    more: &'static str,
    takes: impl Fn(&str) -> bool + Send + 'static,
) -> Server {
    Server::start(move |request| match request.header("authorization") {
        Some(token) if takes(token) => Reply::ok(b"{}"),
        _ => Reply::status(401).header(
            "WWW-Authenticate",
            &format!(r#"Bearer realm="{realm}",service="s"{more}"#),
        ),
    })
}

fn authorizations(server: &Server) -> Vec<Option<String>> {
    let requests = server.requests();
    let of = |request: &Heard| request.header("authorization").map(str::to_owned);
    requests.iter().map(of).collect()
}

#[test]
fn many_threads_log_in_once() {
    let (tokens, given) = tokens("");
    let server = registry(tokens.url("/t").into(), "", |token| {
        token.starts_with("Bearer canary-")
    });
    let http = http(Network::default());
    let endpoint = endpoint(&http, &server);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ask(&endpoint, &Access::pull("team/a")).unwrap());
        }
    });
    assert_eq!(given.load(Ordering::SeqCst), 1);
}

#[test]
fn a_token_is_used_as_long_as_it_is_good() {
    for (more, good_for) in [
        (r#","expires_in":300"#, 300),
        (
            r#","expires_in":300,"issued_at":"1999-01-01T00:00:00Z""#,
            300,
        ),
        ("", 60),
        (r#","expires_in":0"#, 60),
        (r#","expires_in":-7"#, 60),
    ] {
        let (tokens, given) = tokens(more);
        let server = registry(tokens.url("/t").into(), "", |_| true);
        let http = http(Network::default());
        let endpoint = endpoint(&http, &server);
        let ask = || ask(&endpoint, &Access::pull("team/a")).unwrap();
        ask();
        http.options()
            .clock
            .advance(Duration::from_secs(good_for - 1));
        ask();
        assert_eq!(given.load(Ordering::SeqCst), 1, "{more}");
        http.options().clock.advance(Duration::from_secs(1));
        ask();
        // Nobody had to say again that a token is wanted.
        assert_eq!(
            (given.load(Ordering::SeqCst), server.requests().len()),
            (2, 4),
            "{more}"
        );
    }
}

#[test]
fn each_access_has_its_own_token() {
    let (tokens, given) = tokens("");
    let server = registry(tokens.url("/t").into(), "", |_| true);
    let http = http(Network::default());
    let endpoint = endpoint(&http, &server);
    let (pull, push) = (Access::pull("team/a"), Access::push("team/a"));
    for access in [
        &pull,
        &push,
        &pull,
        &push,
        &push.clone().and_pull("team/base"),
    ] {
        ask(&endpoint, access).unwrap();
    }
    assert_eq!(given.load(Ordering::SeqCst), 3);
    let scopes: Vec<String> = tokens.requests().iter().map(|it| it.path.clone()).collect();
    assert_eq!(
        scopes,
        [
            "/t?service=s&scope=repository%3Ateam%2Fa%3Apull",
            "/t?service=s&scope=repository%3Ateam%2Fa%3Apull%2Cpush",
            "/t?service=s&scope=repository%3Ateam%2Fa%3Apull%2Cpush&scope=repository%3Ateam%2Fbase%3Apull",
        ]
    );
    assert_eq!(
        authorizations(&server),
        [
            None,
            Some("Bearer canary-1"),
            Some("Bearer canary-2"),
            Some("Bearer canary-1"),
            Some("Bearer canary-2"),
            Some("Bearer canary-3")
        ]
        .map(|it| it.map(str::to_owned))
    );
}

#[test]
fn what_a_token_lacks_is_asked_for_once() {
    let (tokens, given) = tokens("");
    let more = r#",scope="repository:team/a:pull registry:catalog:*",error="insufficient_scope""#;
    let server = registry(tokens.url("/t").into(), more, |token| {
        token == "Bearer canary-2"
    });
    let http = http(Network::default());
    let endpoint = endpoint(&http, &server);
    let access = Access::pull("team/a");
    assert!(ask(&endpoint, &access).is_err());
    assert_eq!(given.load(Ordering::SeqCst), 1);
    ask(&endpoint, &access).unwrap();
    assert!(
        tokens.requests()[1]
            .path
            .ends_with("scope=registry%3Acatalog%3A*&scope=repository%3Ateam%2Fa%3Apull")
    );
}

#[test]
fn a_refresh_token_is_sent_in_a_form() {
    let (tokens, _) = tokens("");
    let server = registry(tokens.url("/t").into(), "", |token| {
        token == "Bearer canary-1"
    });
    let http = http(network(
        &server,
        Credentials::IdentityToken(Secret::new("canary+/=")),
    ));
    ask(
        &endpoint(&http, &server),
        &Access::pull("team/a").and_pull("b"),
    )
    .unwrap();
    let asked = &tokens.requests()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/t"));
    assert_eq!(
        asked.header(CONTENT_TYPE.as_str()),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=refresh_token&client_id=imgbuild&service=s\
         &scope=repository%3Ab%3Apull+repository%3Ateam%2Fa%3Apull&refresh_token=canary%2B%2F%3D"
    );
    assert_eq!(asked.header("authorization"), None);
}

#[test]
fn a_registry_token_is_sent_as_it_is() {
    let (tokens, given) = tokens("");
    let server = registry(tokens.url("/t").into(), "", |token| {
        token == "Bearer canary"
    });
    let http = http(network(
        &server,
        Credentials::RegistryToken(Secret::new("canary")),
    ));
    ask(&endpoint(&http, &server), &Access::pull("team/a")).unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 0);
}

#[test]
fn a_token_server_that_is_busy_is_asked_again() {
    let tokens = Server::script([
        Reply::status(503),
        Reply::ok(br#"{"token":"canary-1"}"#).cut(5),
        Reply::ok(br#"{"token":"canary-1"}"#),
    ]);
    let server = registry(tokens.url("/t").into(), "", |_| true);
    let http = http(Network::default());
    ask(&endpoint(&http, &server), &Access::pull("team/a")).unwrap();
    assert_eq!(
        (tokens.requests().len(), http.options().clock.pauses().len()),
        (3, 2)
    );
}

#[test]
fn token_servers_that_answer_nonsense() {
    let big = vec![b' '; 2 << 20];
    for (reply, words) in [
        (Reply::ok(b"<html>canary"), "not a token"),
        (Reply::ok(b"{}"), "no token"),
        (Reply::ok(br#"{"token":""}"#), "no token"),
        (
            Reply::ok(br#"{"token":"canary\r\nEvil: 1"}"#),
            "bytes that no header may have",
        ),
        (Reply::ok(br#"{"token":["canary"]}"#), "not a token"),
        (Reply::ok(&big), "more than 1048576 bytes"),
        (Reply::status(404), "404"),
        (Reply::status(401), "no login is known for it"),
        (
            Reply::status(302).header("Location", "/elsewhere?canary"),
            "302",
        ),
    ] {
        let tokens = Server::start(move |_| reply.clone());
        let server = registry(tokens.url("/t?canary").into(), "", |_| true);
        let http = http(Network::default());
        let error = ask(&endpoint(&http, &server), &Access::pull("team/a")).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert_eq!(tokens.requests().len(), 1, "{words}");
    }
}

#[test]
fn challenges_that_cannot_be_met() {
    for challenge in [
        "Bearer realm=\"/token\"",
        "Bearer",
        "Bearer realm=\"https://169.254.169.254/latest/meta-data\"",
        "Bearer realm=\"http://auth.example/token\"",
        "Bearer realm=\"http://127.0.0.2:1/token\"",
        "Bearer realm=\"http://user:canary@127.0.0.1:1/token\"",
        "Negotiate",
        "Digest realm=\"x\"",
    ] {
        let server =
            Server::start(move |_| Reply::status(401).header("WWW-Authenticate", challenge));
        let http = http(network(&server, password()));
        let error = ask(&endpoint(&http, &server), &Access::pull("team/a")).unwrap_err();
        assert!(
            matches!(error, HttpError::Login { .. }),
            "{challenge}: {error}"
        );
        assert_eq!(authorizations(&server), [None], "{challenge}");
    }
}

#[test]
fn an_upload_at_another_host_gets_no_login() {
    let challenge = "Basic realm=\"phish\"";
    let other = Server::start(move |_| Reply::status(401).header("WWW-Authenticate", challenge));
    let target = other.url("/upload?state=1").to_string();
    let server = Server::start(move |request| match request.header("authorization") {
        Some(_) => Reply::status(202).header("Location", &target),
        None => Reply::status(401).header("WWW-Authenticate", challenge),
    });
    let http = http(network(&server, password()));
    let endpoint = endpoint(&http, &server);
    let access = Access::push("team/a");
    let start = Request::post(endpoint.url("team/a", "blobs/uploads/").unwrap());
    let location = endpoint
        .location(&endpoint.once(&access, &start).unwrap())
        .unwrap();
    let error = endpoint
        .once(&access, &Request::put(location).bytes(b"blob"))
        .unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 401);
    assert_eq!(authorizations(&other), [None]);
}

#[test]
fn where_an_upload_may_go_on() {
    let location = |location: &'static str| {
        let server = Server::start(move |_| Reply::status(202).header("Location", location));
        let http = http(Network::default());
        let endpoint = endpoint(&http, &server);
        let start = Request::post(endpoint.url("team/a", "blobs/uploads/").unwrap());
        let response = endpoint.once(&Access::push("team/a"), &start).unwrap();
        let location = endpoint.location(&response).map(|url| url.to_string());
        location.map(|url| url.replace(server.address(), "HERE"))
    };
    for (given, there) in [
        (
            "/v2/team/a/blobs/uploads/1?a=b",
            "http://HERE/v2/team/a/blobs/uploads/1?a=b",
        ),
        ("1?a=b", "http://HERE/v2/team/a/blobs/uploads/1?a=b"),
        (
            "https://storage.example/x?sig=1",
            "https://storage.example/x?sig=1",
        ),
    ] {
        assert_eq!(location(given).unwrap(), there);
    }
    for bad in [
        "",
        "file:///etc/passwd",
        "http://user:canary@h.example/",
        "http://",
    ] {
        let error = location(bad).unwrap_err();
        assert!(matches!(error, HttpError::Redirect { .. }), "{bad}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
