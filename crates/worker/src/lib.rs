//! `sluicegate_core`: the part of a Python worker that is not Python.
//!
//! [`core`] moves frames over the worker's socket, [`encode`] writes Python values as JSON (reading it is
//! jiter's work), [`opened`] reads only what is asked for, [`prototypes`] reads the same only once,
//! [`batch`] reads events, of which most are like the one before, [`socket`] makes the system calls, [`usage`] tells what
//! a thread has used, [`watch`] ends a worker whose gateway is gone.
//! [`confine`] takes away what no function needs: [`privileges`], [`files`], [`syscalls`]. [`namespaces`] are what it
//! has for itself instead.
//! The code that acts on the frames is `python/sluicegate_worker`.

mod batch;
mod confine;
mod core;
mod encode;
mod files;
mod keys;
mod leaves;
mod members;
mod namespaces;
mod opened;
mod privileges;
mod prototypes;
mod refused;
mod shape;
mod socket;
mod syscalls;
mod template;
mod text;
mod usage;
mod watch;

use frames::{CREDIT_BYTES, GIVEN_UP, Handler, INITIAL_CREDIT, Item, Kind, Source};
use pyo3::prelude::*;

const KINDS: [(&str, Kind); 23] = [
    ("LOAD", Kind::Load),
    ("VALVES", Kind::Valves),
    ("FORGET", Kind::Forget),
    ("OPEN", Kind::Open),
    ("CLOSE", Kind::Close),
    ("CALL", Kind::Call),
    ("CANCEL", Kind::Cancel),
    ("CREDIT", Kind::Credit),
    ("PING", Kind::Ping),
    ("CALLBACK_REPLY", Kind::CallbackReply),
    ("UNLOAD", Kind::Unload),
    ("CONFINE", Kind::Confine),
    ("EVENTS", Kind::Events),
    ("READY", Kind::Ready),
    ("FAILED", Kind::Failed),
    ("REPLY", Kind::Reply),
    ("ERROR", Kind::Error),
    ("CHUNK", Kind::Chunk),
    ("END", Kind::End),
    ("EMIT", Kind::Emit),
    ("LOG", Kind::Log),
    ("PONG", Kind::Pong),
    ("CALLBACK", Kind::Callback),
];

const HANDLERS: &[(&str, Handler)] = &[
    ("INLET", Handler::Inlet),
    ("REQUEST", Handler::Request),
    ("STREAM", Handler::Stream),
    ("OUTLET", Handler::Outlet),
    ("PIPE", Handler::Pipe),
    ("PIPES", Handler::Pipes),
    ("ACTION", Handler::Action),
    ("CHECK_VALVES", Handler::CheckValves),
    ("VALVES_SPEC", Handler::ValvesSpec),
    ("TOOL", Handler::Tool),
];

const ITEMS: [(&str, Item); 5] = [
    ("ITEM_TEXT", Item::Text),
    ("ITEM_DATA", Item::Data),
    ("ITEM_RAW", Item::Raw),
    ("ITEM_HEAD", Item::Head),
    ("ITEM_BODY", Item::Body),
];

const SOURCES: [(&str, Source); 3] = [
    ("STDOUT", Source::Stdout),
    ("STDERR", Source::Stderr),
    ("LOGGING", Source::Logging),
];

/// The module's contents. The protocol's numbers come from the `frames` crate, so both ends agree on them.
#[pymodule]
fn sluicegate_core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<core::Core>()?;
    module.add_class::<core::Text>()?;
    module.add_class::<opened::Opened>()?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<batch::Templates>()?;
    module.add_class::<prototypes::Prototype>()?;
    module.add_function(wrap_pyfunction!(confine::confine, module)?)?;
    module.add_function(wrap_pyfunction!(namespaces::separate_processes, module)?)?;
    module.add_function(wrap_pyfunction!(namespaces::rejoin_processes, module)?)?;
    module.add_function(wrap_pyfunction!(namespaces::fork_guard, module)?)?;
    module.add_function(wrap_pyfunction!(namespaces::show_own_processes, module)?)?;
    module.add_function(wrap_pyfunction!(namespaces::separate_network, module)?)?;
    module.add_function(wrap_pyfunction!(privileges::hide_process, module)?)?;
    module.add_function(wrap_pyfunction!(privileges::adopt_orphans, module)?)?;
    module.add_function(wrap_pyfunction!(encode::dumps, module)?)?;
    module.add_function(wrap_pyfunction!(core::loads, module)?)?;
    module.add_function(wrap_pyfunction!(usage::thread_usage, module)?)?;
    module.add_function(wrap_pyfunction!(watch::watch, module)?)?;
    module.add_function(wrap_pyfunction!(watch::name_process, module)?)?;
    module.add("INITIAL_CREDIT", INITIAL_CREDIT)?;
    module.add("CREDIT_BYTES", CREDIT_BYTES)?;
    module.add("GIVEN_UP", GIVEN_UP)?;
    for (name, kind) in KINDS {
        module.add(name, kind.code())?;
    }
    for (name, handler) in HANDLERS {
        module.add(name, handler.code())?;
    }
    for (name, item) in ITEMS {
        module.add(name, item.code())?;
    }
    for (name, source) in SOURCES {
        module.add(name, source.code())?;
    }
    Ok(())
}
