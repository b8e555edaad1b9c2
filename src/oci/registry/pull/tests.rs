//! Pulls from a registry that lies, asks for logins and redirects.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::faulty::{Answer, Request, Server};
use super::super::{Credentials, HttpOptions, Keychain, Network, Secret};
use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Keeps blobs in a folder.
struct Folder(tempfile::TempDir);

#[derive(Debug)]
struct Failed(PullError);

impl From<PullError> for Failed {
    fn from(error: PullError) -> Self {
        Self(error)
    }
}

impl BlobSink for Folder {
    type Error = Failed;

    fn find(&self, digest: &Digest) -> Result<Option<PathBuf>, Failed> {
        let path = self.0.path().join(digest.hex());
        Ok(path.exists().then_some(path))
    }

    fn obtain(
        &self,
        digest: &Digest,
        download: &mut dyn FnMut(&Path) -> Result<(), PullError>,
    ) -> Result<PathBuf, Failed> {
        let path = self.0.path().join(digest.hex());
        if !path.exists() {
            let part = self.0.path().join("part");
            download(&part)?;
            fs::rename(part, &path).unwrap();
        }
        Ok(path)
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Failed> {
        fs::write(self.0.path().join(Digest::of(bytes).hex()), bytes).unwrap();
        Ok(())
    }

    fn at(&self, _: &Digest, _: u64) {}
}

/// What a registry holds: manifests by tag or digest, blobs by digest.
#[derive(Clone, Default)]
struct Image {
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// An image of two layers for a platform, under `tag`.
    fn new(architecture: &str, tag: &str) -> Self {
        let mut image = Self::default();
        let config = format!(r#"{{"os":"linux","architecture":"{architecture}"}}"#);
        let layers = [format!("lower {architecture}"), "upper".repeat(100_000)];
        let mut descriptor = |kind: &str, bytes: &[u8]| {
            image
                .blobs
                .insert(Digest::of(bytes).to_string(), bytes.to_vec());
            describe(kind, bytes)
        };
        let config = descriptor(
            "application/vnd.oci.image.config.v1+json",
            config.as_bytes(),
        );
        let layers = layers
            .map(|layer| descriptor(LAYER, layer.as_bytes()))
            .join(",");
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]}}"#
        );
        image.put(tag, MANIFEST, manifest.into_bytes());
        image
    }

    fn put(&mut self, tag: &str, kind: &str, bytes: Vec<u8>) {
        self.manifests.insert(
            Digest::of(&bytes).to_string(),
            (kind.to_owned(), bytes.clone()),
        );
        self.manifests
            .insert(tag.to_owned(), (kind.to_owned(), bytes));
    }

    fn manifest(&self, tag: &str) -> &[u8] {
        &self.manifests[tag].1
    }

    fn answer(&self, request: &Request) -> Answer {
        let Some(path) = request.path.strip_prefix("/v2/team/python/") else {
            return Answer::status(400);
        };
        let found = match path.split_once('/') {
            Some(("manifests", name)) => self
                .manifests
                .get(name)
                .map(|(kind, bytes)| Answer::ok(bytes).header("Content-Type", kind)),
            Some(("blobs", digest)) => self.blobs.get(digest).map(|bytes| Answer::ok(bytes)),
            _ => None,
        };
        found.unwrap_or(Answer::status(404))
    }

    fn serve(self) -> Server {
        Server::start(move |request| self.answer(request))
    }
}

fn describe(kind: &str, bytes: &[u8]) -> String {
    format!(
        r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#,
        Digest::of(bytes),
        bytes.len()
    )
}

fn platform(architecture: &str) -> Platform {
    Platform {
        os: "linux".into(),
        architecture: architecture.into(),
        variant: None,
    }
}

fn pull_as(
    server: &Server,
    suffix: &str,
    platform: Option<Platform>,
    credentials: Option<Credentials>,
    sink: &Folder,
) -> Result<Pulled, PullError> {
    let keychain = credentials.map_or_else(Keychain::default, |credentials| {
        Keychain::fixed(server.address(), &credentials)
    });
    let http = Http::new(HttpOptions {
        pause: Duration::from_millis(1),
        attempts: 3,
        network: Network {
            keychain,
            ..Network::default()
        },
        ..HttpOptions::default()
    });
    let reference: Reference = format!("{}/team/python{suffix}", server.address())
        .parse()
        .unwrap();
    let registry = Registry::new(&http, reference)?;
    registry.pull(platform.as_ref(), sink).map_err(|failed| {
        assert!(
            !format!("{} {:?}", failed.0, failed.0).contains("canary"),
            "{:?}",
            failed.0
        );
        failed.0
    })
}

fn folder() -> Folder {
    Folder(tempfile::tempdir().unwrap())
}

fn pull(server: &Server, suffix: &str, platform: Option<Platform>) -> Result<Pulled, PullError> {
    pull_as(server, suffix, platform, None, &folder())
}

