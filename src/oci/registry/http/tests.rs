//! Redirects, repetitions, bodies and messages.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::faulty::{Answer as Reply, Server};
use super::super::{Proxies, Secret};
use super::error::message;
use super::*;

fn http(network: Network) -> Http {
    Http::new(HttpOptions {
        attempts: 4,
        pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(30),
        clock: Clock::simulated(),
        network,
        ..HttpOptions::default()
    })
}

fn hosts(hosts: &[&str]) -> std::collections::BTreeSet<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn next(network: &Network, asked: &str, from: &str, to: &'static str) -> Result<String, HttpError> {
    let mut headers = HeaderMap::new();
    headers.insert(LOCATION, to.parse().unwrap());
    let url = |text| Url::parse(text).unwrap();
    let next = network.next_hop(&url(asked), &url(from), &headers);
    next.map(|url| url.to_string())
}

#[test]
fn redirects_never_lose_https() {
    let https = "https://a.example/x/y";
    let network = Network::default();
    let next = |from: &str, to| next(&network, from, from, to).ok();
    assert_eq!(next(https, "z").as_deref(), Some("https://a.example/x/z"));
    assert_eq!(
        next(https, "//b.example/z").as_deref(),
        Some("https://b.example/z")
    );
    assert_eq!(
        next("http://a.example/", "https://b.example/").as_deref(),
        Some("https://b.example/")
    );
    for bad in [
        "http://a.example/",
        "file:///etc/passwd",
        "data:,x",
        "",
        "https://user:pw@b.example/",
    ] {
        assert_eq!(next(https, bad), None, "{bad}");
    }
}

#[test]
fn redirects_do_not_lead_into_the_local_network() {
    const INTERNAL: [&str; 14] = [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://localhost./",
        "http://a.localhost/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
    ];
    let outside = "http://registry.example/v2/";
    for to in INTERNAL {
        let error = next(&Network::default(), outside, outside, to).unwrap_err();
        assert!(error.to_string().contains("an internal address"), "{error}");
        // Also not by way of a third host.
        assert!(next(&Network::default(), outside, "http://cdn.example/", to).is_err());
        // A registry of the local network may: its storage is there, too.
        next(
            &Network::default(),
            "http://10.0.0.1:5000/v2/",
            "http://10.0.0.1:5000/v2/",
            to,
        )
        .unwrap();
    }
    let named = Network {
        plain_http: hosts(&["10.1.2.3:9000"]),
        ..Network::default()
    };
    next(&named, outside, outside, "http://10.1.2.3:9000/").unwrap();
    assert!(next(&named, outside, outside, "http://10.1.2.3:9001/").is_err());
    for to in [
        "http://8.8.8.8/",
        "http://100.128.0.1/",
        "http://172.32.0.1/",
    ] {
        next(&Network::default(), outside, outside, to).unwrap();
    }
}

#[test]
fn an_internal_redirect_is_not_asked() {
    // The name is not this machine's, so it is asked through the "proxy", which answers itself.
    let proxy = Server::start(|_| Reply::status(307).header("Location", "http://127.0.0.1:1/"));
    let http = http(behind(&proxy));
    let url = Url::parse("http://registry.example/v2/").unwrap();
    let error = http.send(&Request::get(url)).unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    assert_eq!(proxy.requests().len(), 1);
}

/// A network whose every name is this server.
fn behind(server: &Server) -> Network {
    let proxy = Secret::new(server.address());
    Network {
        proxies: Proxies {
            http: Some(("HTTP_PROXY", proxy)),
            ..Proxies::default()
        },
        ..Network::default()
    }
}

