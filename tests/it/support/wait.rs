//! Bounded waits: what does not happen in time fails the test, by name.

use std::time::Duration;

use tokio::time::{interval, timeout};

/// How often state is looked at that no event announces.
const LOOK: Duration = Duration::from_millis(10);

/// Awaits an event that must come.
pub(crate) async fn within<F: Future>(limit: Duration, what: &str, event: F) -> F::Output {
    match timeout(limit, event).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Looks again and again at state that changes without an event: the process table, a folder that is watched.
pub(crate) async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let mut looks = interval(LOOK);
    let seen = async {
        loop {
            looks.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    within(limit, what, seen).await
}
