//! Ours and the official client, side by side on one interpreter: the same functions, events and environments, and a
//! Runtime API that writes down what each of them does.
//!
//! Compared are requests byte for byte, standard output, standard error, telemetry frames, their order, and how the process
//! ends. What must vary is replaced in normal.rs; where ours may differ is listed in allowed.rs, each with the reason.
//! The first run installs the official client by pip.
//!
//! The interpreter is chosen as in the other tests: `RIC_TEST_EXECUTABLE`, `RIC_TEST_PYTHON`, or what is found.

mod allowed;
mod case;
mod client;
mod compare;
mod corpus;
mod normal;
mod official;
mod recorder;

#[path = "../it/event_message.rs"]
mod event_message;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/executable.rs"]
mod executable;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/host.rs"]
mod host;
#[path = "../it/packages.rs"]
mod packages;
