//! What it costs to have another process answer at all: bytes that go to one and come back, one message at a time, with
//! nothing else done on either side.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::Instant;

use crate::cpu::{Family, of_this_thread};
use crate::measure::WARM_UP;

/// The first argument of a process that sends back what it gets on its standard input, which is a socket.
pub(crate) const ECHO: &str = "--echo";

/// Messages between two looks at the clock.
const STRIDE: u32 = 100;

/// CPU microseconds of both processes for `bytes` there and back.
pub(crate) fn measure(bytes: usize, window: Duration) -> Result<f64> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([ECHO, &bytes.to_string()])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    let micros = exchange(&mut ours, &child, bytes, window);
    // It ends with the socket.
    drop(ours);
    child.wait()?;
    micros
}

/// Sends back what comes.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [bytes] = arguments else {
        bail!("a number of bytes is needed");
    };
    let mut socket =
        UnixStream::from(std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned()?);
    let mut message = vec![0; bytes.parse()?];
    while socket.read_exact(&mut message).is_ok() {
        socket.write_all(&message)?;
    }
    Ok(())
}

fn exchange(socket: &mut UnixStream, child: &Child, bytes: usize, window: Duration) -> Result<f64> {
    let mut message = vec![b'x'; bytes];
    let family = Family::of(child.id())?;
    let mut passes = |time: Duration| -> Result<(u32, u64)> {
        let cpu = || Ok::<_, anyhow::Error>(family.nanoseconds()? + of_this_thread()?);
        let (begun, before) = (Instant::now(), cpu()?);
        let mut count = 0;
        while begun.elapsed() < time {
            for _ in 0..STRIDE {
                socket.write_all(&message)?;
                socket.read_exact(&mut message)?;
            }
            count += STRIDE;
        }
        Ok((count, cpu()? - before))
    };
    passes(WARM_UP)?;
    let (count, nanoseconds) = passes(window)?;
    Ok(nanoseconds as f64 / f64::from(count) / 1000.0)
}
