//! Filters in Rust: managed, ordered and attached as those in Python are, and none of them starts a process.

mod chain;
mod configured;
mod managing;
mod sample;
mod streams;
mod swap;

use crate::support::{FakeUpstream, Setup, TestGateway};

/// The text of a function that is the native filter of this name.
fn native(kind: &str) -> String {
    format!("\"\"\"\ntitle: {kind}\nnative: {kind}\n\"\"\"\n")
}

/// A gateway without Python.
fn setup(upstream: &FakeUpstream) -> Setup {
    TestGateway::setup().upstream("fake", &upstream.base_url())
}
