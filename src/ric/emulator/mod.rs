//! The local emulator: what Lambda does around a runtime, on one machine, for one function.
//!
//! It answers invocations on one port, speaks the Runtime, Extensions, Telemetry and Logs APIs on another, and starts the
//! extensions that it finds and the runtime, this same program under its other name, when the first event comes in. Events
//! are handled one at a time, or as many at once as the configuration says; those that come meanwhile wait. An environment
//! that fails or takes too long is replaced for the next event.
//!
//! It does not do what only the service can: retries of asynchronous events, several environments, limits on memory.

pub mod base64;
pub mod body;
pub mod configuration;
pub mod delivery;
pub mod event_stream;
pub mod extension;
pub mod extension_api;
pub mod identifier;
pub mod invoke;
pub mod invoke_api;
pub mod json;
pub mod lifecycle;
pub mod log;
pub mod machine;
pub mod options;
pub mod process;
pub mod queue;
pub mod refusal;
pub mod report;
pub mod response_stream;
pub mod runtime_api;
pub mod sandbox;
pub mod server;
pub mod subscription;
pub mod telemetry;
pub mod timestamp;

use std::ffi::{OsStr, OsString, c_int};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::ffi::{self, StopSignals};
use configuration::Configuration;
use options::Options;
use sandbox::Sandbox;
use server::{Answer, Exchange, Response};
use subscription::Api;

const DEFAULT_RUNTIME_API: &str = "127.0.0.1:9001";
const ANY_PORT: &str = "127.0.0.1:0";
/// How long a caller's request may take to arrive once it has begun.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// Runs until SIGTERM or SIGINT. Returns the exit code.
pub fn run(called: &OsStr, arguments: &[OsString]) -> c_int {
    match start(called, arguments) {
        Ok((sandbox, stop)) => {
            stop.wait();
            sandbox.shut_down();
            0
        }
        Err(message) => {
            eprintln!("aws-lambda-rie: {message}");
            1
        }
    }
}

fn start(called: &OsStr, arguments: &[OsString]) -> Result<(Arc<Sandbox>, StopSignals), String> {
    let options = Options::parse(arguments)?;
    let configuration = Configuration::from_environment()?;
    let invocations = listen(&options.invoke_address)?;
    let apis = match &options.runtime_api_address {
        Some(address) => listen(address)?,
        // Another emulator may run on the same machine.
        None => listen(DEFAULT_RUNTIME_API).or_else(|_| listen(ANY_PORT))?,
    };
    let mut api_address = apis.local_addr().map_err(|error| error.to_string())?;
    if api_address.ip().is_unspecified() {
        api_address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let stop = StopSignals::new();
    ffi::adopt_orphans();
    let api_address = api_address.to_string();
    let sandbox = Arc::new(Sandbox::new(called, &options, configuration, &api_address)?);
    let shared = Arc::clone(&sandbox);
    // A function may take its time between the pieces of a response.
    server::serve(apis, None, move |exchange| route(&shared, exchange));
    let shared = Arc::clone(&sandbox);
    server::serve(invocations, Some(REQUEST_PATIENCE), move |exchange| {
        invoke_api::answer(&shared, exchange)
    });
    Ok((sandbox, stop))
}

/// The APIs that the environment's own processes use.
fn route(sandbox: &Sandbox, exchange: &mut Exchange) -> Answer {
    let request = exchange.head.request();
    let Some((method, target)) = request.map(|(m, t)| (m.to_owned(), t.to_owned())) else {
        return Answer::Close;
    };
    let path = target.split('?').next().unwrap_or_default();
    if let Some(rest) = path.strip_prefix(runtime_api::PATH) {
        return runtime_api::answer(sandbox, exchange, &method, rest);
    }
    if let Some(rest) = path.strip_prefix(extension_api::PATH) {
        return extension_api::answer(sandbox, exchange, &method, rest);
    }
    match (method.as_str(), path.trim_end_matches('/')) {
        ("PUT", "/2022-07-01/telemetry") => {
            extension_api::subscribe(sandbox, exchange, Api::Telemetry)
        }
        ("PUT", "/2020-08-15/logs") => extension_api::subscribe(sandbox, exchange, Api::Logs),
        _ => Answer::Response(Response::new(404, "text/plain", "404 page not found\n")),
    }
}

fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))
}
