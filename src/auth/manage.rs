//! Changes to users and keys: each is written to the store, and only then holds. It holds for the
//! next request.
//!
//! A key has the rights of its owner, plain users make keys for themselves only, and only
//! administrators make users: nobody can grant more than they have.

use std::sync::{Arc, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::caller::{Caller, KeyId, User};
use super::directory::Directory;
use super::key::{Key, NewKey, Source};
use super::{Auth, setup, unknown_credential};
use crate::config::Role;
use crate::error::{Error, Kind, Result};
use crate::store::{StoreError, ids};

/// How many keys a user may have at once.
const KEYS_PER_USER: usize = 100;

/// What a new user is made from.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name for people.
    pub name: String,
    /// The mail address, or nothing. No two users have the same.
    pub email: String,
    /// What the user may do.
    pub role: Role,
}

impl Auth {
    /// Every user, by id.
    #[must_use]
    pub fn users(&self) -> Vec<Arc<User>> {
        self.directory().users().cloned().collect()
    }

    /// The user of this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<Arc<User>> {
        self.directory().user(id).cloned()
    }

    /// The keys of a user, in no order.
    #[must_use]
    pub fn keys_of(&self, user_id: &str) -> Vec<KeyId> {
        let directory = self.directory();
        directory
            .keys()
            .filter(|key| key.owner.id == user_id)
            .map(|key| key.id.clone())
            .collect()
    }

    /// Adds a user, who has no key yet.
    ///
    /// # Errors
    ///
    /// If the maker is no administrator, there is no name, or the address is taken.
    pub async fn create_user(&self, maker: &Caller, new: NewUser) -> Result<Arc<User>> {
        let change = self.begin().await;
        ensure_admin(&*change.maker(maker)?)?;
        let user = checked(&new, &change.directory)?;
        let row = setup::user_row(&user);
        let mut next = change.directory.draft();
        let user = next.add_user(user, Source::Store);
        let store = self.0.store.clone();
        change
            .commit(next, async move { store.insert_user(row).await })
            .await?;
        Ok(user)
    }

    /// Removes a user with all keys and user valves.
    ///
    /// # Errors
    ///
    /// If the maker is no administrator, or is the user; there is no such user; or the
    /// configuration sets it up.
    pub async fn delete_user(&self, maker: &Caller, id: &str) -> Result<()> {
        let change = self.begin().await;
        let maker = change.maker(maker)?;
        ensure_admin(&maker)?;
        ensure_removable(change.directory.source_of(id), "user", id)?;
        if maker.owner.id == id {
            return Err(Error::new(
                Kind::Forbidden,
                "users cannot remove themselves",
            ));
        }
        let mut next = change.directory.draft();
        next.remove_user(id);
        let (store, id) = (self.0.store.clone(), id.to_owned());
        change
            .commit(next, async move { store.delete_user(id).await.map(drop) })
            .await
    }

    /// Makes a key for a user.
    ///
    /// # Errors
    ///
    /// If the maker is neither the user nor an administrator, there is no such user, or the user
    /// has too many keys.
    pub async fn create_key(&self, maker: &Caller, user_id: &str) -> Result<NewKey> {
        let change = self.begin().await;
        ensure_may_manage(&*change.maker(maker)?, user_id)?;
        let owner = change
            .directory
            .user(user_id)
            .ok_or_else(|| not_found("user", user_id))?;
        ensure_room(&change.directory, owner)?;
        let key = NewKey::generate(user_id);
        let row = key.row();
        let mut next = change.directory.draft();
        next.add_key(setup::stored_key(&row, Arc::clone(owner)))?;
        let store = self.0.store.clone();
        change
            .commit(next, async move { store.insert_key(row).await })
            .await?;
        Ok(key)
    }

    /// Withdraws a key.
    ///
    /// # Errors
    ///
    /// If the maker is neither the key's owner nor an administrator, there is no such key, or the
    /// configuration sets it up.
    pub async fn revoke_key(&self, maker: &Caller, id: &KeyId) -> Result<()> {
        let change = self.begin().await;
        let maker = change.maker(maker)?;
        let key = change.directory.key(id);
        match key {
            Some(key) => ensure_may_manage(&maker, &key.owner.id)?,
            // Who has no rights over a key is not told whether there is one.
            None => ensure_admin(&maker)?,
        }
        ensure_removable(key.map(|key| key.source), "key", id.as_str())?;
        let mut next = change.directory.draft();
        next.remove_key(id);
        let (store, id) = (self.0.store.clone(), id.as_str().to_owned());
        change
            .commit(next, async move { store.delete_key(id).await.map(drop) })
            .await
    }

    async fn begin(&self) -> Change {
        let turn = Arc::clone(&self.0.changes).lock_owned().await;
        Change {
            auth: self.clone(),
            directory: self.directory(),
            turn,
        }
    }

    fn publish(&self, next: Directory) {
        *self
            .0
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }
}

