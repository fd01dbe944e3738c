//! How much memory the bodies of all requests may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::error::{Error, Kind};

/// What is left for bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

/// The part of a budget that one body takes, until the last of its bytes is let go of.
#[derive(Debug)]
pub(super) struct Share {
    account: Arc<Account>,
    bytes: usize,
}

/// Bytes that keep their share of the budget.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Account {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// A share of nothing yet.
    pub(super) fn open(&self) -> Share {
        Share {
            account: Arc::clone(&self.0),
            bytes: 0,
        }
    }
}

impl Share {
    /// Takes more.
    ///
    /// # Errors
    ///
    /// If nothing is left: the client may come back when other requests are over.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let fits = |used: usize| {
            let used = used.checked_add(bytes);
            used.filter(|used| *used <= self.account.limit_bytes)
        };
        // What does not fit is never counted: there may be room for others who want less.
        let used = &self.account.used_bytes;
        let taken = used.try_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if taken.is_ok() {
            self.bytes += bytes;
            return Ok(());
        }
        let message = "the gateway holds as many request bodies as it may; try again";
        Err(Error::new(Kind::Overloaded, message)
            .with_retry_after(std::time::Duration::from_secs(1)))
    }

    /// The whole body, whose clones and slices keep the share.
    pub(super) fn into_body(self, bytes: Bytes) -> Bytes {
        let _share = self;
        Bytes::from_owner(Counted { bytes, _share })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back_with_the_last_slice_of_its_body() {
        let budget = Budget::new(10);
        let mut share = budget.open();
        share.grow(4).unwrap();
        share.grow(4).unwrap();
        let body = share.into_body(Bytes::from_static(b"12345678"));
        assert_eq!(budget.open().grow(3).unwrap_err().kind(), Kind::Overloaded);
        let slice = body.slice(2..4);
        drop(body);
        assert!(budget.open().grow(3).is_err());
        drop(slice);
        assert!(budget.open().grow(10).is_ok());
    }

    #[test]
    fn who_is_refused_takes_no_room_from_others() {
        let budget = Budget::new(10);
        let (mut large, mut small) = (budget.open(), budget.open());
        large.grow(8).unwrap();
        assert!(large.grow(8).is_err());
        small.grow(2).unwrap();
    }
}
