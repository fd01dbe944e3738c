//! The limits on a paused clock, and what becomes of refused bytes.

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::LocalSet;

use super::*;
use crate::server::drain::LastCall;
use crate::server::pressure::Readers;

const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";

impl Socket for DuplexStream {
    fn reset_on_close(&self) {}
}

struct Fixture {
    guard: Guard<DuplexStream>,
    client: DuplexStream,
    activity: Rc<Activity>,
}

fn fixture(half_close: HalfClose) -> Fixture {
    let (client, server) = duplex(1024);
    let activity = Rc::new(Activity::new(
        Readers::default().enter(),
        LastCall::default(),
    ));
    let limits = Rc::new(Limits::default());
    let guard = Guard::new(server, Rc::clone(&activity), limits, half_close);
    Fixture {
        guard,
        client,
        activity,
    }
}

/// Reads until the limit passes; how many seconds that took.
async fn seconds_until_time_out(guard: &mut Guard<DuplexStream>) -> u64 {
    let start = Instant::now();
    let mut space = Vec::new();
    let error = guard.read_to_end(&mut space).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    start.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_own_limit() {
    let cases: [(&[u8], u64); 4] = [(b"", 75), (b"\r\n", 75), (b"GET", 10), (HEAD, 30)];
    for (bytes, seconds) in cases {
        let mut fixture = fixture(HalfClose::Leave);
        fixture.client.write_all(bytes).await.unwrap();
        let elapsed = seconds_until_time_out(&mut fixture.guard).await;
        assert_eq!(elapsed, seconds, "{bytes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trickled_head_does_not_gain_time_and_a_trickled_body_does() {
    for (start, seconds) in [(&b""[..], 10), (HEAD, 9 * 3 + 30)] {
        let Fixture {
            mut guard,
            mut client,
            activity: _activity,
        } = fixture(HalfClose::Leave);
        client.write_all(start).await.unwrap();
        let trickle = async {
            for byte in b"PUT" {
                tokio::time::sleep(Duration::from_secs(9)).await;
                client.write_all(&[*byte]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let elapsed = tokio::select! {
            () = trickle => unreachable!("it never ends"),
            elapsed = seconds_until_time_out(&mut guard) => elapsed,
        };
        let idle_before = if start.is_empty() { 9 } else { 0 };
        assert_eq!(elapsed, seconds + idle_before);
    }
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_end_of_the_last_request() {
    let mut fixture = fixture(HalfClose::Leave);
    let ticket = fixture.activity.begin();
    // On a task of its own, as nobody looks at the reader when an answer ends.
    let tasks = LocalSet::new();
    tasks.spawn_local(async move {
        tokio::time::sleep(Duration::from_secs(1000)).await;
        drop(ticket);
    });
    let reading = seconds_until_time_out(&mut fixture.guard);
    assert_eq!(tasks.run_until(reading).await, 1000 + 75);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_bytes_is_given_up_and_progress_gives_time() {
    let mut fixture = fixture(HalfClose::Leave);
    fixture.guard.write_all(&[b'x'; 1024]).await.unwrap();
    let start = Instant::now();
    let take = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        fixture.client.read_exact(&mut [0; 1]).await.unwrap();
        std::future::pending::<()>().await;
    };
    let failed = tokio::select! {
        () = take => unreachable!("it never ends"),
        written = fixture.guard.write_all(b"xx") => written.unwrap_err(),
    };
    assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 50 + 60);
}

#[tokio::test]
async fn refused_bytes_become_poison_and_the_end_however_small_the_reads() {
    for size in 1..80 {
        let mut fixture = fixture(HalfClose::Leave);
        let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1";
        fixture.client.write_all(good).await.unwrap();
        fixture
            .client
            .write_all(b"\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut seen = Vec::new();
        let mut space = vec![0; size];
        loop {
            let count = fixture.guard.read(&mut space).await.unwrap();
            if count == 0 {
                break;
            }
            seen.extend_from_slice(&space[..count]);
        }
        assert_eq!(seen, [good, POISON].concat());
    }
}

#[tokio::test]
async fn the_end_of_the_input_is_hidden_until_the_answer_is_done_if_wanted() {
    let mut fixture = fixture(HalfClose::Serve);
    let ticket = fixture.activity.begin();
    drop(fixture.client);
    let hidden = fixture.guard.read(&mut [0; 16]).now_or_never();
    assert!(hidden.is_none());
    let mut space = [0; 16];
    let (read, ()) = tokio::join!(fixture.guard.read(&mut space), async { drop(ticket) });
    assert_eq!(read.unwrap(), 0);
    let _ticket = fixture.activity.begin();
    fixture.guard.head.feed(b"POST / HTTP/1.1\r\n");
    assert_eq!(fixture.guard.read(&mut space).await.unwrap(), 0);
}

#[tokio::test]
async fn a_failure_waits_for_the_next_flush_of_a_socket_that_is_not_blocked() {
    let mut fixture = fixture(HalfClose::Leave);
    let ticket = fixture.activity.begin();
    let waker = futures_util::task::noop_waker();
    let given_at = ticket.flushes();
    assert!(!ticket.is_flushed_since(given_at, &waker));
    fixture.guard.flush().await.unwrap();
    assert!(ticket.is_flushed_since(given_at, &waker));
    fixture.guard.write_all(&[b'x'; 1024]).await.unwrap();
    assert!(fixture.guard.write(b"x").now_or_never().is_none());
    assert!(!ticket.is_flushed_since(given_at, &waker));
}
