//! Who calls: from the credential of a request to a [`Caller`]. Nothing here waits for the store,
//! but for changes.

mod caller;
mod credential;
mod directory;
mod forwarded;
mod key;
mod manage;
mod setup;
mod strikes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;
use tokio::sync::Mutex;

pub use self::caller::{Caller, KeyId, User, Via};
pub use self::key::NewKey;
pub use self::manage::NewUser;

use self::directory::Directory;
use self::key::KeyHash;
use self::strikes::Strikes;
use crate::config::{AuthMode, Networks};
use crate::error::{Error, Kind, Result};
use crate::store::Store;

/// Knows every user and key. Clones share them.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    mode: AuthMode,
    trusted_proxies: Networks,
    strikes: Strikes,
    store: Store,
    /// A std lock is enough: it is held for the clone or the swap of an `Arc`, never across an
    /// await.
    directory: RwLock<Arc<Directory>>,
    /// Held while a change is written and published, so that changes come one after the other. An
    /// async mutex, because the store is awaited under it.
    changes: Arc<Mutex<()>>,
}

impl Auth {
    /// The caller of a request that came from `peer`.
    ///
    /// # Errors
    ///
    /// If there is no credential and one is needed, it is not known, or there are two different
    /// ones.
    pub fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller> {
        let caller = match credential::read(headers)? {
            Some(token) => self.verify(token, peer)?,
            None if self.0.mode == AuthMode::Open => Caller::anonymous(),
            None => return Err(Error::new(Kind::MissingCredential, "Not authenticated")),
        };
        if !self.0.trusted_proxies.contains(peer) {
            return Ok(caller);
        }
        Ok(match forwarded::read(headers)? {
            Some(user) => caller.speaking_for(user),
            None => caller,
        })
    }

    fn verify(&self, token: &[u8], peer: IpAddr) -> Result<Caller> {
        let key = self.directory().verify(token);
        // Through a trusted proxy come the keys of many.
        if !self.0.trusted_proxies.contains(peer) {
            let hash = key
                .as_ref()
                .map_or_else(|| KeyHash::of(token), |key| key.hash);
            self.0.strikes.judge(peer, &hash, key.is_some())?;
        }
        key.map(|key| Caller::of_key(&key))
            .ok_or_else(unknown_credential)
    }

    /// The users and keys as of now. One is asked for each request, so that a change holds for the
    /// next.
    fn directory(&self) -> Arc<Directory> {
        // The lock cannot be poisoned: nothing panics under it.
        let directory = self
            .0
            .directory
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&directory)
    }
}

/// The same for every key that is not known, so that nothing can be learnt from the answer.
fn unknown_credential() -> Error {
    let message = "Your session has expired or the token is invalid. Please sign in again.";
    Error::new(Kind::UnknownCredential, message)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("mode", &self.0.mode)
            .finish_non_exhaustive()
    }
}
