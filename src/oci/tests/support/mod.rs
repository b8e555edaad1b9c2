//! Servers that tests start and stop: Debian's docker-registry in all its forms, the token server that it trusts, and a
//! proxy. Everything lies in a temporary folder, listens on this machine only, and ends with the test's process.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod certificates;
pub mod http_server;
pub mod proxy;
pub mod real_registry;
pub mod token_server;

/// The user that every guarded server of the tests knows.
pub const USER: &str = "user";
/// Their password. Nothing may show it.
pub const PASSWORD: &str = "canary-password";
/// Their refresh token. Nothing may show it.
pub const REFRESH_TOKEN: &str = "canary-refresh";
