//! The user's logins: comes in a reference, goes out the credentials for its registry, or none. Knows the files that
//! docker and podman write, and the helpers that they ask; starts no program itself.
//!
//! The first of these that knows the registry is used:
//! 1. `DOCKER_AUTH_CONFIG`, a docker configuration in the environment
//! 2. `REGISTRY_AUTH_FILE`, podman's file if it is named
//! 3. `config.json` in `$DOCKER_CONFIG` or `~/.docker`
//! 4. without `REGISTRY_AUTH_FILE`: podman's `containers/auth.json` in `$XDG_RUNTIME_DIR`, then in `$XDG_CONFIG_HOME` or
//!    `~/.config`
//!
//! In each of them: `credHelpers` for the registry, then `credsStore`, then `auths`. Keys of `auths` may be a host, a host
//! with `https://` and `/v1/` or `/v2/`, or a host and the beginning of a repository; the longest that fits counts.

pub(super) mod config;
mod helper;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;

use super::{Reference, Secret};
use config::Config;
pub use helper::{HelperFault, HelperOutput};

/// More than any such file has.
const MAX_FILE: u64 = 4 << 20;

/// A user's account at one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// User and password; the password may be a token.
    Password {
        /// The user's name.
        username: String,
        /// The password or token.
        password: Secret,
    },
    /// A refresh token of OAuth 2, which a token server exchanges.
    IdentityToken(Secret),
    /// A token that the registry itself takes.
    RegistryToken(Secret),
}

/// A place where credentials may be.
#[derive(Clone, Debug)]
pub enum Source {
    /// The text of a configuration, and the environment variable that it was in.
    Text(&'static str, Secret),
    /// A file; need not exist.
    File(PathBuf),
}

/// Runs the program (first) and sends it the registry (second) on its stdin.
pub type RunHelper = Arc<dyn Fn(&str, &str) -> Result<HelperOutput, HelperFault> + Send + Sync>;

/// Where to look for credentials, in order. The default knows none.
#[derive(Clone, Default)]
pub struct Keychain {
    sources: Vec<Source>,
    run: Option<RunHelper>,
}

/// Credentials that cannot be read. Never holds what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum KeychainError {
    /// It cannot be read; the error names the path.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It is no configuration.
    #[error("{place} is not a docker configuration (line {line}, column {column})")]
    Malformed {
        /// A path or a variable.
        place: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The file is too big to be one.
    #[error("{place} is not a docker configuration: it has more than {MAX_FILE} bytes")]
    TooBig {
        /// A path.
        place: String,
    },
    /// A login that is none.
    #[error("the login for {key:?} in {place} is not user:password in base64")]
    Login {
        /// A path or a variable.
        place: String,
        /// The registry as it stands there.
        key: String,
    },
    /// The helper that the configuration names could not help.
    #[error("{program} ({place} names it): {fault}")]
    Helper {
        /// A path or a variable.
        place: String,
        /// `docker-credential-…`.
        program: String,
        /// Why.
        fault: HelperFault,
    },
}

impl KeychainError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::File(_) => return None,
            Self::Malformed { .. } | Self::TooBig { .. } => {
                "correct it, or name another folder with DOCKER_CONFIG".to_owned()
            }
            Self::Login { key, .. } => format!("log in again: docker login {key}"),
            Self::Helper {
                fault: HelperFault::Missing,
                program,
                place,
            } => format!("install {program}, or remove it from {place}"),
            Self::Helper { program, .. } => {
                format!("try it: echo REGISTRY | {program} get")
            }
        })
    }
}

impl Keychain {
    /// Looks nothing up yet.
    pub fn new(sources: Vec<Source>, run: RunHelper) -> Self {
        Self {
            sources,
            run: Some(run),
        }
    }

    /// The credentials for a repository; `None` is nobody in particular.
    pub fn credentials(&self, reference: &Reference) -> Result<Option<Credentials>, KeychainError> {
        for source in &self.sources {
            let Some((place, config)) = source.read()? else {
                continue;
            };
            if let Some(program) = config.helper(reference.registry()) {
                let failed = |fault| KeychainError::Helper {
                    place: place.clone(),
                    program: program.clone(),
                    fault,
                };
                let found = self.ask(&program, reference.registry()).map_err(failed)?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            let found = config.login(reference.registry(), reference.repository());
            let found = found.map_err(|key| KeychainError::Login {
                place: place.clone(),
                key,
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn ask(&self, program: &str, registry: &str) -> Result<Option<Credentials>, HelperFault> {
        if !helper::is_program(program) {
            return Err(HelperFault::Name);
        }
        let Some(run) = &self.run else {
            return Err(HelperFault::Missing);
        };
        helper::understand(run(program, config::server(registry))?)
    }
}

impl Source {
    /// What it is called, and what is in it.
    fn read(&self) -> Result<Option<(String, Config)>, KeychainError> {
        use io::Read as _;
        let (place, bytes) = match self {
            Self::Text(name, text) => ((*name).to_owned(), text.expose().as_bytes().to_vec()),
            Self::File(path) => {
                let file = match fs::File::open(path) {
                    Ok(file) => file,
                    Err(error) if is_absent(&error) => return Ok(None),
                    Err(error) => return Err(error.into()),
                };
                let place = path.display().to_string();
                let mut bytes = Vec::new();
                file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > MAX_FILE {
                    return Err(KeychainError::TooBig { place });
                }
                (place, bytes)
            }
        };
        // serde's own message may quote what it could not read.
        let config = Config::parse(&bytes).map_err(|error| KeychainError::Malformed {
            place: place.clone(),
            line: error.line(),
            column: error.column(),
        })?;
        Ok(Some((place, config)))
    }
}

/// A home folder that another user owns is as good as one without the file.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_list().entries(&self.sources).finish()
    }
}

#[cfg(test)]
impl Keychain {
    /// One registry's credentials.
    pub(super) fn fixed(registry: &str, credentials: &Credentials) -> Self {
        let login = match credentials {
            Credentials::Password { username, password } => {
                serde_json::json!({"username": username, "password": password.expose()})
            }
            Credentials::IdentityToken(token) => {
                serde_json::json!({"identitytoken": token.expose()})
            }
            Credentials::RegistryToken(token) => {
                serde_json::json!({"registrytoken": token.expose()})
            }
        };
        let auths = serde_json::json!({"auths": {registry: login}});
        Self {
            sources: vec![Source::Text("TEST", Secret::new(auths.to_string()))],
            run: None,
        }
    }
}

#[cfg(test)]
mod tests;
