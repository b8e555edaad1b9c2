//! The cases, by area. Each area is one test.

mod context;
mod errors;
mod init;
mod json_in;
mod json_out;
mod logging;
mod names;
mod process;
mod random;
mod requests;
