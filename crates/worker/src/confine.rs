//! What a worker gives up for good before it runs any function: rights, files, system calls.
//!
//! All of it is the kernel's work and holds for every thread and program that comes of this process. What this
//! kernel or container does not let us do is told, not hidden.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::{files, privileges, syscalls};

/// One protection: its name, whether it is in force, and how, or why not.
pub(crate) type Protection = (&'static str, bool, String);

/// What a worker is to keep.
#[derive(FromPyObject)]
pub(crate) struct Bounds {
    /// Files and folders that may be read.
    #[pyo3(item)]
    read: Vec<PathBuf>,
    /// Folders that may be written.
    #[pyo3(item)]
    write: Vec<PathBuf>,
    /// Files and folders that stay closed even if they are inside of what may be read.
    #[pyo3(item)]
    protected: Vec<PathBuf>,
    /// The user to become, if another.
    #[pyo3(item)]
    uid: Option<u32>,
    /// Whether programs may be started.
    #[pyo3(item)]
    subprocesses: bool,
    /// Whether connections may be opened.
    #[pyo3(item)]
    network: bool,
}

/// Confines this process and says which protections are in force.
///
/// It must have one thread only: the kernel applies some of this to the calling thread and those that it starts.
#[pyfunction]
pub(crate) fn confine(bounds: Bounds) -> Vec<Protection> {
    let access = files::Access {
        read: &bounds.read,
        write: &bounds.write,
        protected: &bounds.protected,
        execute: bounds.subprocesses,
    };
    // Opened while we may still reach everything, put in force when we have given up the rest.
    let rules = files::prepare(&access);
    privileges::give_up_bounding_set();
    let user = bounds.uid.map(privileges::become_user);
    let privileges = privileges::give_up();
    let files = rules.and_then(files::enforce);
    let are_signals_scoped = files.as_ref().is_ok_and(|scope| scope.signals);
    let calls = syscalls::Calls {
        subprocesses: bounds.subprocesses,
        network: bounds.network,
        signals: bounds.subprocesses && are_signals_scoped,
        // Another user's files are safe from `chmod`; the gateway's own user's are not.
        modes: matches!(user, Some(Ok(_))),
    };
    let calls = syscalls::filter(&calls);
    if files.is_ok() || matches!(user, Some(Ok(_))) {
        privileges::show_own_process();
    }
    let mut protections = vec![
        told("privileges", privileges),
        told("files", files.map(|scope| scope.detail)),
        told("system calls", calls),
    ];
    protections.extend(user.map(|user| told("own user", user)));
    protections
}

fn told(name: &'static str, outcome: Result<String, String>) -> Protection {
    match outcome {
        Ok(detail) => (name, true, detail),
        Err(reason) => (name, false, reason),
    }
}
