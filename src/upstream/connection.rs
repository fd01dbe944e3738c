//! One HTTP/1.1 connection to a model server, without a task behind it: whoever waits for the answer drives it. A piece
//! of a stream then costs no hand-over between tasks (in bursts that is a third of the cost, of a whole answer three
//! quarters), and nothing is read that nobody asked for.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;

use tokio::time::Instant;

use super::bell::Bell;
use super::connect::Socket;
use super::failure::Unanswered;
use crate::timer::Timer;

/// The longest head of an answer. What is read ahead of the consumer is bounded by what a read gives (`connect::Socket`).
const READ_BUFFER_BYTES: usize = 32 << 10;

type Driver = http1::Connection<Socket, Full<Bytes>>;

/// A connection, idle or in the middle of one exchange. Dropping it closes it.
pub(super) struct Connection {
    requests: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended; it must not be polled again then.
    driver: Option<Box<Driver>>,
    /// What the driver wakes by.
    bell: Bell,
    /// For all of its exchanges, one after the other: most end long before their time.
    timer: Timer,
}

impl Connection {
    /// Speaks HTTP/1.1 over `socket`.
    pub(super) async fn open(socket: Socket) -> hyper::Result<Self> {
        let (requests, driver) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_BYTES)
            .handshake(socket)
            .await?;
        Ok(Self {
            requests,
            driver: Some(Box::new(driver)),
            bell: Bell::new(),
            timer: Timer::default(),
        })
    }

    /// Sends `request` and waits until `deadline` for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, Unanswered> {
        let (driver, bell, timer) = (&mut self.driver, &self.bell, &mut self.timer);
        let mut answer = pin!(bell.muted(|| self.requests.send_request(request)));
        poll_fn(|context| {
            drive(driver, bell, context.waker());
            match answer.as_mut().poll(&mut unwoken()) {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(Unanswered::from)),
                Poll::Pending => {
                    let late = timer.poll_until(context, deadline);
                    late.map(|()| Err(Unanswered::Late))
                }
            }
        })
        .await
    }

    /// Ready at `deadline`.
    pub(super) fn poll_until(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        self.timer.poll_until(context, deadline)
    }

    /// Writes, reads, and hands one piece over, as far as that can be done now; whether anything could be. An error of the
    /// connection also reaches whoever waits for the answer.
    pub(super) fn drive(&mut self, context: &Context<'_>) -> bool {
        drive(&mut self.driver, &self.bell, context.waker())
    }

    /// Looks at an answer, which may make room for the next piece: the connection must be driven before that is waited for.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.bell.muted(|| look(&mut unwoken()))
    }

    /// Whether it can take another request, as far as can be seen: a server may have closed it. It wakes nobody then.
    pub(super) fn is_idle(&mut self) -> bool {
        drive(&mut self.driver, &self.bell, Waker::noop());
        self.is_done()
    }

    /// Wakes whoever drove it last no more: it has ended its exchange.
    pub(super) fn rest(&self) {
        self.bell.rest();
    }

    /// Whether its last exchange has ended, by what is known without a look at it.
    pub(super) fn is_done(&self) -> bool {
        self.driver.is_some() && self.requests.is_ready()
    }
}

/// Runs a connection on behalf of whoever `waker` wakes, if anybody rang for it; whether it ran.
fn drive(driver: &mut Option<Box<Driver>>, bell: &Bell, waker: &Waker) -> bool {
    let Some(running) = driver else {
        return false;
    };
    if !bell.has_rung(waker) {
        return false;
    }
    let mut context = Context::from_waker(bell.waker());
    if Pin::new(running.as_mut()).poll(&mut context).is_ready() {
        *driver = None;
    }
    true
}

/// The context in which an answer is looked for. It comes by driving alone, which is done with the reader's own context;
/// a second waker would run the reader once more for nothing.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("has_ended", &self.driver.is_none())
            .finish_non_exhaustive()
    }
}
