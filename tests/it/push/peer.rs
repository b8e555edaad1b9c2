//! A registry to push to, and the programs that speak to it.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::fake;
use crate::registries::certificates::Leaf;
use crate::registries::real_registry::RealRegistry;
use crate::registries::{PASSWORD, USER};
use crate::support::{Outcome, imgbuild, program, run};

/// A registry of any kind, and what our program and skopeo have to be told of it.
pub struct Peer {
    pub name: &'static str,
    pub address: String,
    pub real: Option<RealRegistry>,
    pub home: tempfile::TempDir,
}

impl Peer {
    pub fn new(name: &'static str, real: RealRegistry) -> Self {
        Self {
            name,
            address: real.address().to_owned(),
            real: Some(real),
            home: tempfile::tempdir().unwrap(),
        }
    }

    pub fn all() -> Vec<Self> {
        let native = fake::Registry::start(fake::State {
            referrers: Some(2),
            ..fake::State::default()
        });
        vec![
            Self::new("plain", RealRegistry::plain()),
            Self::new("htpasswd", RealRegistry::htpasswd()),
            Self::new("token", RealRegistry::token()),
            Self::new("tls", RealRegistry::tls(Leaf::Good)),
            Self {
                name: "native referrers",
                address: native.address.clone(),
                real: None,
                home: tempfile::tempdir().unwrap(),
            },
        ]
    }

    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    pub fn ca(&self) -> Option<&Path> {
        self.real.as_ref()?.ca()
    }

    /// Our program, with a login and no other configuration.
    pub fn imgbuild(&self, args: &[&str]) -> Command {
        let mut command = imgbuild(args);
        let login = json!({"auths": {&self.address: {"username": USER, "password": PASSWORD}}});
        command
            .env("DOCKER_AUTH_CONFIG", login.to_string())
            .env("HOME", self.home.path())
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("DOCKER_CONFIG");
        if let Some(ca) = self.ca() {
            command.arg("--ca-cert").arg(ca);
        }
        command
    }

    #[track_caller]
    pub fn ours(&self, args: &[&str]) -> Outcome {
        let outcome = run(&mut self.imgbuild(args));
        for text in [&outcome.stdout, &outcome.stderr] {
            assert!(
                !text.contains("canary"),
                "{}: a secret shows: {text}",
                self.name
            );
        }
        outcome
    }

    /// skopeo; `side` is what its flags are called by: nothing, `src` or `dest`.
    #[track_caller]
    pub fn skopeo(&self, side: &str, args: &[&str]) -> String {
        let flag = |name: &str| match side {
            "" => format!("--{name}"),
            side => format!("--{side}-{name}"),
        };
        let mut command = program("skopeo", [args[0]]);
        command.arg(format!("{}={}", flag("tls-verify"), self.ca().is_some()));
        command.arg(flag("creds")).arg(format!("{USER}:{PASSWORD}"));
        if let Some(ca) = self.ca() {
            let certificates = self.home.path().join("certificates");
            fs_err::create_dir_all(&certificates).unwrap();
            fs_err::copy(ca, certificates.join("ca.crt")).unwrap();
            command.arg(flag("cert-dir")).arg(certificates);
        }
        run(command.args(&args[1..])).succeeded().stdout
    }
}
