//! The network as flags and environment describe it: hosts, CAs, proxies, and where credentials are kept.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the home of the environment"
)]

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oci::registry::{
    CaCertificates, HelperFault, HelperOutput, Http, HttpOptions, Keychain, Network, Proxies,
    Secret, Source,
};

use super::{Settings, SettingsError};
use crate::process::{Limits, Process, ProcessError};

/// What a credential helper may use: a person may have to unlock something.
const HELPER: Limits = Limits {
    time: Duration::from_secs(30),
    output: 1 << 20,
};

impl Settings {
    /// A client for the network as the user has it.
    pub fn http(&self) -> Result<Http, SettingsError> {
        Ok(Http::new(HttpOptions {
            network: self.network()?,
            ..HttpOptions::default()
        }))
    }

    /// The network as the user has it. Credentials are looked up when a registry asks for them, not here.
    pub fn network(&self) -> Result<Network, SettingsError> {
        let flags = &self.network;
        let ca = flags.ca_cert.as_deref().map(CaCertificates::read);
        Ok(Network {
            plain_http: flags.plain_http.iter().cloned().collect(),
            insecure: flags.insecure.iter().cloned().collect(),
            ca: ca.transpose().map_err(SettingsError::Ca)?,
            proxies: proxies(),
            keychain: Keychain::new(sources(), Arc::new(ask_helper)),
        })
    }
}

/// The upper-case name wins, as it does for docker.
fn proxies() -> Proxies {
    let first = |names: [&'static str; 4]| {
        let values = names.into_iter().map(|name| (name, env::var(name)));
        let mut given = values.filter_map(|(name, value)| Some((name, value.ok()?)));
        let found = given.find(|(_, value)| !value.is_empty())?;
        Some((found.0, Secret::new(found.1)))
    };
    let no_proxy = ["NO_PROXY", "no_proxy"].map(env::var);
    Proxies {
        http: first(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]),
        https: first(["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]),
        no_proxy: no_proxy.into_iter().flatten().next().unwrap_or_default(),
    }
}

/// The order is the one that [`oci::registry::Keychain`] documents.
fn sources() -> Vec<Source> {
    let folder = |name: &str| {
        let value = env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    let text = env::var("DOCKER_AUTH_CONFIG").ok();
    let text = text.map(|text| Source::Text("DOCKER_AUTH_CONFIG", Secret::new(text)));
    let home = folder("HOME");
    let docker = folder("DOCKER_CONFIG").or_else(|| Some(home.as_ref()?.join(".docker")));
    let config_home = folder("XDG_CONFIG_HOME").or_else(|| Some(home.as_ref()?.join(".config")));
    let named = folder("REGISTRY_AUTH_FILE");
    let podman = match &named {
        Some(_) => [None, None],
        None => [folder("XDG_RUNTIME_DIR"), config_home]
            .map(|folder| Some(folder?.join("containers/auth.json"))),
    };
    let [runtime, own] = podman;
    let docker = docker.map(|folder| folder.join("config.json"));
    let files = [named, docker, runtime, own].into_iter().flatten();
    text.into_iter().chain(files.map(Source::File)).collect()
}

/// `docker-credential-… get`.
fn ask_helper(program: &str, registry: &str) -> Result<HelperOutput, HelperFault> {
    let question = format!("{registry}\n");
    let answer = Process::inheriting(program)
        .arg("get")
        .exchange(question.as_bytes(), HELPER);
    let (status, said) = answer.map_err(|error| match error {
        ProcessError::Missing { .. } => HelperFault::Missing,
        ProcessError::Slow { seconds, .. } => HelperFault::Slow(seconds),
        ProcessError::TooMuch { .. } => HelperFault::TooMuch,
        ProcessError::Start { source, .. } => HelperFault::Start(source.to_string()),
        error => HelperFault::Start(error.to_string()),
    })?;
    Ok(HelperOutput {
        failure: (!status.success()).then(|| status.to_string()),
        stdout: said.stdout,
        stderr: said.stderr,
    })
}