#[test]
fn an_image_comes_whole_and_only_once() {
    let image = Image::new("amd64", "1");
    let manifest = image.manifest("1").to_vec();
    let server = image.serve();
    let sink = folder();
    let pulled = pull_as(&server, ":1", Some(platform("amd64")), None, &sink).unwrap();
    assert_eq!(pulled.manifest_bytes, manifest);
    assert_eq!(pulled.digest.0, Digest::of(&manifest));
    assert_eq!(pulled.manifest.layers.len(), 2);
    assert_eq!(server.requests().len(), 4);
    // By digest, nothing is asked for again.
    let pinned = format!("@{}", pulled.digest);
    assert_eq!(
        pull_as(&server, &pinned, None, None, &sink).unwrap().digest,
        pulled.digest
    );
    assert_eq!(server.requests().len(), 4);
    // A lost layer alone is fetched again.
    fs::remove_file(
        sink.find(&pulled.manifest.layers[1].digest)
            .unwrap()
            .unwrap(),
    )
    .unwrap();
    pull_as(&server, &pinned, None, None, &sink).unwrap();
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn the_platform_is_chosen_from_an_index() {
    let (mut image, arm) = (Image::new("amd64", "a"), Image::new("arm64", "b"));
    let entry = |bytes: &[u8], architecture: &str| {
        let plain = describe(MANIFEST, bytes);
        format!(
            r#"{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            &plain[..plain.len() - 1]
        )
    };
    let entries = [
        entry(image.manifest("a"), "amd64"),
        entry(arm.manifest("b"), "arm64"),
    ]
    .join(",");
    let wanted = Digest::of(arm.manifest("b"));
    image.manifests.extend(arm.manifests);
    image.blobs.extend(arm.blobs);
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#);
    image.put("1", INDEX, index.into_bytes());
    let server = image.serve();
    assert_eq!(
        pull(&server, ":1", Some(platform("arm64")))
            .unwrap()
            .digest
            .0,
        wanted
    );
    assert!(matches!(
        pull(&server, ":1", None),
        Err(PullError::Index(_))
    ));
    let error = pull(&server, ":1", Some(platform("s390x")))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("has no image for linux/s390x, only for linux/amd64, linux/arm64"),
        "{error}"
    );
    let error = pull(&server, ":a", Some(platform("arm64")))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("is an image for linux/amd64, not for linux/arm64"),
        "{error}"
    );
}

#[test]
fn lies_are_noticed() {
    let image = || Image::new("amd64", "1");
    let digest = Digest::of(image().manifest("1"));
    let other = Image::new("arm64", "1").manifest("1").to_vec();

    let mut wrong_manifest = image();
    wrong_manifest
        .manifests
        .insert(digest.to_string(), (MANIFEST.into(), other));
    let error = pull(&wrong_manifest.serve(), &format!("@{digest}"), None).unwrap_err();
    assert!(
        matches!(error, PullError::Transfer(TransferError::Mismatch { .. })),
        "{error}"
    );

    let announced = image();
    let server = Server::start(move |request| {
        announced
            .answer(request)
            .header("Docker-Content-Digest", &Digest::of(b"other").to_string())
    });
    let error = pull(&server, ":1", None).unwrap_err();
    assert!(
        matches!(error, PullError::Transfer(TransferError::Mismatch { .. })),
        "{error}"
    );

    let longest = image().blobs.values().map(Vec::len).max().unwrap();
    let change = |change: fn(&mut Vec<u8>)| {
        let mut wrong = image();
        wrong
            .blobs
            .values_mut()
            .filter(|blob| blob.len() == longest)
            .for_each(change);
        pull(&wrong.serve(), ":1", None).unwrap_err()
    };
    let error = change(|blob| blob[7] ^= 1);
    assert!(
        matches!(error, PullError::Transfer(TransferError::Mismatch { .. })),
        "{error}"
    );
    for error in [change(|blob| blob.push(0)), change(|blob| blob.truncate(9))] {
        assert!(
            matches!(error, PullError::Transfer(TransferError::Size { .. })),
            "{error}"
        );
    }

    let mut big = image();
    big.put("1", MANIFEST, vec![b' '; 5 << 20]);
    let error = pull(&big.serve(), ":1", None).unwrap_err();
    assert!(matches!(error, PullError::TooBig { .. }), "{error}");

    let mut disguised = image();
    let manifest = disguised.manifest("1").to_vec();
    disguised.put("1", INDEX, manifest);
    let error = pull(&disguised.serve(), ":1", None).unwrap_err();
    assert!(matches!(error, PullError::Manifest { .. }), "{error}");
}

#[test]
fn a_damaged_size_in_the_sink_is_noticed() {
    let image = Image::new("amd64", "1");
    let sink = folder();
    let layer = Digest::of("upper".repeat(100_000).as_bytes());
    fs::write(sink.0.path().join(layer.hex()), "short").unwrap();
    let error = pull_as(&image.serve(), ":1", None, None, &sink).unwrap_err();
    assert!(
        matches!(
            error,
            PullError::Transfer(TransferError::Size { got: 5, .. })
        ),
        "{error}"
    );
}

