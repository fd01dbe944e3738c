//! The first directory: where the users of the configuration and those of the store meet.

use std::sync::{Arc, RwLock};

use tracing::warn;

use super::caller::{KeyId, User};
use super::directory::Directory;
use super::key::{Key, KeyHash, NewKey, Source, is_well_formed};
use super::strikes::Strikes;
use super::{Auth, Inner};
use crate::config::{Config, Role, Secret, UserConfig};
use crate::store::{KeyRow, Store, StoreError, StoreErrorKind, UserRow, ids};

/// The id of the administrator that needs no setting up.
const ADMIN: &str = "admin";

impl Auth {
    /// Reads users and keys. If no administrator has a key, one is made, to be shown this once.
    ///
    /// # Errors
    ///
    /// If the store fails, two users have the same key, or the user `admin` is set up as no
    /// administrator.
    pub async fn new(config: &Config, store: &Store) -> Result<(Self, Option<NewKey>), StoreError> {
        let (directory, first_key) = read(config, store).await?;
        let auth = Self(Arc::new(Inner {
            mode: config.auth.mode,
            trusted_proxies: config.trusted_proxies.clone(),
            strikes: Strikes::new(config.auth.unknown_keys_per_minute),
            store: store.clone(),
            directory: RwLock::new(Arc::new(directory)),
            changes: Arc::default(),
        }));
        Ok((auth, first_key))
    }
}

async fn read(config: &Config, store: &Store) -> Result<(Directory, Option<NewKey>), StoreError> {
    let mut directory = Directory::new(config.auth.cache);
    for user in &config.users {
        add_configured(&mut directory, user)?;
    }
    for row in store.list_users().await? {
        directory.add_user(stored_user(row), Source::Store);
    }
    if let Some(key) = &config.auth.admin_key {
        add_admin_key(&mut directory, key)?;
    }
    for row in store.list_keys().await? {
        add_stored_key(&mut directory, &row)?;
    }
    let first_key = ensure_admin(&mut directory, store).await?;
    Ok((directory, first_key))
}

fn add_configured(directory: &mut Directory, config: &UserConfig) -> Result<(), StoreError> {
    let user = User {
        id: config.id.clone(),
        name: config.name.clone(),
        email: config.email.clone(),
        role: config.role,
    };
    let owner = directory.add_user(user, Source::Config);
    match &config.api_key {
        Some(text) => add_configured_key(directory, &format!("config:{}", config.id), text, owner),
        None => Ok(()),
    }
}

fn add_configured_key(
    directory: &mut Directory,
    id: &str,
    text: &Secret,
    owner: Arc<User>,
) -> Result<(), StoreError> {
    let text = text.reveal().as_bytes();
    if !is_well_formed(text) {
        let message = format!(
            "key of user `{}` is too long or not visible ASCII",
            owner.id
        );
        return Err(StoreError::new(StoreErrorKind::Other, message));
    }
    let (id, hash) = (KeyId::new(id), KeyHash::of(text));
    directory.add_key(Key {
        id,
        hash,
        owner,
        source: Source::Config,
    })
}

fn stored_user(row: UserRow) -> User {
    // The table holds no other words than these.
    let role = Role::parse(&row.role).unwrap_or(Role::User);
    User {
        id: row.id,
        name: row.name,
        email: row.email,
        role,
    }
}

/// A key of somebody who is in the configuration no longer waits until they are back.
fn add_stored_key(directory: &mut Directory, row: &KeyRow) -> Result<(), StoreError> {
    let Some(owner) = directory.user(&row.user_id).cloned() else {
        warn!(key.id = %row.id, user.id = %row.user_id, "key of an unknown user, left out");
        return Ok(());
    };
    directory.add_key(stored_key(row, owner))
}

/// The key that a row of the store keeps.
pub(super) fn stored_key(row: &KeyRow, owner: Arc<User>) -> Key {
    Key {
        id: KeyId::new(&row.id),
        hash: KeyHash(row.hash),
        owner,
        source: Source::Store,
    }
}

fn add_admin_key(directory: &mut Directory, text: &Secret) -> Result<(), StoreError> {
    let owner = directory.add_user(admin(), Source::Config);
    ensure_is_admin(&owner)?;
    add_configured_key(directory, "setting:auth.admin_key", text, owner)
}

async fn ensure_admin(
    directory: &mut Directory,
    store: &Store,
) -> Result<Option<NewKey>, StoreError> {
    if directory.keys().any(|key| key.owner.role == Role::Admin) {
        return Ok(None);
    }
    let key = NewKey::generate(ADMIN);
    let row = key.row();
    match directory.user(ADMIN) {
        Some(user) => {
            ensure_is_admin(user)?;
            store.insert_key(row.clone()).await?;
        }
        None => {
            store
                .insert_user_with_key(user_row(&admin()), row.clone())
                .await?
        }
    }
    let owner = directory.add_user(admin(), Source::Store);
    directory.add_key(stored_key(&row, owner))?;
    Ok(Some(key))
}

fn admin() -> User {
    User {
        id: ADMIN.to_owned(),
        name: "Admin".to_owned(),
        email: "admin@localhost".to_owned(),
        role: Role::Admin,
    }
}

fn ensure_is_admin(user: &User) -> Result<(), StoreError> {
    match user.role {
        Role::Admin => Ok(()),
        Role::User => {
            let message =
                "user `admin` has role: user\nhint: make it an admin, or call it something else";
            Err(StoreError::new(StoreErrorKind::Conflict, message))
        }
    }
}

/// What is kept of a user that was made now.
pub(super) fn user_row(user: &User) -> UserRow {
    let now = ids::unix_seconds();
    UserRow {
        id: user.id.clone(),
        name: user.name.clone(),
        email: user.email.clone(),
        role: user.role.as_str().to_owned(),
        created_at: now,
        updated_at: now,
    }
}
