//! Inputs: comes in what a lock names, goes out a verified file in the content store.

mod crate_;
mod debian;
mod fetch;
mod image;
mod lock;
mod mirror;
mod origin;
mod origins;
mod progress;
mod store;
mod unavailable;
mod url;
mod wheel;

pub use fetch::{FetchOptions, Fetched, Fetcher, Source};
pub use lock::{Lock, Temporary};
pub use origin::{Artifact, Input, Origin};
pub use origins::Reason;
pub use progress::{Progress, ProgressMode, Transfer};
pub use store::{BlobWriter, Store, StoreError};
pub use unavailable::{Attempt, FetchError, Tried, Unavailable};
