//! The promises of the main job, each a test against the real binary with real Python functions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod actions;
mod asking;
mod commands;
mod conformance;
mod drain;
mod environments;
mod events;
mod faults;
mod filters;
mod folder;
mod habits;
mod hostile;
mod isolation;
mod keeping;
mod keys;
mod layers;
mod leaving;
mod management;
mod metrics;
mod native;
mod opened_routes;
mod outlets;
mod pass_through;
mod pipelines;
mod pipes;
mod presets;
mod recycling;
mod refusals;
mod reliability;
mod remote_pipelines;
mod rewriting;
mod sdk;
mod secrets;
mod seeds;
mod series;
mod start;
mod suites;
mod support;
mod swap;
mod tools;
mod valves;

use std::time::Duration;

/// How long anything may take that must happen. Generous: it is passed only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);