#[test]
fn hosts_are_compared_with_their_ports() {
    let network = Network {
        plain_http: hosts(&["a.example:80", "b.example", "c.example:5000"]),
        insecure: hosts(&["a.example:443", "localhost:5000"]),
        ..Network::default()
    };
    let api = |text: &str| {
        let reference = format!("{text}/x").parse().unwrap();
        network.api(&reference).unwrap().to_string()
    };
    for (registry, address) in [
        ("a.example", "http://a.example/v2/"),
        ("b.example:80", "http://b.example/v2/"),
        ("B.example", "http://b.example/v2/"),
        ("b.example:8080", "https://b.example:8080/v2/"),
        ("c.example:5000", "http://c.example:5000/v2/"),
        ("c.example", "https://c.example/v2/"),
        ("localhost:5000", "https://localhost:5000/v2/"),
        ("localhost:5001", "http://localhost:5001/v2/"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
        ("[::1]:5000", "http://[::1]:5000/v2/"),
        ("localhost.example", "https://localhost.example/v2/"),
        ("127.0.0.1.example", "https://127.0.0.1.example/v2/"),
        ("10.0.0.1:5000", "https://10.0.0.1:5000/v2/"),
        ("docker.io", "https://registry-1.docker.io/v2/"),
    ] {
        assert_eq!(api(registry), address);
    }
    let insecure = |url: &str| network.is_insecure(&Url::parse(url).unwrap());
    assert!(insecure("https://a.example/x") && insecure("https://localhost:5000/"));
    assert!(!insecure("https://a.example:5000/") && !insecure("https://b.example/"));
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
    let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way\u202e"}]}"#;
    assert_eq!(message(body), "DENIED: no[31m way");
    assert_eq!(
        message(br#"{"details":"wrong password"}"#),
        "wrong password"
    );
    let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(10_000));
    assert_eq!(message(long.as_bytes()).len(), 200);
    for other in [
        "<html>",
        "[]",
        "{}",
        r#"{"errors":{}}"#,
        r#"{"errors":[1]}"#,
        "",
    ] {
        assert_eq!(message(other.as_bytes()), "", "{other}");
    }
}

#[test]
fn an_error_s_body_is_read_in_part_only() {
    let mut body = vec![b' '; 64 << 10];
    body.extend(br#"{"errors":[{"code":"X"}]}"#);
    let server = Server::script([
        Reply::ok(&body).with_status(403),
        Reply::ok(&body[99..]).with_status(403),
    ]);
    let ask = || {
        http(Network::default())
            .send(&Request::get(server.url("/")))
            .unwrap_err()
    };
    assert_eq!(
        (ask().code().map(str::to_owned), ask().code()),
        (None, Some("X"))
    );
}

#[test]
fn answers_have_a_limit_and_come_whole() {
    let read = |replies: Vec<Reply>| {
        let server = Server::script(replies);
        let answer = http(Network::default()).read(&Request::get(server.url("/")), 100);
        (
            answer.map(|answer| answer.body.len()),
            server.requests().len(),
        )
    };
    let body = [7; 100];
    assert!(matches!(read(vec![Reply::ok(&body)]), (Ok(100), 1)));
    let cut = || Reply::ok(&body).cut(30);
    assert!(matches!(
        read(vec![cut(), cut(), Reply::ok(&body)]),
        (Ok(100), 3)
    ));
    assert!(matches!(
        read(vec![cut(), cut(), cut(), cut(), cut()]),
        (Err(HttpError::Broken { .. }), 4)
    ));
    for big in [Reply::ok(&[7; 101]), Reply::ok(&[7; 5000]).endless()] {
        let (answer, requests) = read(vec![big]);
        assert!(matches!(answer, Err(HttpError::TooBig { limit: 100, .. })));
        assert_eq!(requests, 1);
    }
}

/// How often a request is sent if nothing but this comes of it.
fn sendings(reply: &Reply, request: impl Fn(Url) -> Request<'static>) -> (usize, HttpError) {
    let reply = reply.clone();
    let server = Server::start(move |_| reply.clone());
    let error = http(Network::default())
        .read(&request(server.url("/x")), 100)
        .unwrap_err();
    (server.requests().len(), error)
}

#[test]
fn only_what_is_safe_is_repeated() {
    let busy = [408, 429, 499, 500, 502, 503, 504, 522].map(Reply::status);
    for reply in busy
        .iter()
        .chain([&Reply::nothing(), &Reply::ok(b"12").cut(1)])
    {
        assert_eq!(sendings(reply, Request::get).0, 4);
        assert_eq!(sendings(reply, |url| Request::post(url).repeatable()).0, 4);
        assert_eq!(
            sendings(reply, |url| Request::put(url).bytes(b"m").repeatable()).0,
            4
        );
        for method in [Request::post, Request::put, Request::patch, Request::delete] {
            assert_eq!(sendings(reply, method).0, 1);
        }
    }
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 416, 501] {
        let (sent, error) = sendings(&Reply::status(status), Request::get);
        assert_eq!(
            (sent, error.status().map(|it| it.as_u16())),
            (1, Some(status))
        );
    }
}

#[test]
fn pauses_double_and_end() {
    let pauses = |reply: Reply| {
        let server = Server::start(move |_| reply.clone());
        let http = http(Network::default());
        assert!(http.read(&Request::get(server.url("/")), 1).is_err());
        http.options().clock.pauses()
    };
    let busy = pauses(Reply::status(503));
    assert_eq!(busy.len(), 3);
    for (pause, longest) in busy.iter().zip([1.0, 2.0, 4.0]) {
        assert!(
            (longest / 2.0..=longest).contains(&pause.as_secs_f64()),
            "{pause:?}"
        );
    }
    // Two clients do not come back together.
    assert_ne!(busy, pauses(Reply::status(503)));
    let asked = |after: &str| {
        let date = "Sun, 22 Nov 2026 12:00:00 GMT";
        pauses(
            Reply::status(429)
                .header("Date", date)
                .header("Retry-After", after),
        )
    };
    assert_eq!(asked("7"), [7; 3].map(Duration::from_secs));
    assert_eq!(
        asked("Sun, 22 Nov 2026 12:00:09 GMT"),
        [9; 3].map(Duration::from_secs)
    );
    assert_eq!(asked("86400"), [30; 3].map(Duration::from_secs));
    assert_eq!(asked("99999999999999999999").len(), 3);
}

#[test]
fn patience_ends() {
    let server = Server::start(|_| Reply::status(503).header("Retry-After", "25"));
    let http = Http::new(HttpOptions {
        attempts: 1000,
        longest_pause: Duration::from_secs(30),
        patience: Duration::from_secs(110),
        clock: Clock::simulated(),
        ..HttpOptions::default()
    });
    assert!(http.read(&Request::get(server.url("/")), 1).is_err());
    assert_eq!(http.options().clock.pauses().len(), 4);
}

#[test]
fn a_body_is_streamed_and_can_be_sent_again() {
    let target = "/moved";
    let server = Server::start(move |request| match request.path.as_str() {
        "/moved" => Reply::status(201),
        _ => Reply::status(307).header("Location", target),
    });
    let opened = AtomicUsize::new(0);
    let body = vec![5u8; 300_000];
    let open = || {
        opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(io::Cursor::new(body.clone())) as Box<dyn Read + Send>)
    };
    let put = Request::put(server.url("/x")).stream(body.len() as u64, &open);
    let answer = http(Network::default()).send(&put).unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let requests = server.requests();
    for request in &requests {
        assert_eq!(
            (request.method.as_str(), request.body.len()),
            ("PUT", 300_000)
        );
        assert_eq!(request.header("content-length"), Some("300000"));
        assert_eq!(request.header("transfer-encoding"), None);
    }
    assert_eq!((requests.len(), opened.load(Ordering::SeqCst)), (2, 2));
    let failing = || Err(io::Error::other("the disk is gone"));
    let put = Request::put(server.url("/x")).stream(5, &failing);
    let error = http(Network::default()).send(&put).unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[test]
fn a_server_that_does_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let http = Http::new(HttpOptions {
        stall_timeout: Duration::from_secs(1),
        ..HttpOptions::default()
    });
    let open = || Ok(Box::new(io::repeat(7)) as Box<dyn Read + Send>);
    // One is too long for the buffers in between, the other gets there, and no answer comes back.
    for length in [64 << 20, 1000] {
        let started = std::time::Instant::now();
        let put = Request::put(url.clone()).stream(length, &open);
        let error = http.send(&put).unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{length}");
    }
}

