//! Files over http and https, resumed after a broken transfer, also one of an earlier run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oci::registry::{
    Http, HttpError, HttpOptions, Network, Request, TransferError, Url, download, host,
};

use super::Artifact;
use super::origins::Reason;
use super::progress::Transfer;

/// How long to wait for a connection where several hosts did not answer: nothing leaves this network, it seems.
const HASTY_TIMEOUT: Duration = Duration::from_secs(3);

/// The clients, and the hosts that they could not reach.
pub(super) struct Urls {
    patient: Http,
    hasty: Http,
    unreachable: Mutex<BTreeMap<String, String>>,
}

impl Urls {
    pub(super) fn new(network: &Network) -> Self {
        let patient = HttpOptions {
            network: network.clone(),
            ..HttpOptions::default()
        };
        Self {
            hasty: Http::new(HttpOptions {
                connect_timeout: HASTY_TIMEOUT,
                ..patient.clone()
            }),
            patient: Http::new(patient),
            unreachable: Mutex::default(),
        }
    }

    pub(super) fn http(&self) -> &Http {
        let unreachable = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if unreachable.len() < 2 {
            &self.patient
        } else {
            &self.hasty
        }
    }

    /// Fills `part`, which may hold the beginning.
    pub(super) fn fetch(
        &self,
        url: &str,
        artifact: &Artifact,
        part: &Path,
        transfer: &Transfer,
    ) -> Result<(), Reason> {
        let url =
            Url::parse(url).map_err(|_| TransferError::from(HttpError::Address(url.to_owned())))?;
        self.while_reachable(&host(&url), || {
            let http = self.http();
            let mut open = |from| http.send(&Request::get(url.clone()).from(from));
            let mut hear = |bytes| transfer.at(bytes);
            let (options, digest) = (http.options(), &artifact.sha256);
            Ok(download(
                options,
                digest,
                artifact.size,
                part,
                &mut open,
                &mut hear,
            )?)
        })
    }

    /// Asks `host`, unless it could not be reached before.
    pub(super) fn while_reachable<T>(
        &self,
        host: &str,
        ask: impl FnOnce() -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let known = self
            .unreachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(host)
            .cloned();
        if let Some(reason) = known {
            let host = host.to_owned();
            return Err(TransferError::from(HttpError::Unreachable { host, reason }).into());
        }
        let result = ask();
        let reason = result.as_ref().err().and_then(Reason::transfer);
        if let Some(TransferError::Http(HttpError::Unreachable { host, reason })) = reason {
            let mut unreachable = self
                .unreachable
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            unreachable.insert(host.clone(), reason.clone());
        }
        result
    }
}
