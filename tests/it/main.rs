//! The integration tests, one binary.

mod inputs;