#[test]
fn a_slow_body_is_not_given_up() {
    /// A byte at a time.
    struct Slow;
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(300));
            buffer[0] = 7;
            Ok(1)
        }
    }
    let server = Server::start(|_| Reply::status(201));
    let http = Http::new(HttpOptions {
        stall_timeout: Duration::from_millis(900),
        ..HttpOptions::default()
    });
    let open = || Ok(Box::new(Slow) as Box<dyn Read + Send>);
    http.send(&Request::put(server.url("/")).stream(8, &open))
        .unwrap();
    assert_eq!(server.requests()[0].body, [7; 8]);
}

#[test]
fn nothing_says_how_long_it_is() {
    let server = Server::start(|_| Reply::status(200));
    let http = http(Network::default());
    for request in [Request::post, Request::put, Request::patch] {
        http.send(&request(server.url("/"))).unwrap();
    }
    for request in [Request::get, Request::head] {
        http.send(&request(server.url("/"))).unwrap();
    }
    let lengths: Vec<Option<String>> = server
        .requests()
        .iter()
        .map(|it| it.header("content-length").map(str::to_owned))
        .collect();
    assert_eq!(
        lengths[..3],
        [const { "0" }; 3].map(|it| Some(it.to_owned()))
    );
    assert_eq!(lengths[3..], [None, None]);
}

#[test]
fn what_is_sent_stays_with_its_host() {
    let other = Server::start(|_| Reply::status(201));
    for status in [301, 302, 303, 307, 308] {
        let target = other.url("/x").to_string();
        let server = Server::start(move |_| Reply::status(status).header("Location", &target));
        for request in [Request::post, Request::put, Request::patch, Request::delete] {
            let request = request(server.url("/x")).authorization(Some(Secret::new("canary")));
            let error = http(Network::default()).send(&request).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }
    assert_eq!(other.requests().len(), 0);
    // The method of these would have to change to GET.
    for status in [301, 302, 303] {
        let server = Server::start(move |_| Reply::status(status).header("Location", "/y"));
        assert!(
            http(Network::default())
                .send(&Request::put(server.url("/x")))
                .is_err()
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn amazon_s_registry_hangs_up() {
    let proxy = Server::start(|_| Reply::nothing());
    let network = behind(&proxy);
    let host = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let url = |path: &str| Url::parse(&format!("http://{host}/v2/team/a/{path}")).unwrap();
    let http = http(network);
    let error = http
        .send(&Request::post(url("blobs/uploads/")))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{host} hung up on an upload: the repository is missing, or there is no permission to upload to it"
        )
    );
    assert!(error.hint().unwrap().contains("aws ecr create-repository") && !error.is_transient());
    let error = http.send(&Request::get(url("manifests/1"))).unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }), "{error}");
}
