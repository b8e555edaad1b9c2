//! Logins, CAs and proxies as users have them: files, helpers, the environment; and that none of it shows.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use oci::{Entry, Epoch, ImageBuilder, LayerWriter, Layout, Platform, Tree};
use serde_json::json;

use crate::registries::certificates::Leaf;
use crate::registries::proxy::Proxy;
use crate::registries::real_registry::RealRegistry;
use crate::registries::{PASSWORD, REFRESH_TOKEN, USER};
use crate::support::{Outcome, imgbuild, program, run};

/// `user:canary-password`.
const LOGIN: &str = "dXNlcjpjYW5hcnktcGFzc3dvcmQ=";

/// A home folder, and an image to copy.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub image: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let epoch = Epoch::new(1_700_000_000).unwrap();
        let mut tree = Tree::new();
        tree.insert("a".parse().unwrap(), Entry::file("a", 0o644))
            .unwrap();
        let layer = LayerWriter::new(&folder.path().join("blobs"), epoch, 1)
            .write(&tree)
            .unwrap();
        let image = ImageBuilder::new(Platform::linux("amd64"), epoch)
            .layer(layer, "test")
            .build()
            .unwrap();
        let layout = folder.path().join("image");
        Layout::write(&layout, &image, "1").unwrap();
        Self {
            image: layout,
            folder,
        }
    }

    /// Writes a file of the home folder.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Puts a credential helper on PATH.
    pub fn helper(&self, name: &str, script: &str) {
        let path = self.write(
            &format!("bin/docker-credential-{name}"),
            &format!("#!/bin/sh\n{script}\n"),
        );
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// As talkative as the program can be made, with nothing of the tests' own environment.
    pub fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = imgbuild(args);
        let path = std::env::join_paths([
            self.folder.path().join("bin"),
            "/usr/bin".into(),
            "/bin".into(),
        ]);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", path.unwrap())
            .env("HOME", self.folder.path())
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        command
    }

    /// Copies the image to a registry.
    fn copy(&self, address: &str) -> Command {
        let reference = format!("{address}/team/a:1");
        self.imgbuild(&["copy", self.image.to_str().unwrap(), &reference])
    }
}

/// Runs it, and panics if a secret shows.
pub fn discreet(command: &mut Command) -> Outcome {
    let outcome = run(command);
    for text in [&outcome.stdout, &outcome.stderr] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("Y2FuYXJ5"), "{text}");
    }
    outcome
}

pub fn auths(address: &str) -> String {
    json!({"auths": {address: {"auth": LOGIN}}}).to_string()
}

/// A helper that knows one registry only, and says a lot.
pub fn answering(address: &str, username: &str, secret: &str) -> String {
    format!(
        "read server; echo \"looking for $server\" >&2\n\
         test \"$1\" = get || exit 3\n\
         test \"$server\" = {address} || {{ echo 'credentials not found in native keychain'; exit 1; }}\n\
         echo '{{\"ServerURL\":\"{address}\",\"Username\":\"{username}\",\"Secret\":\"{secret}\"}}'"
    )
}

#[test]
fn every_place_where_logins_are_kept() {
    let registry = RealRegistry::htpasswd();
    let (address, auths) = (registry.address(), auths(registry.address()));
    let home = || Home::new();
    let works = |mut command: Command| discreet(&mut command).succeeded();

    let nobody = home();
    let said = discreet(&mut nobody.copy(address)).refused();
    assert!(
        said.contains("no user and password are known") && said.contains("hint: "),
        "{said}"
    );

    for file in [".docker/config.json", ".config/containers/auth.json"] {
        let home = home();
        home.write(file, &auths);
        works(home.copy(address));
    }
    for (variable, file, value) in [
        ("DOCKER_CONFIG", "docker/config.json", "docker"),
        ("REGISTRY_AUTH_FILE", "auth.json", "auth.json"),
        ("XDG_RUNTIME_DIR", "run/containers/auth.json", "run"),
        ("XDG_CONFIG_HOME", "etc/containers/auth.json", "etc"),
    ] {
        let home = home();
        home.write(file, &auths);
        let mut command = home.copy(address);
        command.env(variable, home.folder.path().join(value));
        works(command);
    }
    let home = home();
    let mut command = home.copy(address);
    command.env("DOCKER_AUTH_CONFIG", &auths);
    works(command);
}

#[test]
fn what_skopeo_writes_is_read() {
    let registry = RealRegistry::htpasswd();
    let home = Home::new();
    let file = home.folder.path().join("auth.json");
    let login = [
        "login",
        "--tls-verify=false",
        "-u",
        USER,
        "-p",
        PASSWORD,
        registry.address(),
        "--authfile",
    ];
    run(program("skopeo", login).arg(&file)).succeeded();
    discreet(
        home.copy(registry.address())
            .env("REGISTRY_AUTH_FILE", file),
    )
    .succeeded();
}

