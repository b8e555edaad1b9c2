//! A proxy that asks for a login: CONNECT for https, whole addresses for http. It sends every name to this machine.

use std::io::{BufReader, Write as _, copy};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::http_server::{Heard, answer, listen};
use super::{PASSWORD, USER};

/// A proxy.
pub struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts it.
    pub fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        let address = listen(move |stream| {
            let _ = serve(stream, &kept);
        });
        Self { address, asked }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As in HTTPS_PROXY, with the login.
    pub fn url(&self) -> String {
        format!("http://{USER}:{PASSWORD}@{}", self.address)
    }

    /// The request lines so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let heard = Heard::read(&mut reader)?;
    let login = format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"))
    );
    asked.lock().unwrap().push(heard.line.clone());
    if heard.header("proxy-authorization") != Some(&login) {
        answer(stream, 407, b"");
        return None;
    }
    let connects = heard.method() == "CONNECT";
    let target = heard.target().trim_start_matches("http://");
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    let mut there = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    if connects {
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").ok()?;
    } else {
        let mut head = format!(
            "{} /{path} HTTP/1.1\r\nConnection: close\r\n",
            heard.method()
        );
        for (name, value) in &heard.headers {
            if !name.starts_with("proxy-") && name != "connection" {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        there.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        there.write_all(&heard.body).ok()?;
    }
    let (mut back, mut forth) = (there.try_clone().ok()?, stream.try_clone().ok()?);
    std::thread::spawn(move || {
        drop(copy(&mut back, &mut forth));
        drop(forth.shutdown(Shutdown::Write));
    });
    drop(copy(&mut reader, &mut there));
    drop(there.shutdown(Shutdown::Write));
    Some(())
}
