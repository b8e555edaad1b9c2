//! The runtime interface client.
