//! Addresses that try keys nobody has: after some, only keys that were in use from there before are looked at.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::sync::Cache;

use super::key::KeyHash;
use crate::error::{Error, Kind};

/// How long a strike counts.
const MEMORY: Duration = Duration::from_secs(60);
/// How long a key that is not used is remembered to be in use from an address.
const ACQUAINTANCE: Duration = Duration::from_secs(24 * 60 * 60);
/// How many addresses, and keys in use from one, are remembered.
const REMEMBERED: u64 = 10_000;

/// Who has tried how often.
#[derive(Debug)]
pub(super) struct Strikes {
    limit: u32,
    counts: Cache<IpAddr, Arc<AtomicU32>>,
    known: Cache<(IpAddr, KeyHash), ()>,
}

impl Strikes {
    /// Allows each address so many unknown keys within a minute, 0 for any number.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            counts: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(MEMORY)
                .build(),
            known: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(ACQUAINTANCE)
                .build(),
        }
    }

    /// Judges a key from `peer` by whether it is somebody's.
    ///
    /// # Errors
    ///
    /// If too many unknown keys came from there, and this one was not in use from there before them: whoever guesses
    /// learns nothing more, and whoever shares the address is served.
    pub(super) fn judge(
        &self,
        peer: IpAddr,
        key: &KeyHash,
        is_somebodys: bool,
    ) -> Result<(), Error> {
        if self.limit == 0 {
            return Ok(());
        }
        let who = (peer.to_canonical(), *key);
        let strikes = self.counts.get(&who.0);
        let is_out = strikes.is_some_and(|count| count.load(Ordering::Relaxed) >= self.limit);
        if is_out && !(is_somebodys && self.known.contains_key(&who)) {
            return Err(too_many());
        }
        if !is_somebodys {
            let count = self.counts.get_with(who.0, Arc::default);
            count.fetch_add(1, Ordering::Relaxed);
        } else if self.known.get(&who).is_none() {
            self.known.insert(who, ());
        }
        Ok(())
    }
}

fn too_many() -> Error {
    let message = "too many unknown keys came from this address; try again in a minute";
    Error::new(Kind::TooManyAttempts, message).with_retry_after(MEMORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_shut_out_and_who_was_known_before_is_not() {
        let strikes = Strikes::new(3);
        let [guesser, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let key = |text: &str| KeyHash::of(text.as_bytes());
        assert!(strikes.judge(guesser, &key("known"), true).is_ok());
        for guess in ["a", "b", "c"] {
            assert!(strikes.judge(guesser, &key(guess), false).is_ok());
        }
        let error = strikes.judge(guesser, &key("d"), false).unwrap_err();
        assert_eq!(error.kind(), Kind::TooManyAttempts);
        // A lucky guess looks like an unlucky one.
        assert!(strikes.judge(guesser, &key("lucky"), true).is_err());
        assert!(strikes.judge(guesser, &key("known"), true).is_ok());
        assert!(strikes.judge(other, &key("lucky"), true).is_ok());
    }
}
