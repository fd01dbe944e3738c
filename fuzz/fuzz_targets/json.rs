//! The target `json` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluicegate_fuzz::targets::json::check(bytes));