/// A registry that wants tokens from a server of its own, which hands out `canary-1`, `canary-2` …; `valid` decides.
fn guarded(
    valid: impl Fn(usize, &str) -> bool + Send + 'static,
) -> (Server, std::sync::Arc<Server>) {
    let mut given = 0;
    let tokens = std::sync::Arc::new(Server::start(move |_| {
        given += 1;
        Answer::ok(format!(r#"{{"access_token":"canary-{given}"}}"#).as_bytes())
    }));
    let challenge = format!(
        r#"Bearer realm="{}",service="the registry""#,
        tokens.url("/token?a=b")
    );
    let image = Image::new("amd64", "1");
    let mut seen = 0;
    let server = Server::start(move |request| {
        seen += 1;
        match request.header("authorization") {
            Some(token) if valid(seen, token) => image.answer(request),
            _ => Answer::status(401).header("WWW-Authenticate", &challenge),
        }
    });
    (server, tokens)
}

#[test]
fn a_token_is_fetched_once_and_kept() {
    let (server, tokens) = guarded(|_, token| token == "Bearer canary-1");
    pull(&server, ":1", None).unwrap();
    let asked = tokens.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].path,
        "/token?a=b&service=the+registry&scope=repository%3Ateam%2Fpython%3Apull"
    );
    assert_eq!(asked[0].header("authorization"), None);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn an_expired_token_is_renewed_once() {
    // The third request is the first blob; from there on only the second token counts.
    let (server, tokens) = guarded(|seen, token| seen < 3 || token == "Bearer canary-2");
    pull(&server, ":1", None).unwrap();
    assert_eq!(tokens.requests().len(), 2);
    let (server, tokens) = guarded(|_, _| false);
    let error = pull(&server, ":1", None).unwrap_err();
    assert!(
        error.hint().unwrap().starts_with("log in to 127.0.0.1:"),
        "{error}"
    );
    assert_eq!((server.requests().len(), tokens.requests().len()), (2, 1));
}

#[test]
fn credentials_go_to_the_token_server_only_when_given() {
    let credentials = || Credentials::Password {
        username: "user".into(),
        password: Secret::new("canary"),
    };
    let (server, tokens) = guarded(|_, token| token == "Bearer canary-1");
    pull_as(&server, ":1", None, Some(credentials()), &folder()).unwrap();
    assert_eq!(
        tokens.requests()[0].header("authorization"),
        Some("Basic dXNlcjpjYW5hcnk=")
    );

    let image = Image::new("amd64", "1");
    let server = Server::start(move |request| match request.header("authorization") {
        Some("Basic dXNlcjpjYW5hcnk=") => image.answer(request),
        _ => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    pull_as(&server, ":1", None, Some(credentials()), &folder()).unwrap();
    let error = pull(&server, ":1", None).unwrap_err().to_string();
    assert!(
        error.ends_with("wants a login: no user and password are known for it"),
        "{error}"
    );
}

#[test]
fn a_token_server_does_not_send_elsewhere() {
    let elsewhere = Server::start(|_| Answer::ok(br#"{"token":"canary"}"#));
    let target = elsewhere.url("/").to_string();
    let tokens = Server::start(move |_| Answer::status(307).header("Location", &target));
    let challenge = format!(r#"Bearer realm="{}""#, tokens.url("/token"));
    let server = Server::start(move |_| Answer::status(401).header("WWW-Authenticate", &challenge));
    assert!(pull(&server, ":1", None).is_err());
    assert_eq!(
        (tokens.requests().len(), elsewhere.requests().len()),
        (1, 0)
    );
}

#[test]
fn a_challenge_after_a_redirect_is_not_answered() {
    let tokens = Server::start(|_| Answer::ok(br#"{"token":"canary"}"#));
    let challenge = format!(r#"Bearer realm="{}""#, tokens.url("/token"));
    let storage =
        Server::start(move |_| Answer::status(401).header("WWW-Authenticate", &challenge));
    let target = storage.url("/x").to_string();
    let server = Server::start(move |_| Answer::status(307).header("Location", &target));
    assert!(pull(&server, ":1", None).is_err());
    assert_eq!((storage.requests().len(), tokens.requests().len()), (1, 0));
}

#[test]
fn a_blob_is_resumed() {
    let image = Image::new("amd64", "1");
    let mut cut = false;
    let server = Server::start(move |request| {
        let answer = image.answer(request);
        match request
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'))
        {
            Some(from) => {
                let digest = request.path.rsplit('/').next().unwrap();
                Answer::from(from.parse().unwrap(), &image.blobs[digest])
            }
            None if request.path.contains("/blobs/") && !std::mem::replace(&mut cut, true) => {
                answer.cut(5)
            }
            None => answer,
        }
    });
    pull(&server, ":1", None).unwrap();
    assert_eq!(
        server.ranges().into_iter().flatten().collect::<Vec<_>>(),
        ["bytes=5-"]
    );
}
