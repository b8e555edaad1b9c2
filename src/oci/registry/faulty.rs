//! A server for tests that answers as it is told, also in ways that no real one would. Each connection carries one
//! request; all requests are kept.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Url;

/// What came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What goes out.
#[derive(Clone, Default)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Announce the whole body, send this many bytes, hang up.
    cut: Option<usize>,
    /// Announce no length.
    endless: bool,
    /// Fall silent after the headers.
    silence: Duration,
    /// Say nothing at all, and hang up.
    mute: bool,
}

type Handler = Box<dyn FnMut(&Request) -> Answer + Send>;

/// A server on a free port of this machine.
pub struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn ok(body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            ..Self::status(200)
        }
    }

    /// The body from an offset, with the `Content-Range` that belongs to it.
    pub fn from(offset: usize, body: &[u8]) -> Self {
        let range = format!("bytes {offset}-{}/{}", body.len() - 1, body.len());
        Self {
            body: body[offset..].to_vec(),
            ..Self::status(206)
        }
        .header("Content-Range", &range)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub fn endless(mut self) -> Self {
        self.endless = true;
        self
    }

    pub fn nothing() -> Self {
        Self {
            mute: true,
            ..Self::default()
        }
    }

    pub fn silent_for(mut self, time: Duration) -> Self {
        self.silence = time;
        self
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        if self.mute {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", self.status);
        if !self.endless {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        std::thread::sleep(self.silence);
        stream.write_all(&self.body[..self.cut.unwrap_or(self.body.len())])
    }
}

impl Server {
    /// Gives these answers in order, and 418 after the last.
    pub fn script(answers: impl IntoIterator<Item = Answer>) -> Self {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        Self::start(move |_| answers.pop_front().unwrap_or(Answer::status(418)))
    }

    /// Decides by the request.
    pub fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, handler) = (kept.clone(), handler.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &kept, &handler));
            }
        });
        Self { address, requests }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The `Range` of each request so far.
    pub fn ranges(&self) -> Vec<Option<String>> {
        let requests = self.requests();
        requests
            .iter()
            .map(|request| request.header("range").map(str::to_owned))
            .collect()
    }
}

fn serve(
    mut stream: TcpStream,
    kept: &Mutex<Vec<Request>>,
    handler: &Mutex<Handler>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?.take(1 << 20));
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .and_then(|it| it.parse().ok());
    reader
        .take(length.unwrap_or(0))
        .read_to_end(&mut request.body)?;
    kept.lock().unwrap().push(request.clone());
    let answer = handler.lock().unwrap()(&request);
    answer.send(&mut stream)
}
