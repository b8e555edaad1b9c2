//! Certificates: comes in a file of CA certificates, or a handshake that failed; goes out what reqwest trusts, or what
//! was wrong with the server's certificate, in words.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustls::CertificateError as Bad;

use super::http::causes;

/// CA certificates of the user's own, trusted beside the system's.
#[derive(Clone, Debug)]
pub struct CaCertificates(Vec<reqwest::Certificate>);

/// A file that does not hold CA certificates.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// It is something else.
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(PathBuf),
}

impl CaError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::File(_) => "name a file that can be read",
            Self::NoCertificate(_) => {
                "it has lines like -----BEGIN CERTIFICATE-----; openssl x509 -inform der converts others"
            }
        }
    }
}

impl CaCertificates {
    /// All certificates of a PEM file.
    pub fn read(path: &Path) -> Result<Self, CaError> {
        let bytes = fs::read(path)?;
        let none = || CaError::NoCertificate(path.to_owned());
        let certificates = reqwest::Certificate::from_pem_bundle(&bytes).map_err(|_| none())?;
        if certificates.is_empty() {
            return Err(none());
        }
        // What is in the PEM frames is looked at here, so that the file is named and not some server.
        let trusted = |certificate: &reqwest::Certificate| {
            super::http::trusts(std::slice::from_ref(certificate))
        };
        if !certificates.iter().all(trusted) {
            return Err(none());
        }
        Ok(Self(certificates))
    }

    pub(super) fn certificates(&self) -> &[reqwest::Certificate] {
        &self.0
    }
}

/// What is wrong with a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// Signed by nobody who is trusted here.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// For another host.
    WrongHost,
    /// It does not speak TLS at all.
    NotTls,
    /// Something else, in rustls' words.
    Other(String),
}

impl TlsFault {
    /// Of a failed request, if it was TLS that failed.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let error = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())?;
        Some(match error {
            rustls::Error::InvalidCertificate(bad) => match bad {
                // The other one is signed by somebody of the same name.
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer,
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::WrongHost,
                other => Self::Other(super::http::shortened(&other.to_string())),
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Other(super::http::shortened(&other.to_string())),
        })
    }

    /// What to do about it.
    pub fn hint(&self, host: &str) -> Option<String> {
        Some(match self {
            Self::UnknownIssuer => format!(
                "name the certificate of the CA that signed it with --ca-cert or SSL_CERT_FILE (or --insecure {host}, unverified)"
            ),
            Self::Expired => {
                "the server's administrator renews it; or this machine's clock is wrong".to_owned()
            }
            Self::NotYetValid => "this machine's clock may be wrong".to_owned(),
            Self::WrongHost => "use the name that the certificate is for".to_owned(),
            Self::NotTls => format!("if it speaks plain http: --plain-http {host}"),
            Self::Other(_) => return None,
        })
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "its certificate is signed by an authority unknown here",
            Self::Expired => "its certificate has expired",
            Self::NotYetValid => "its certificate is not valid yet",
            Self::WrongHost => "its certificate is for another host",
            Self::NotTls => "it does not speak TLS",
            Self::Other(words) => words,
        })
    }
}
