//! Writes to workers at the end of a thread's turn: what the tasks that are ready say to a worker goes in one write, which
//! wakes it once.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id, RuntimeFlavor};

use super::worker::Connection;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// What is to be written when this thread's turn ends.
struct Turn {
    runtime: Id,
    due: Vec<Arc<Connection>>,
    /// Of the [`Writer`], once it has run.
    writer: Option<Waker>,
}

/// The task that writes, behind those that were ready before it. It goes with its runtime, and leaves nothing unwritten.
struct Writer;

/// Has `connection` written to when the tasks have run that are ready on this thread; false if that cannot be had here.
/// Must be called by a task, which runs on its runtime's own thread, and without the lock that writing takes.
pub(super) fn plan(connection: &Arc<Connection>) -> bool {
    let runtime = Handle::try_current().ok().filter(is_of_one_thread);
    let Some(runtime) = runtime else {
        return false;
    };
    let is_new = TURN.with_borrow_mut(|turn| {
        let id = runtime.id();
        let is_new = turn.as_ref().is_none_or(|turn| turn.runtime != id);
        let before = turn.take_if(|_| is_new);
        let turn = turn.get_or_insert_with(|| Turn {
            runtime: id,
            due: before.map_or_else(Vec::new, |turn| turn.due),
            writer: None,
        });
        turn.due.push(Arc::clone(connection));
        if let Some(writer) = &turn.writer {
            writer.wake_by_ref();
        }
        is_new
    });
    if is_new {
        runtime.spawn(Writer);
    }
    true
}

/// Whether tasks of a runtime stay on one thread.
pub(super) fn is_of_one_thread(runtime: &Handle) -> bool {
    runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
}

impl Future for Writer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let due = TURN.with_borrow_mut(|turn| {
            let turn = turn.as_mut()?;
            turn.writer.get_or_insert_with(|| context.waker().clone());
            Some(std::mem::take(&mut turn.due))
        });
        due.iter().flatten().for_each(|it| it.write_due());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Fails where the thread itself is at its end, and nobody plans anything any more.
        let turn = TURN.try_with(|turn| turn.borrow_mut().take());
        let due = turn.ok().flatten().map(|turn| turn.due);
        due.iter().flatten().for_each(|it| it.write_due());
    }
}
