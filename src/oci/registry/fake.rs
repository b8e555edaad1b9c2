//! A registry for tests, in memory, that keeps what is pushed and misbehaves on script. Each connection carries one
//! request; all requests are kept.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What came in; of the body, as much as was read.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What goes out.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// How a request goes wrong.
pub enum Fault {
    /// This answer instead of the registry's own.
    Answer(Answer),
    /// The same before the body is read.
    Early(Answer),
    /// Hang up after so many bytes of the request's body; what came is kept, as a real one does.
    CutBody(usize),
    /// Do what is asked, then hang up without a word.
    Silence,
    /// Do what is asked, and change the answer.
    Change(fn(&mut Answer)),
    /// Take a while.
    Slow(Duration),
}

type Script = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// What it holds and how it is set up.
#[derive(Default)]
pub struct State {
    /// By repository and digest.
    pub blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest: media type and bytes.
    pub manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    pub uploads: BTreeMap<u64, Vec<u8>>,
    pub next_upload: u64,
    /// The referrers API, with so many entries on a page; none without.
    pub referrers: Option<usize>,
    /// `OCI-Chunk-Min-Length`.
    pub chunk_min: Option<u64>,
    /// Whether a piece may be sent at all.
    pub no_pieces: bool,
    /// `Location` with host, or without.
    pub absolute: bool,
    /// Blobs of other repositories are not to be had.
    pub no_mount: bool,
    /// The token that requests must carry, and for how many more of them it is good.
    pub token: Option<(String, usize)>,
    pub tokens: usize,
    /// Whether it listens to a token server at all.
    pub guarded: bool,
    pub requests: Vec<Request>,
}

/// A registry on a free port of this machine; its threads end with the test's process.
pub struct Registry {
    pub address: String,
    state: Arc<Mutex<State>>,
}

pub fn answer(status: u16) -> Answer {
    Answer {
        status,
        ..Answer::default()
    }
}

impl Answer {
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// A registry's error.
    pub fn code(self, code: &str) -> Self {
        let errors = json!({"errors": [{"code": code, "message": "scripted"}]}).to_string();
        self.body(errors.as_bytes())
            .header("Content-Type", "application/json")
    }
}

impl Registry {
    pub fn start(setup: State) -> Self {
        Self::scripted(setup, |_| None)
    }

    /// `script` decides by the request, in the order in which they come.
    pub fn scripted(
        setup: State,
        script: impl FnMut(&Request) -> Option<Fault> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(setup));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let shared = (state.clone(), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let ((state, address), script) = (shared.clone(), script.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &address, &state, &script));
            }
        });
        Self { address, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// `METHOD path` of all requests so far, sessions' numbers and digests left out.
    pub fn log(&self) -> Vec<String> {
        let state = self.state();
        let requests = state.requests.iter();
        requests
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// How many requests so far have this method and this text in their path.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.state();
        let requests = state.requests.iter();
        requests
            .filter(|request| request.method == method && request.path.contains(part))
            .count()
    }
}

fn serve(
    mut stream: TcpStream,
    address: &str,
    state: &Mutex<State>,
    script: &Mutex<Script>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(());
    };
    // As a proxy is asked.
    let path = match path.strip_prefix("http://") {
        Some(rest) => rest[rest.find('/').unwrap_or(rest.len())..].to_owned(),
        None => path,
    };
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let fault = script.lock().unwrap()(&request);
    let length = request.headers.get("content-length");
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let cut = match &fault {
        Some(Fault::CutBody(bytes)) => Some((*bytes).min(length)),
        _ => None,
    };
    let early = matches!(fault, Some(Fault::Early(_)));
    if !early {
        (&mut reader)
            .take(cut.unwrap_or(length) as u64)
            .read_to_end(&mut request.body)?;
    }
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    if cut.is_some() || request.body.len() < length && !early {
        state.keep(&request);
        return Ok(());
    }
    let answer = match fault {
        Some(Fault::Answer(answer) | Fault::Early(answer)) => answer,
        fault => {
            let mut answer = state.answer(&request, address);
            match fault {
                Some(Fault::Silence) => return Ok(()),
                Some(Fault::Change(change)) => change(&mut answer),
                Some(Fault::Slow(time)) => std::thread::sleep(time),
                _ => {}
            }
            answer
        }
    };
    drop(state);
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.status != 204
        && !answer
            .headers
            .iter()
            .any(|(name, _)| name == "Content-Length")
    {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    Ok(())
}

