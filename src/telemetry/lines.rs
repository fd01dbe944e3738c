//! Log lines on their way out. Whoever logs never waits for whoever reads: what cannot be written in time is dropped
//! and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How many lines may wait.
const WAITING: usize = 4096;
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Everything before it has been written once the sender is dropped.
    Flush(SyncSender<()>),
}

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    /// Lines that a thread of their own writes to `out`.
    pub(super) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, received) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(out, &received, &lost))?;
        Ok(Self { messages, dropped })
    }

    /// Waits until what was logged is written, but not for long.
    pub(super) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        if self.messages.try_send(Message::Flush(done)).is_ok() {
            // Whoever does not read until then gets no last lines.
            let _ = is_done.recv_timeout(LAST_LINES);
        }
    }
}

/// One line goes in one piece.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self
            .messages
            .try_send(Message::Line(line.to_vec()))
            .is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

fn write_all(mut out: impl Write, messages: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(message) = messages.recv() {
        match message {
            // Nobody is left to be told that the log cannot be written.
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(done) => drop(done),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                out,
                "{lost} lines of the log were dropped: they came faster than they were read"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_does_not_wait_for_who_reads() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = Lines::new(writer).unwrap();
        for _ in 0..WAITING * 3 {
            (&lines).write_all(&[b'x'; 100]).unwrap();
        }
        assert!(lines.dropped.load(Ordering::Relaxed) > 0);
        let reading = thread::spawn(move || {
            let mut said = String::new();
            io::Read::read_to_string(&mut reader, &mut said).map(|_| said)
        });
        lines.flush();
        drop(lines);
        assert!(reading.join().unwrap().unwrap().contains("were dropped"));
    }
}
