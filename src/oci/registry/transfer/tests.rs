//! Downloads from a server that fails on script.

use std::time::{Duration, Instant};

use super::super::faulty::{Answer, Server};
use super::super::{Http, Request, Secret, Url};
use super::*;

fn http() -> Http {
    Http::new(HttpOptions {
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(3),
        attempts: 3,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_secs(2),
        ..HttpOptions::default()
    })
}

fn body() -> Vec<u8> {
    (0..30_000u32).flat_map(u32::to_le_bytes).collect()
}

/// A download of `body()` over what is in the part already; returns what is in it afterwards.
fn try_over(
    server: &Server,
    size: Option<u64>,
    there: &[u8],
) -> (Result<(), TransferError>, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let part = dir.path().join("part");
    fs::write(&part, there).unwrap();
    let http = http();
    let get = Request::get(server.url("/file?signature=canary"))
        .authorization(Some(Secret::new("Bearer canary")));
    let mut open = |from| http.send(&get.clone().from(from));
    let mut last = 0;
    let result = download(
        http.options(),
        &Digest::of(&body()),
        size,
        &part,
        &mut open,
        &mut |at| last = at,
    );
    if let Err(error) = &result {
        assert!(
            !format!("{error} {error:?}").contains("canary"),
            "{error:?}"
        );
    } else if !server.requests().is_empty() {
        assert_eq!(last, body().len() as u64);
    }
    (result, fs::read(part).unwrap())
}

fn good(answers: impl IntoIterator<Item = Answer>, there: &[u8]) -> Vec<Option<String>> {
    let server = Server::script(answers);
    let (result, bytes) = try_over(&server, Some(body().len() as u64), there);
    result.unwrap();
    assert!(bytes == body());
    server.ranges()
}

fn bad(answers: impl IntoIterator<Item = Answer>, there: &[u8]) -> (TransferError, usize, Vec<u8>) {
    let server = Server::script(answers);
    let (result, bytes) = try_over(&server, Some(body().len() as u64), there);
    (result.unwrap_err(), server.requests().len(), bytes)
}

fn range(from: usize) -> Option<String> {
    Some(format!("bytes={from}-"))
}

#[test]
fn a_broken_transfer_is_resumed() {
    let all = body();
    let cuts = [
        Answer::ok(&all).cut(1000),
        Answer::from(1000, &all).cut(50_000),
        Answer::from(51_000, &all),
    ];
    assert_eq!(good(cuts, b""), [None, range(1000), range(51_000)]);
}

#[test]
fn an_earlier_run_is_resumed() {
    let all = body();
    assert_eq!(good([Answer::from(7, &all)], &all[..7]), [range(7)]);
    assert_eq!(good([], &all), []);
}

#[test]
fn progress_renews_the_patience() {
    let all = body();
    let cuts = (0..8).map(|i| {
        if i == 0 {
            Answer::ok(&all).cut(100)
        } else {
            Answer::from(100 * i, &all).cut(100)
        }
    });
    assert_eq!(good(cuts.chain([Answer::from(800, &all)]), b"").len(), 9);
    let (error, requests, bytes) = bad((0..8).map(|_| Answer::ok(&all).cut(0)), b"");
    assert!(
        matches!(error, TransferError::Http(HttpError::Broken { .. })),
        "{error}"
    );
    assert_eq!((requests, bytes.len()), (3, 0));
}

#[test]
fn what_came_is_kept_for_the_next_run() {
    let all = body();
    let answers = [Answer::ok(&all).cut(1000), Answer::status(403)];
    let (error, requests, bytes) = bad(answers, b"");
    assert_eq!(
        error
            .to_string()
            .split(' ')
            .skip(1)
            .collect::<Vec<_>>()
            .join(" "),
        "answered 403 Forbidden"
    );
    assert_eq!(requests, 2);
    assert!(bytes == all[..1000]);
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let all = body();
    assert_eq!(
        good([Answer::ok(&all).cut(1000), Answer::ok(&all)], b""),
        [None, range(1000)]
    );
}

#[test]
fn a_wrong_content_range_starts_over_once() {
    let all = body();
    let wrong = || Answer::from(10, &all);
    let none = Answer::ok(&all[7..]).with_status(206);
    assert_eq!(
        good([wrong(), Answer::ok(&all)], &all[..7]),
        [range(7), None]
    );
    assert_eq!(good([none, Answer::ok(&all)], &all[..7]), [range(7), None]);
    let other_total = Answer::from(7, &all[..100]);
    assert_eq!(
        good([other_total, Answer::ok(&all)], &all[..7]),
        [range(7), None]
    );
    let (error, requests, bytes) = bad([wrong(), wrong(), wrong()], &all[..7]);
    assert!(
        matches!(error, TransferError::Range { from: 0, .. }),
        "{error}"
    );
    assert_eq!((requests, bytes.len()), (2, 0));
}

#[test]
fn an_offset_beyond_the_end_starts_over_once() {
    let all = body();
    assert_eq!(
        good([Answer::status(416), Answer::ok(&all)], &all[..7]),
        [range(7), None]
    );
    let too_long = [all.clone(), vec![0]].concat();
    assert_eq!(good([Answer::ok(&all)], &too_long), [None]);
    let (error, requests, _) = bad([Answer::status(416), Answer::status(416)], &all[..7]);
    assert!(
        matches!(error, TransferError::Http(HttpError::Status { .. })),
        "{error}"
    );
    assert_eq!(requests, 2);
}