impl State {
    /// What came of an upload that broke off.
    fn keep(&mut self, request: &Request) {
        if let Some(upload) = session(&request.path).and_then(|id| self.uploads.get_mut(&id)) {
            upload.extend(&request.body);
        }
    }

    fn answer(&mut self, request: &Request, address: &str) -> Answer {
        if request.path.starts_with("/token") {
            self.tokens += 1;
            let token = format!("token-{}", self.tokens);
            let uses = self.token.as_ref().map_or(usize::MAX, |(_, uses)| *uses);
            self.token = Some((token.clone(), uses));
            let body = json!({"token": token}).to_string();
            return answer(200).body(body.as_bytes());
        }
        if self.guarded && !self.admits(request) {
            let challenge = format!("Bearer realm=\"http://{address}/token\",service=\"fake\"");
            return answer(401)
                .header("WWW-Authenticate", challenge)
                .code("UNAUTHORIZED");
        }
        let Some(path) = request.path.strip_prefix("/v2/") else {
            return answer(404);
        };
        if path.is_empty() {
            return answer(200);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        for (part, handle) in [
            ("/blobs/uploads/", Self::upload as Handle),
            ("/blobs/", Self::blob),
            ("/manifests/", Self::manifest),
            ("/referrers/", Self::listed),
        ] {
            if let Some((repository, name)) = path.split_once(part) {
                return handle(self, request, address, [repository, name, query]);
            }
        }
        answer(404)
    }

    fn admits(&mut self, request: &Request) -> bool {
        let sent = request.headers.get("authorization");
        match &mut self.token {
            Some((token, uses)) if *uses > 0 && sent == Some(&format!("Bearer {token}")) => {
                *uses -= 1;
                true
            }
            // Whoever comes with an expired token gets a good one next.
            Some((_, uses)) if *uses == 0 => {
                *uses = usize::MAX;
                false
            }
            _ => false,
        }
    }

    fn upload(
        &mut self,
        request: &Request,
        address: &str,
        [repository, id, query]: [&str; 3],
    ) -> Answer {
        let base = if self.absolute {
            format!("http://{address}")
        } else {
            String::new()
        };
        let place =
            |id: u64| format!("{base}/v2/{repository}/blobs/uploads/{id}?_state=a%2Bb%3D&n={id}");
        let repository = repository.to_owned();
        if request.method == "POST" {
            if let (Some(digest), Some(from)) = (value(query, "mount"), value(query, "from"))
                && let Some(bytes) = self
                    .blobs
                    .get(&(from, digest.clone()))
                    .filter(|_| !self.no_mount)
            {
                let bytes = bytes.clone();
                self.blobs.insert((repository, digest), bytes);
                return answer(201).header("Location", "/there");
            }
            self.next_upload += 1;
            self.uploads.insert(self.next_upload, Vec::new());
            let started = answer(202)
                .header("Location", place(self.next_upload))
                .header("Range", "0-0");
            return match self.chunk_min {
                Some(least) => started.header("OCI-Chunk-Min-Length", least),
                None => started,
            };
        }
        let id: u64 = id.parse().unwrap_or(0);
        if value(query, "_state").as_deref() != Some("a%2Bb%3D") {
            return answer(400).code("BLOB_UPLOAD_INVALID");
        }
        let Some(upload) = self.uploads.get_mut(&id) else {
            return answer(404).code("BLOB_UPLOAD_UNKNOWN");
        };
        let range = |upload: &[u8]| format!("0-{}", upload.len().saturating_sub(1));
        match request.method.as_str() {
            "GET" => answer(204)
                .header("Range", range(upload))
                .header("Location", place(id)),
            "DELETE" => {
                self.uploads.remove(&id);
                answer(204)
            }
            "PATCH" => {
                let from = request.headers["content-range"]
                    .split('-')
                    .next()
                    .unwrap()
                    .to_owned();
                if self.no_pieces {
                    return answer(405);
                }
                if from.parse() != Ok(upload.len()) {
                    return answer(416)
                        .header("Range", range(upload))
                        .header("Location", place(id));
                }
                upload.extend(&request.body);
                answer(202)
                    .header("Range", range(upload))
                    .header("Location", place(id))
            }
            "PUT" => {
                let mut bytes = self.uploads.remove(&id).unwrap();
                bytes.extend(&request.body);
                let digest = value(query, "digest").unwrap_or_default();
                if sha256(&bytes) != digest.replace("%3A", ":") {
                    return answer(400).code("DIGEST_INVALID");
                }
                self.blobs
                    .insert((repository, digest.replace("%3A", ":")), bytes);
                answer(201)
            }
            _ => answer(405),
        }
    }

    fn blob(&mut self, _: &Request, _: &str, [repository, digest, _]: [&str; 3]) -> Answer {
        match self.blobs.get(&(repository.to_owned(), digest.to_owned())) {
            Some(bytes) => answer(200).body(bytes),
            None => answer(404),
        }
    }

    fn manifest(&mut self, request: &Request, _: &str, [repository, name, _]: [&str; 3]) -> Answer {
        let key = (repository.to_owned(), name.to_owned());
        if request.method != "PUT" {
            return match self.manifests.get(&key) {
                Some((kind, bytes)) => answer(200)
                    .header("Content-Type", kind)
                    .header("Docker-Content-Digest", sha256(bytes))
                    .body(bytes),
                None => answer(404).code("MANIFEST_UNKNOWN"),
            };
        }
        let document: Value = serde_json::from_slice(&request.body).unwrap();
        let of = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let blobs = of("layers").into_iter().chain([document["config"].clone()]);
        let has = |map: bool, link: &Value| {
            let key = (
                repository.to_owned(),
                link["digest"].as_str().unwrap_or_default().to_owned(),
            );
            if map {
                self.blobs.contains_key(&key)
            } else {
                self.manifests.contains_key(&key)
            }
        };
        let complete = if document["manifests"].is_array() {
            of("manifests").iter().all(|link| has(false, link))
        } else {
            blobs.into_iter().all(|link| has(true, &link))
        };
        if !complete {
            return answer(400).code("MANIFEST_BLOB_UNKNOWN");
        }
        let digest = sha256(&request.body);
        let kind = request.headers["content-type"].clone();
        let kept = (kind, request.body.clone());
        self.manifests
            .insert((repository.to_owned(), digest.clone()), kept.clone());
        self.manifests.insert(key, kept);
        let put = answer(201).header("Docker-Content-Digest", digest);
        match document["subject"]["digest"].as_str() {
            Some(subject) if self.referrers.is_some() => put.header("OCI-Subject", subject),
            _ => put,
        }
    }

    fn listed(&mut self, _: &Request, _: &str, [repository, subject, query]: [&str; 3]) -> Answer {
        let Some(page) = self.referrers else {
            return answer(404)
                .body(b"404 page not found")
                .header("Content-Type", "text/plain");
        };
        let mut entries = Vec::new();
        for ((there, name), (kind, bytes)) in &self.manifests {
            let document: Value = serde_json::from_slice(bytes).unwrap();
            if there == repository && name.contains(':') && document["subject"]["digest"] == subject
            {
                entries.push(json!({
                    "mediaType": kind, "digest": name, "size": bytes.len(),
                    "artifactType": document["artifactType"],
                }));
            }
        }
        let from: usize = value(query, "from").map_or(0, |from| from.parse().unwrap());
        let rest = entries.len().saturating_sub(from + page);
        let entries: Vec<Value> = entries.into_iter().skip(from).take(page).collect();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
        });
        let listed = answer(200)
            .header("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(index.to_string().as_bytes());
        if rest == 0 {
            return listed;
        }
        let next = format!(
            "</v2/{repository}/referrers/{subject}?from={}>; rel=\"next\"",
            from + page
        );
        listed.header("Link", next)
    }
}

type Handle = fn(&mut State, &Request, &str, [&str; 3]) -> Answer;

/// The number of an upload's session.
fn session(path: &str) -> Option<u64> {
    let (_, rest) = path.split_once("/blobs/uploads/")?;
    rest.split('?').next()?.parse().ok()
}

/// As it stands in the query.
fn value(query: &str, key: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
}

pub fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
