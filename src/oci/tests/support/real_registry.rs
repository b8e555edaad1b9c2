//! Debian's docker-registry, on a free port of this machine, with its data in a temporary folder. It ends when it is
//! dropped, and also when the test's process ends without dropping anything.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use oci::registry::{CaCertificates, HelperFault, Keychain, Network, Secret, Source};

use super::certificates::{Certificates, Leaf};
use super::token_server::{ISSUER, SERVICE, TokenServer};
use super::{PASSWORD, USER};

/// `canary-password`, by bcrypt.
const HTPASSWD: &str = "user:$2b$05$abcdefghijklmnopqrstuuTvmw3qcMpAvEgQGhbFMhqjD3R/evDDW\n";

/// A running registry.
pub struct RealRegistry {
    address: String,
    folder: tempfile::TempDir,
    ca: Option<PathBuf>,
    tokens: Option<TokenServer>,
    guarded: bool,
    server: Child,
    alive: Option<ChildStdin>,
}

impl RealRegistry {
    /// Everybody may do everything, over plain http.
    pub fn plain() -> Self {
        Self::start(None, None, false)
    }

    /// [`USER`] and [`PASSWORD`] may do everything, over plain http.
    pub fn htpasswd() -> Self {
        Self::start(None, None, true)
    }

    /// Over TLS, with a certificate of a private CA.
    pub fn tls(leaf: Leaf) -> Self {
        Self::start(Some(leaf), None, false)
    }

    /// Tokens of a server of its own.
    pub fn token() -> Self {
        Self::start(None, Some(TokenServer::start), false)
    }

    fn start(leaf: Option<Leaf>, tokens: Option<fn(&Path) -> TokenServer>, htpasswd: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificates = leaf.map(|leaf| Certificates::new(folder.path(), leaf));
        let tokens = tokens.map(|start| start(folder.path()));
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, accesslog: {{disabled: false}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: true}}\nhttp:\n  addr: {address}\n  secret: tests\n",
            path("data")
        );
        if let Some(files) = &certificates {
            let (certificate, key) = (files.certificate.display(), files.key.display());
            writeln!(config, "  tls: {{certificate: {certificate}, key: {key}}}").unwrap();
        }
        if htpasswd {
            fs::write(path("htpasswd"), HTPASSWD).unwrap();
            writeln!(
                config,
                "auth: {{htpasswd: {{realm: tests, path: {}}}}}",
                path("htpasswd")
            )
            .unwrap();
        }
        if let Some(tokens) = &tokens {
            writeln!(
                config,
                "auth:\n  token: {{realm: {}, service: {SERVICE}, issuer: {ISSUER}, rootcertbundle: {}}}",
                tokens.realm(),
                tokens.certificate().display()
            )
            .unwrap();
        }
        fs::write(path("config.yml"), config).unwrap();
        let log = fs::File::create(path("log")).unwrap().into_file();
        // The shell ends the registry when this end of its stdin is closed.
        let script = "docker-registry serve \"$0\" & trap 'kill $!; wait' EXIT; read _";
        #[expect(clippy::disallowed_methods, reason = "tests start programs")]
        let mut server = Command::new("sh")
            .args(["-c", script, &path("config.yml")])
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let alive = server.stdin.take();
        let registry = Self {
            address,
            ca: certificates.map(|files| files.ca),
            guarded: htpasswd || tokens.is_some(),
            tokens,
            folder,
            server,
            alive,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&registry.address).is_err() {
            assert!(
                Instant::now() < until,
                "docker-registry does not start (`make setup-test` installs it): {}",
                registry.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its token server.
    pub fn tokens(&self) -> &TokenServer {
        self.tokens.as_ref().expect("a registry with tokens")
    }

    /// The CA that signed its certificate.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// What it wrote so far: a line per request, among others.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where it keeps its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What somebody needs to know who may use it: CA and login.
    pub fn network(&self) -> Network {
        let login = match self.guarded {
            true => serde_json::json!({"username": USER, "password": PASSWORD}),
            false => serde_json::json!({}),
        };
        self.network_with(&login)
    }

    /// The same with another login, as it stands in `auths` of docker's configuration.
    pub fn network_with(&self, login: &serde_json::Value) -> Network {
        let config = serde_json::json!({"auths": {&self.address: login}}).to_string();
        let source = Source::Text("TEST", Secret::new(config));
        let none = |_: &str, _: &str| Err(HelperFault::Missing);
        Network {
            ca: self
                .ca
                .as_deref()
                .map(|path| CaCertificates::read(path).unwrap()),
            keychain: Keychain::new(vec![source], std::sync::Arc::new(none)),
            ..Network::default()
        }
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        drop(self.alive.take());
        drop(self.server.wait());
    }
}
