//! Registries: comes in a reference, goes out an image's exact bytes, each blob checked against its digest and size.
//! Knows nothing of where blobs are kept: that is a [`BlobSink`].

mod auth;
mod credentials;
mod endpoint;
#[cfg(test)]
mod fake;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod graph;
pub mod http;
mod manifest;
mod network;
mod pull;
mod push;
mod reference;
mod referrers;
mod retry;
mod secret;
mod tls;
mod transfer;
mod upload;
mod watch;

pub use auth::Access;
pub use credentials::{
    Credentials, HelperFault, HelperOutput, Keychain, KeychainError, RunHelper, Source,
};
pub use endpoint::Endpoint;
pub use graph::{Document, Entry, Graph, Links};
pub use http::{Answer, Http, HttpError, HttpOptions, Open, Request, host, shown};
pub use manifest::{Descriptor, Index, Manifest, ManifestError, Platform};
pub use network::{Network, Proxies};
pub use pull::{BlobSink, PullError, Pulled, Registry};
pub use push::{Push, PushError, Pushed};
pub use reference::{InvalidReference, Reference, without_login};
pub use referrers::{EMPTY_CONFIG, Referrers, ReferrersError, artifact, empty_config};
pub use retry::Clock;
pub use secret::Secret;
pub use tls::{CaCertificates, CaError, TlsFault};
pub use transfer::{TransferError, download};
pub use upload::OpenBlob;
pub use watch::{Outcome, Watch};

/// An address, parsed.
pub use reqwest::Url;
