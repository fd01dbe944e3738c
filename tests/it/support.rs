//! What the tests stand on: the real binary, a model server that plays scripts, and clients for both sides.

mod client;
mod door;
mod framing;
mod functions;
mod gateway;
mod long;
mod management;
mod ports;
mod process;
mod python;
mod say;
mod seeds;
mod shared;
mod upstream;
mod wait;
mod web;
mod witness;

pub(crate) use self::client::{Answer, Client, Events, Lost, chat, streamed_chat};
pub(crate) use self::door::Door;
pub(crate) use self::functions::{source, source_with};
pub(crate) use self::gateway::{ADMIN_KEY, Setup, TestGateway, USER_KEY};
pub(crate) use self::long::usual_or_long;
pub(crate) use self::management::Management;
pub(crate) use self::ports::{free_port, listen};
pub(crate) use self::process::Process;
pub(crate) use self::python::{node, python, sdk_packages, suite_packages};
pub(crate) use self::say::say;
pub(crate) use self::seeds::{Seed, in_class};
pub(crate) use self::shared::{RecordedUpstream, is_shared_there, shared};
pub(crate) use self::upstream::{
    FakeUpstream, Gate, Recorded, Script, Step, answer_of, event, events_of, head_of_stream,
    streamed, tail_of_stream, whole,
};
pub(crate) use self::wait::{eventually, within};
pub(crate) use self::web::Web;
pub(crate) use self::witness::Witness;
