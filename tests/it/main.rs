//! The integration tests, one binary.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `cli` | bad input: one error, a hint, exit code 1 |
//! | `inputs` | every kind of origin against its real client |
//! | `image` | one whole build of python3.13, looked at by independent tools and used |
//! | `base` | the base's real origins, from a registry and a web server of this machine |
//! | `steps` | what is built again and what is not; failed, interrupted and simultaneous builds |

mod base;
mod cli;
mod image;
mod inputs;
mod steps;
mod support;