/// One change, while no other is made.
struct Change {
    auth: Auth,
    directory: Arc<Directory>,
    turn: OwnedMutexGuard<()>,
}

impl Change {
    /// The key behind a caller, looked up anew: it may have been withdrawn since the request began.
    /// A caller without a key manages nothing.
    fn maker(&self, caller: &Caller) -> Result<Arc<Key>> {
        let id = caller.key_id.as_ref().ok_or_else(forbidden)?;
        self.directory
            .key(id)
            .cloned()
            .ok_or_else(unknown_credential)
    }

    /// Writes the store, then lets `next` hold. A task of its own, which is awaited here: a client
    /// that leaves in between must not stop it, or a key that the store no longer has would go on
    /// working.
    async fn commit(
        self,
        next: Directory,
        write: impl Future<Output = std::result::Result<(), StoreError>> + Send + 'static,
    ) -> Result<()> {
        let task = tokio::spawn(async move {
            write.await?;
            self.auth.publish(next);
            drop(self.turn);
            Ok(())
        });
        task.await
            .unwrap_or_else(|error| Err(Error::internal(error)))
    }
}

fn ensure_admin(maker: &Key) -> Result<()> {
    match maker.owner.role {
        Role::Admin => Ok(()),
        Role::User => Err(forbidden()),
    }
}

/// The owner counts, not whom a proxy names: that would let a shared key reach every user.
fn ensure_may_manage(maker: &Key, user_id: &str) -> Result<()> {
    if maker.owner.id == user_id {
        Ok(())
    } else {
        ensure_admin(maker)
    }
}

fn ensure_removable(source: Option<Source>, what: &str, id: &str) -> Result<()> {
    match source {
        Some(Source::Store) => Ok(()),
        Some(Source::Config) => {
            let message = format!("{what} `{id}` is set up in the configuration: remove it there");
            Err(Error::new(Kind::Conflict, message))
        }
        None => Err(not_found(what, id)),
    }
}

fn ensure_room(directory: &Directory, owner: &User) -> Result<()> {
    let count = directory
        .keys()
        .filter(|key| key.owner.id == owner.id)
        .count();
    if count < KEYS_PER_USER {
        return Ok(());
    }
    let message = format!("user `{}` has {count} keys already", owner.id);
    Err(Error::new(Kind::Conflict, message))
}

fn checked(new: &NewUser, directory: &Directory) -> Result<User> {
    let name = new.name.trim().to_owned();
    if name.is_empty() {
        return Err(Error::invalid_request("name", "a user needs a name"));
    }
    let email = new.email.trim().to_lowercase();
    let is_taken = directory
        .users()
        .any(|user| user.email.to_lowercase() == email);
    if is_taken && !email.is_empty() {
        return Err(Error::new(Kind::Conflict, "email address is taken").with_param("email"));
    }
    Ok(User {
        id: ids::uuid_v4(),
        name,
        email,
        role: new.role,
    })
}

fn forbidden() -> Error {
    let message = "You do not have permission to access this resource. \
                   Please contact your administrator for assistance.";
    Error::new(Kind::Forbidden, message)
}

fn not_found(what: &str, id: &str) -> Error {
    Error::new(Kind::NotFound, format!("no such {what}: `{id}`"))
}
