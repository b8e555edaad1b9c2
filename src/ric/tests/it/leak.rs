//! Memory over very many invocations. Ignored, because it takes minutes: `cargo test --release -p ric --test it -- --ignored
//! --nocapture leak`.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::function::function;
use crate::host;

const INVOCATIONS: usize = 1_000_000;
const EARLY: usize = 10_000;
/// Pages that were touched late and caches that grew to their size.
const ALLOWED_GROWTH_IN_KB: u64 = 1024;

const SOURCE: &str = "\
def handler(event, context):
    kind = event['number'] % 50
    if kind == 0: raise ValueError('no')
    if kind == 1: return (part for part in ['a', 'b'])
    if kind == 2: return coroutine(event)
    if kind == 3: return pieces()
    if kind == 4: return {1, 2}
    return event

async def coroutine(event):
    if event['number'] % 100 == 2: raise ValueError('no')
    return event

async def pieces():
    yield 'a'
    yield b'b'
";

static SERVED: AtomicUsize = AtomicUsize::new(0);

/// Answers requests on a connection; the bodies of posts are thrown away.
fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut raw = Vec::new();
    let mut buffer = vec![0; 65536];
    loop {
        let end = loop {
            let head_end = raw.windows(4).position(|window| window == b"\r\n\r\n");
            let head = String::from_utf8_lossy(&raw[..head_end.unwrap_or(0)]).into_owned();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let end = match head_end {
                Some(_) if head.contains("chunked") => raw
                    .windows(5)
                    .position(|window| window == b"0\r\n\r\n")
                    .map(|at| at + 5),
                Some(end) => Some(end + 4 + length.unwrap_or(0)).filter(|&end| end <= raw.len()),
                None => None,
            };
            if let Some(end) = end {
                break end;
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                count => raw.extend_from_slice(&buffer[..count]),
            }
        };
        let is_next = raw.starts_with(b"GET");
        raw.drain(..end);
        if is_next {
            let number = SERVED.fetch_add(1, Ordering::SeqCst);
            if number == INVOCATIONS {
                loop {
                    thread::park();
                }
            }
            let event = format!(r#"{{"number": {number}, "list": [1.5, null, "text"]}}"#);
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {number}\r\nLambda-Runtime-Trace-Id: Root={number}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
                event.len()
            )?;
        } else {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
        }
    }
}

fn resident_kilobytes(process: u32) -> u64 {
    let status = host::read(format!("/proc/{process}/status").as_ref());
    let status = String::from_utf8(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

#[test]
#[ignore = "takes minutes"]
fn a_million_invocations_leak_nothing() {
    let Some(f) = function(SOURCE) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(|| converse(stream));
        }
    });
    let mut child = f
        .command(&f.program("bootstrap"))
        .arg("app.handler")
        .env("AWS_LAMBDA_RUNTIME_API", &address)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut sizes = Vec::new();
    for mark in [EARLY, INVOCATIONS / 10, INVOCATIONS / 2, INVOCATIONS - 1] {
        while SERVED.load(Ordering::SeqCst) < mark {
            thread::sleep(std::time::Duration::from_millis(5));
            assert!(child.try_wait().unwrap().is_none(), "the runtime ended");
        }
        sizes.push((mark, resident_kilobytes(child.id())));
    }
    println!("invocations and resident kB: {sizes:?}");
    let _ = child.kill();
    child.wait().unwrap();
    host::remove(&f.folder);
    let (first, last) = (sizes[0].1, sizes[sizes.len() - 1].1);
    assert!(last < first + ALLOWED_GROWTH_IN_KB, "{sizes:?}");
}
