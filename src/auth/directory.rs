//! Every user and key, as of one change. A change makes a new directory, with a new cache: what an
//! old one remembers cannot outlive it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use super::caller::{KeyId, User};
use super::key::{Key, KeyHash, Source, is_well_formed};
use crate::store::{StoreError, StoreErrorKind};

/// How many checked keys are remembered. Wrong ones count too, and anybody can make those up.
const REMEMBERED: u64 = 10_000;

/// Users by id, keys by hash.
#[derive(Debug)]
pub(super) struct Directory {
    users: BTreeMap<String, Entry>,
    keys: Keys,
    cache_for: Duration,
    checked: Cache<KeyHash, Option<Arc<Key>>>,
}

/// Keys by the first two bytes of their hash. How long finding these takes says nothing of use; the
/// whole hash is compared in constant time.
type Keys = HashMap<[u8; 2], Vec<Arc<Key>>>;

#[derive(Clone, Debug)]
struct Entry {
    user: Arc<User>,
    source: Source,
}

impl Directory {
    /// A directory of nobody.
    pub(super) fn new(cache_for: Duration) -> Self {
        let checked = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(cache_for)
            .build();
        Self {
            users: BTreeMap::new(),
            keys: HashMap::new(),
            cache_for,
            checked,
        }
    }

    /// The same users and keys, to be changed. Nothing is remembered.
    pub(super) fn draft(&self) -> Self {
        Self {
            users: self.users.clone(),
            keys: self.keys.clone(),
            ..Self::new(self.cache_for)
        }
    }

    /// The key of this text, if it is known.
    pub(super) fn verify(&self, text: &[u8]) -> Option<Arc<Key>> {
        if !is_well_formed(text) {
            return None;
        }
        let hash = KeyHash::of(text);
        self.checked.get_with(hash, || self.search(&hash))
    }

    /// Compares with every candidate, and does not stop at the one that fits.
    fn search(&self, hash: &KeyHash) -> Option<Arc<Key>> {
        let candidates = self.keys.get(&bucket(hash)).into_iter().flatten();
        let found = candidates.fold(None, |found, key| {
            if key.hash.is_same(hash) {
                Some(key)
            } else {
                found
            }
        });
        found.cloned()
    }

    pub(super) fn user(&self, id: &str) -> Option<&Arc<User>> {
        self.users.get(id).map(|entry| &entry.user)
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values().map(|entry| &entry.user)
    }

    /// Where the user was set up.
    pub(super) fn source_of(&self, id: &str) -> Option<Source> {
        self.users.get(id).map(|entry| entry.source)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values().flatten()
    }

    pub(super) fn key(&self, id: &KeyId) -> Option<&Arc<Key>> {
        self.keys().find(|key| key.id == *id)
    }

    /// Adds a user, unless there is one of the same id: the configuration comes first, and wins.
    pub(super) fn add_user(&mut self, user: User, source: Source) -> Arc<User> {
        let entry = Entry {
            user: Arc::new(user),
            source,
        };
        let entry = self.users.entry(entry.user.id.clone()).or_insert(entry);
        Arc::clone(&entry.user)
    }

    /// Removes a user with all keys.
    pub(super) fn remove_user(&mut self, id: &str) {
        self.users.remove(id);
        self.retain_keys(|key| key.owner.id != id);
    }

    /// Adds a key. One text cannot be the key of two users.
    pub(super) fn add_key(&mut self, key: Key) -> Result<(), StoreError> {
        match self.search(&key.hash) {
            None => self
                .keys
                .entry(bucket(&key.hash))
                .or_default()
                .push(Arc::new(key)),
            Some(known) if known.owner.id == key.owner.id => {}
            Some(known) => return Err(shared(&known.owner.id, &key.owner.id)),
        }
        Ok(())
    }

    pub(super) fn remove_key(&mut self, id: &KeyId) {
        self.retain_keys(|key| key.id != *id);
    }

    fn retain_keys(&mut self, keep: impl Fn(&Key) -> bool) {
        for keys in self.keys.values_mut() {
            keys.retain(|key| keep(key));
        }
        self.keys.retain(|_, keys| !keys.is_empty());
    }
}

fn bucket(hash: &KeyHash) -> [u8; 2] {
    [hash.0[0], hash.0[1]]
}

fn shared(first: &str, second: &str) -> StoreError {
    let message = format!(
        "users `{first}` and `{second}` have the same key\nhint: give each user a key of their own"
    );
    StoreError::new(StoreErrorKind::Conflict, message)
}
