//! Sluicegate: a reverse proxy for OpenAI-compatible backends that runs Open WebUI Functions, unmodified, on every
//! chat completion.
//!
//! The modules, in reading order:
//!
//! - [`chat`] is the product in about one screen: from an authenticated caller to the response.
//! - [`models`], [`passthrough`] and [`actions`] are the other ways in, of the same shape; [`tools`] are callables
//!   that models and pipes may use on the way.
//! - [`registry`] holds what is installed and configured now, one immutable snapshot at a time.
//! - [`host`] is the gateway's half of Python: processes, and calls to the functions in them.
//! - [`native`] holds the filters in Rust, which need no process.
//! - [`upstream`] talks to model servers.
//! - [`wire`] turns bytes of the protocols into values and back.
//! - [`server`] accepts connections and finds out what each request wants.
//! - [`auth`] turns a credential into a caller.
//! - [`admin`] lets an operator change what is installed.
//! - [`download`] brings the text of a function in from the web.
//! - [`egress`] judges and dials addresses that somebody else has named.
//! - [`store`] remembers it.
//! - [`config`] says what the operator wrote and what it means.
//! - [`gateway`] puts the parts together.
//! - [`demo`] shows what the gateway does, on a model inside the binary.
//! - [`commands`] tries one function out, and manages those of a gateway that runs.
//! - [`cli`] reads the command line.
//! - [`body`], [`error`], [`telemetry`], `timer` and `lookout` are what everybody shares.

pub mod actions;
pub mod admin;
pub mod auth;
pub mod body;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod demo;
pub mod download;
pub mod egress;
pub mod error;
pub mod gateway;
pub mod host;
mod lookout;
pub mod models;
pub mod native;
pub mod passthrough;
pub mod registry;
pub mod server;
pub mod store;
pub mod telemetry;
mod timer;
pub mod tools;
pub mod upstream;
pub mod wire;