#[test]
fn busy_servers_are_asked_again_and_others_are_not() {
    let all = body();
    for status in [408, 429, 500, 502, 503, 504] {
        assert_eq!(
            good([Answer::status(status), Answer::ok(&all)], b"").len(),
            2,
            "{status}"
        );
        let (_, requests, _) = bad((0..9).map(|_| Answer::status(status)), b"");
        assert_eq!(requests, 3, "{status}");
    }
    for status in [400, 401, 403, 404, 410, 501] {
        let (error, requests, _) = bad([Answer::status(status), Answer::ok(&all)], b"");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(requests, 1, "{status}");
    }
}

#[test]
fn retry_after_is_obeyed() {
    let started = Instant::now();
    good(
        [
            Answer::status(429).header("Retry-After", "1"),
            Answer::ok(&body()),
        ],
        b"",
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
    let started = Instant::now();
    good(
        [
            Answer::status(429).header("Retry-After", "86400"),
            Answer::ok(&body()),
        ],
        b"",
    );
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn wrong_bytes_name_both_digests_and_leave_nothing() {
    let mut other = body();
    other[5] ^= 1;
    let (error, requests, bytes) = bad([Answer::ok(&other), Answer::ok(&body())], b"");
    let message = format!(
        "expected {}, got {}",
        Digest::of(&body()),
        Digest::of(&other)
    );
    assert_eq!((error.to_string(), requests, bytes.len()), (message, 1, 0));
}

#[test]
fn wrong_bytes_of_an_earlier_run_are_replaced() {
    let all = body();
    let mut other = all.clone();
    other[5] ^= 1;
    assert_eq!(
        good([Answer::from(9, &all), Answer::ok(&all)], &other[..9]),
        [range(9), None]
    );
    assert_eq!(good([Answer::ok(&all)], &other), [None]);
    let (error, requests, _) = bad(
        [Answer::from(9, &all), Answer::ok(&other), Answer::ok(&all)],
        &other[..9],
    );
    assert!(matches!(error, TransferError::Mismatch { .. }));
    assert_eq!(requests, 2);
}

#[test]
fn the_size_is_a_bound() {
    let all = body();
    let longer = [all.clone(), vec![0; 1000]].concat();
    for answer in [
        Answer::ok(&longer),
        Answer::ok(&longer).endless(),
        Answer::ok(&all[1..]),
    ] {
        let (error, requests, bytes) = bad([answer, Answer::ok(&all)], b"");
        assert!(
            matches!(
                error,
                TransferError::Size {
                    expected: 120_000,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!((requests, bytes.len()), (1, 0));
    }
    assert_eq!(
        good(
            [Answer::ok(&all[..9]).endless(), Answer::from(9, &all)],
            b""
        ),
        [None, range(9)]
    );
    let server = Server::script([Answer::ok(&all).endless()]);
    let (result, bytes) = try_over(&server, None, b"");
    result.unwrap();
    assert!(bytes == all);
}

#[test]
fn silence_breaks_the_transfer() {
    let all = body();
    let silent = Answer::ok(&all).silent_for(Duration::from_secs(60));
    let started = Instant::now();
    assert_eq!(good([silent, Answer::ok(&all)], b"").len(), 2);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn bytes_are_not_decoded() {
    let all = body();
    let server = Server::script([Answer::ok(&all).header("Content-Encoding", "gzip")]);
    let (result, bytes) = try_over(&server, None, b"");
    result.unwrap();
    assert!(bytes == all);
    assert_eq!(
        server.requests()[0].header("accept-encoding"),
        Some("identity")
    );
}

#[test]
fn nobody_there_is_known_at_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = http()
        .send(&Request::get(
            Url::parse(&format!("http://{closed}/")).unwrap(),
        ))
        .unwrap_err();
    assert_eq!(error.unreachable_host(), Some(closed.to_string().as_str()));
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[test]
fn credentials_stay_with_their_host() {
    let all = body();
    let other = Server::script([Answer::ok(&all)]);
    let target = other.url("/elsewhere");
    let server = Server::start(move |request| match request.path.as_str() {
        "/same" => Answer::status(307).header("Location", target.as_str()),
        _ => Answer::status(302).header("Location", "/same"),
    });
    let (result, _) = try_over(&server, None, b"");
    result.unwrap();
    let sent = |server: &Server| -> Vec<bool> {
        server
            .requests()
            .iter()
            .map(|request| request.header("authorization").is_some())
            .collect()
    };
    assert_eq!(
        (sent(&server), sent(&other)),
        (vec![true, true], vec![false])
    );
}

#[test]
fn redirects_end() {
    let server = Server::start(|_| Answer::status(302).header("Location", "/again"));
    let (result, _) = try_over(&server, None, b"");
    assert!(
        result
            .unwrap_err()
            .to_string()
            .ends_with("redirects more than 10 times")
    );
    assert_eq!(server.requests().len(), 11);
    for location in ["", "ftp://h.example/x", "http://"] {
        let server = Server::start(move |_| Answer::status(302).header("Location", location));
        let (result, _) = try_over(&server, None, b"");
        assert!(result.is_err(), "{location:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn content_ranges() {
    assert_eq!(parse_content_range("bytes 2-4/5"), Some((2, Some(5))));
    assert_eq!(parse_content_range("bytes 2-4/*"), Some((2, None)));
    for bad in [
        "",
        "bytes */5",
        "bytes 4-2/5",
        "bytes 2-5/5",
        "items 2-4/5",
        "bytes 2-4",
        "bytes -4/5",
    ] {
        assert_eq!(parse_content_range(bad), None, "{bad}");
    }
}
