//! The program as a whole, from outside: the executable linked with a real interpreter, a Runtime API that records every
//! byte, and functions written into a folder of their own.
//!
//! `RIC_TEST_EXECUTABLE=/…/var/runtime/bootstrap` tests an executable that exists; otherwise one is built against the
//! shared libpython of `RIC_TEST_PYTHON`, of `python3` or of a pyenv version. Without any of them nothing is tested, loudly.

mod agents;
mod apm;
mod coroutines;
mod emulator;
mod entry;
mod errors;
mod event_message;
mod executable;
mod fake_api;
mod function;
mod host;
mod installed_client;
mod invocation;
mod json;
mod leak;
mod logging;
mod malformed;
mod packages;
mod readme;
mod signals;
mod snapshot;
mod streaming;
mod threads;
mod workers;
