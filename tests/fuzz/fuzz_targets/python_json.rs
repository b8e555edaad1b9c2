#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ric::fuzzing::json_codec(bytes));
