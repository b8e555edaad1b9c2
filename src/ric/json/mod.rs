//! JSON between bytes and Python objects, with the rules and the messages of simplejson, which the official client uses.
//!
//! simplejson and not the standard library: NaN in an event is refused, named tuples become objects, bytes become text.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::Encoder;
