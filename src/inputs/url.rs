//! Files over http and https, resumed after a broken transfer, also one of an earlier run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use oci::registry::{Get, Http, HttpError, TransferError, Url, download, host};

use super::Artifact;
use super::origins::Reason;
use super::progress::Transfer;

/// The client, and the hosts that it could not reach.
#[derive(Default)]
pub(super) struct Urls {
    http: Http,
    unreachable: Mutex<BTreeMap<String, String>>,
}

impl Urls {
    pub(super) fn http(&self) -> &Http {
        &self.http
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
        let get = Get::new(url);
        self.while_reachable(&host(&get.url), || {
            let mut open = |from| {
                self.http.get(&Get {
                    from,
                    ..get.clone()
                })
            };
            let mut hear = |bytes| transfer.at(bytes);
            let (options, digest) = (self.http.options(), &artifact.sha256);
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