#[test]
fn helpers_are_asked() {
    let registry = RealRegistry::htpasswd();
    let address = registry.address();
    let home = Home::new();
    home.helper("vault", &answering(address, USER, PASSWORD));
    home.helper("none", &answering("elsewhere", "canary", "canary"));
    let with = |config: serde_json::Value| {
        home.write(".docker/config.json", &config.to_string());
        discreet(&mut home.copy(address))
    };
    with(json!({"credsStore": "vault"})).succeeded();
    with(json!({"credHelpers": {address: "vault"}, "credsStore": "none"})).succeeded();
    with(json!({"credHelpers": {address: "none"}, "auths": {address: {"auth": LOGIN}}}))
        .succeeded();
    let said = with(json!({"credsStore": "none"})).refused();
    assert!(said.contains("no user and password are known"), "{said}");

    for (name, script, words) in [
        (
            "angry",
            "echo canary; echo 'the vault is sealed' >&2; exit 7",
            "it failed (exit status: 7): the vault is sealed",
        ),
        (
            "leaky",
            "echo \"bad token canary0123456789canary0123456789\" >&2; exit 1",
            "it failed (exit status: 1): bad token …",
        ),
        ("noisy", "yes canary", "it answers too much"),
        ("odd", "echo canary", "its answer is not a login"),
        ("absent", "", "it is not installed"),
    ] {
        if !script.is_empty() {
            home.helper(name, script);
        }
        let said = with(json!({"credsStore": name})).refused();
        assert!(
            said.contains(words) && said.contains(&format!("docker-credential-{name}")),
            "{said}"
        );
        assert!(said.contains("\nhint: "), "{said}");
    }
}

#[test]
fn tokens_of_all_kinds() {
    let registry = RealRegistry::token();
    let address = registry.address();
    let home = Home::new();
    home.helper("vault", &answering(address, "<token>", REFRESH_TOKEN));
    for config in [
        json!({"auths": {address: {"auth": LOGIN}}}),
        json!({"auths": {address: {"identitytoken": REFRESH_TOKEN}}}),
        json!({"credsStore": "vault"}),
    ] {
        home.write(".docker/config.json", &config.to_string());
        discreet(&mut home.copy(address)).succeeded();
    }
}

#[test]
fn no_secret_shows_whatever_goes_wrong() {
    let (passwords, tokens, plain) = (
        RealRegistry::htpasswd(),
        RealRegistry::token(),
        RealRegistry::plain(),
    );
    let home = Home::new();
    home.helper("canary", "echo '{\"Username\":\"user\",\"Secret\":\"canary-helper\"}'; echo canary-helper-of-twenty-letters >&2");
    let image = home.image.to_str().unwrap();
    let logins = [
        json!({"username": USER, "password": "canary-config"}),
        json!({"auth": "dXNlcjpjYW5hcnktYXV0aA=="}),
        json!({"auth": "Y2FuYXJ5LXdpdGhvdXQtYS1jb2xvbg=="}),
        json!({"auth": "canary, no base64"}),
        json!({"identitytoken": "canary-identity"}),
        json!({"registrytoken": "canary-bearer"}),
        json!("canary"),
    ];
    for registry in [&passwords, &tokens] {
        let address = registry.address();
        let reference = format!("{address}/team/a:1");
        let mut configs: Vec<String> = logins
            .iter()
            .map(|it| json!({"auths": {address: it}}).to_string())
            .collect();
        configs.extend([
            json!({"credsStore": "canary"}).to_string(),
            "{\"auths\": {\"canary\"".to_owned(),
            "canary".to_owned(),
        ]);
        for config in &configs {
            for more in [&[][..], &["--quiet"], &["--format", "json"]] {
                home.write(".docker/config.json", config);
                for command in [&["copy", image, &reference][..], &["inspect", &reference]] {
                    let said = discreet(&mut home.imgbuild(&[command, more].concat())).refused();
                    assert!(said.contains("\nhint: "), "{config}: {said}");
                }
            }
            home.write(".docker/config.json", "{}");
            discreet(home.copy(address).env("DOCKER_AUTH_CONFIG", config)).refused();
        }
    }
    // What is good does not show either, and a login in the wrong place is not repeated.
    let refused = [
        "user:canary@127.0.0.1:1/team/a:1".to_owned(),
        "https://user:canary@127.0.0.1/team/a".to_owned(),
        format!("user:canary@{}/a", plain.address()),
    ];
    for reference in &refused {
        let said = discreet(&mut home.imgbuild(&["copy", image, reference])).refused();
        assert!(said.contains('…') || !said.contains("127.0.0.1"), "{said}");
        discreet(&mut home.imgbuild(&["inspect", reference])).refused();
        let outcome = discreet(&mut home.imgbuild(&["push", image, reference]));
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        let flag = format!("--plain-http={reference}");
        assert_eq!(
            discreet(&mut home.imgbuild(&["inspect", "x", &flag])).code,
            Some(1)
        );
    }
    for proxy in [
        "http://user:canary@127.0.0.1:1",
        "user:canary@127.0.0.1:1",
        "socks5://user:canary@h",
    ] {
        for registry in ["registry.test:1", "registry.test"] {
            let mut command = home.copy(registry);
            command.env("HTTPS_PROXY", proxy);
            let said = discreet(&mut command).refused();
            assert!(said.contains("proxy"), "{said}");
        }
    }
}

