//! A private CA and what it signs.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Which certificate a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// For `127.0.0.1` and `localhost`.
    Good,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    Future,
    /// For `registry.test` only.
    OtherHost,
}

/// Files in PEM form.
pub struct Certificates {
    /// The CA's certificate.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes a CA and a certificate, in a folder.
    pub fn new(folder: &Path, leaf: Leaf) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let names: &[&str] = match leaf {
            Leaf::OtherHost => &["registry.test"],
            _ => &["127.0.0.1", "localhost", "registry.test"],
        };
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        match leaf {
            Leaf::Expired => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Leaf::Future => params.not_before = rcgen::date_time_ymd(4000, 1, 1),
            Leaf::Good | Leaf::OtherHost => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            path
        };
        Self {
            ca: write("ca.pem", ca.pem()),
            certificate: write("server.pem", certificate.pem()),
            key: write("server.key", key.serialize_pem()),
        }
    }
}
