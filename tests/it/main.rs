//! The integration tests, one binary.
//!
//! | module | what it shows |
//! | --- | --- |
//! | `arm64` | the image for the other machine type, built here, run through QEMU, pushed in one index |
//! | `cli` | bad input: one error, a hint, exit code 1 |
//! | `crash` | killed programs, full and failing disks, damaged stores, and the order in which bytes get to the disk |
//! | `credentials` | logins, CAs and proxies as users have them, and that none of it shows |
//! | `cpython` | CPython's own tests, inside the image |
//! | `diff` | what differs between images, wherever they are |
//! | `crowd` | many builds and prunes over one store, and a store of which only is read |
//! | `inputs` | every kind of origin against its real client |
//! | `lock` | locks that are not what they should be, and updates |
//! | `image` | one whole build of python3.13, looked at by independent tools and used |
//! | `base` | the base's real origins, from a registry and a web server of this machine |
//! | `papers` | what an image consists of and how it came to be, read by the standards' own tools |
//! | `push` | publishing, against real registries and over lines that break |
//! | `sandbox` | what a script tries while it is built, and that it fails |
//! | `variants` | the interpreters beside the plain one: a JIT, no lock, another series |
//! | `secrets` | canaries in every place where users keep secrets, looked for in everything that is written |
//! | `steps` | what is built again and what is not; failed, interrupted and simultaneous builds |
//! | `verify` | images of other tools, broken and whole, in every place where an image can be |

mod arm64;
mod base;
mod cli;
mod cpython;
mod crash;
mod credentials;
mod crowd;
mod diff;
#[path = "../../src/oci/registry/fake.rs"]
#[allow(dead_code, reason = "its own crate's tests use all of it")]
mod fake;
mod hostile;
mod image;
mod inputs;
mod line;
mod lock;
mod papers;
mod push;
#[path = "../../src/oci/tests/support/mod.rs"]
mod registries;
mod sandbox;
mod secrets;
mod steps;
mod support;
mod variants;
mod verify;
