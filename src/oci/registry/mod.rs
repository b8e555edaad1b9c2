//! Registries: comes in a reference, goes out an image's exact bytes, each blob checked against its digest and size.
//! Knows nothing of where blobs are kept: that is a [`BlobSink`].

mod auth;
#[cfg(test)]
pub(crate) mod faulty;
pub mod http;
mod manifest;
mod pull;
mod reference;
mod retry;
mod secret;
mod transfer;

pub use auth::Credentials;
pub use http::{Get, Http, HttpError, HttpOptions, host, shown};
pub use manifest::{Descriptor, Index, Manifest, ManifestError, Platform};
pub use pull::{BlobSink, PullError, Pulled, Registry};
pub use reference::{InvalidReference, Reference};
pub use secret::Secret;
pub use transfer::{TransferError, download};

/// An address, parsed.
pub use reqwest::Url;
