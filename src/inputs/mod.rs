//! Inputs: comes in what a lock names, goes out a verified file in the content store.

mod batch;
mod blob_writer;
mod crate_;
mod deb;
mod debian;
mod decompress;
mod fetch;
mod image;
mod lock;
mod mirror;
mod origin;
mod origins;
mod packages;
mod progress;
mod store;
mod unavailable;
mod unpack;
mod url;
mod wheel;

pub use blob_writer::BlobWriter;
pub use crate_::crate_file;
pub use deb::{Deb, DebError, read_deb};
pub use decompress::decompress;
pub use fetch::{FetchOptions, Fetched, Fetcher, Place, Source};
pub use lock::{Lock, Temporary, remove_temporaries};
pub use origin::{Artifact, Input, Origin, url_without_login};
pub use origins::Reason;
#[cfg(any(test, fuzzing))]
pub use packages::fuzz_apt;
pub use packages::{DebianPackages, NewestSource};
pub use progress::{Progress, ProgressMode, Transfer};
pub use store::{Damage, Entry, Kind, Policy, Pruned, Store, StoreError};
pub use unavailable::{Attempt, FetchError, Tried, Unavailable};
pub use unpack::{UnpackError, unpack};
pub use wheel::pip;