#[test]
fn configurations_that_are_none_are_named() {
    let registry = RealRegistry::htpasswd();
    let home = Home::new();
    for (text, place) in [
        ("{\"auths\": canary}", "(line 1, column 11)"),
        ("[]", "(line 1, column"),
        ("\n\n{\"auths\": {\"h.example\": 1}}", "(line 3, column"),
    ] {
        home.write(".docker/config.json", text);
        let said = discreet(&mut home.copy(registry.address())).refused();
        assert!(
            said.contains(".docker/config.json is not a docker configuration"),
            "{said}"
        );
        assert!(said.contains(place) && said.contains("\nhint: "), "{said}");
    }
    // Nobody looks there without a reason.
    let plain = RealRegistry::plain();
    discreet(&mut home.copy(plain.address())).succeeded();
}

#[test]
fn a_machine_without_any_ca() {
    let (plain, tls) = (RealRegistry::plain(), RealRegistry::tls(Leaf::Good));
    let home = Home::new();
    let bare = |mut command: Command| {
        command
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent");
        discreet(&mut command)
    };
    bare(home.copy(plain.address())).succeeded();
    let ca = tls.ca().unwrap().to_str().unwrap();
    let with = |flag: &str, value: &str| {
        let mut command = home.copy(tls.address());
        command.args([flag, value]);
        bare(command)
    };
    with("--ca-cert", ca).succeeded();
    with("--insecure", tls.address()).succeeded();
    let said = bare(home.copy("registry.test")).refused();
    assert!(
        said.contains("cannot speak https") && said.contains("--ca-cert"),
        "{said}"
    );
}

#[test]
fn files_that_are_no_cas() {
    let home = Home::new();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let tls = RealRegistry::tls(Leaf::Good);
    let key = fs::read_to_string(tls.ca().unwrap().with_file_name("server.key")).unwrap();
    for (name, text) in [
        ("empty.pem", ""),
        ("text.pem", "canary"),
        ("broken.pem", broken),
        ("key.pem", &key),
    ] {
        let path = home.write(name, text);
        let said = discreet(home.copy("registry.test").arg("--ca-cert").arg(&path)).refused();
        assert!(said.contains("error: --ca-cert cannot be used\n"), "{said}");
        assert!(
            said.contains(name)
                && said.contains("holds no certificate")
                && said.contains("\nhint: "),
            "{said}"
        );
    }
    let said = discreet(
        home.copy("registry.test")
            .args(["--ca-cert", "/nonexistent"]),
    )
    .refused();
    assert!(said.contains("/nonexistent"), "{said}");
    for host in ["http://h.example", "h.example/a", "", "h.example:port"] {
        let outcome = discreet(home.copy("registry.test").args(["--plain-http", host]));
        assert_eq!(outcome.code, Some(1));
        assert!(
            outcome.stderr.contains("expected HOST or HOST:PORT"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_proxy_and_a_ca_of_the_environment() {
    let (registry, proxy) = (RealRegistry::tls(Leaf::Good), Proxy::start());
    let home = Home::new();
    let port = registry.address().rsplit_once(':').unwrap().1;
    let address = format!("registry.test:{port}");
    let ca: &Path = registry.ca().unwrap();
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let before = proxy.asked().len();
        let mut command = home.copy(&address);
        discreet(command.env(variable, proxy.url()).env("SSL_CERT_FILE", ca)).succeeded();
        assert!(proxy.asked().len() > before, "{variable}");
    }
    let before = proxy.asked().len();
    let mut command = home.copy(&address);
    command
        .env("HTTPS_PROXY", proxy.url())
        .env("NO_PROXY", "registry.test")
        .env("SSL_CERT_FILE", ca);
    let said = discreet(&mut command).refused();
    assert!(said.contains("cannot reach registry.test"), "{said}");
    // This machine is never asked through a proxy.
    let plain = RealRegistry::plain();
    discreet(home.copy(plain.address()).env("HTTP_PROXY", proxy.url())).succeeded();
    assert_eq!(proxy.asked().len(), before);
    let mut command = home.copy(&address);
    let wrong = format!("http://user:canary-wrong@{}", proxy.address());
    let said = discreet(command.env("HTTPS_PROXY", wrong).env("SSL_CERT_FILE", ca)).refused();
    assert!(
        said.contains("the proxy") && said.contains("\nhint: "),
        "{said}"
    );
}
