//! The local emulator: what Lambda does around a runtime, on one machine, for one function.
//!
//! It answers invocations on one port, speaks the Runtime API on another, and starts the runtime, this same program under
//! its other name, as a child when the first event comes in. Events are handled one at a time; those that come meanwhile
//! wait. A runtime that ends or takes too long is replaced for the next event.
//!
//! It does not do what only the service can: extensions, asynchronous retries, several environments.

pub mod invoke_api;
pub mod machine;
pub mod options;
pub mod report;
pub mod runtime;
pub mod runtime_api;
pub mod server;

use std::ffi::{OsStr, OsString, c_int};
use std::net::TcpListener;
use std::sync::Arc;

use crate::ffi::StopSignals;
use options::Options;
use runtime::Runtime;

const DEFAULT_RUNTIME_API: &str = "127.0.0.1:9001";
const ANY_PORT: &str = "127.0.0.1:0";

/// Runs until SIGTERM or SIGINT. Returns the exit code.
pub fn run(called: &OsStr, arguments: &[OsString]) -> c_int {
    match start(called, arguments) {
        Ok((runtime, stop)) => {
            stop.wait();
            runtime.shut_down();
            0
        }
        Err(message) => {
            eprintln!("aws-lambda-rie: {message}");
            1
        }
    }
}

fn start(called: &OsStr, arguments: &[OsString]) -> Result<(Arc<Runtime>, StopSignals), String> {
    let options = Options::parse(arguments)?;
    let invocations = listen(&options.invoke_address)?;
    let runtime_api = match &options.runtime_api_address {
        Some(address) => listen(address)?,
        // Another emulator may run on the same machine.
        None => listen(DEFAULT_RUNTIME_API).or_else(|_| listen(ANY_PORT))?,
    };
    let port = runtime_api
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let stop = StopSignals::new();
    let runtime = Arc::new(Runtime::new(
        called,
        &options,
        &format!("127.0.0.1:{port}"),
    )?);
    let shared = Arc::clone(&runtime);
    server::serve(runtime_api, move |request| {
        runtime_api::answer(&shared, request)
    });
    let shared = Arc::clone(&runtime);
    server::serve(invocations, move |request| {
        Some(invoke_api::answer(&shared, request))
    });
    Ok((runtime, stop))
}

fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}
