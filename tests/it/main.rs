//! The promises of the main job, each a test against the real binary with real Python functions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod asking;
mod conformance;
mod drain;
mod events;
mod filters;
mod folder;
mod hostile;
mod isolation;
mod keys;
mod layers;
mod leaving;
mod outlets;
mod pass_through;
mod pipes;
mod refusals;
mod sdk;
mod start;
mod suites;
mod support;
mod swap;
mod valves;

use std::time::Duration;

/// How long anything may take that must happen. Generous: it is passed only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);
