//! The caller of a request, as every later step sees it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::key::Key;
use crate::config::Role;

/// A person or a program that calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What user valves and access lists know the user by.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The mail address, or nothing.
    pub email: String,
    /// What functions are told of the user. What a request may do is [`Caller::rights`].
    pub role: Role,
}

/// Names a key without giving it away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The id written as `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the user of a request became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// It is the key's own user.
    Direct,
    /// A trusted proxy named the user beside a key that many people share.
    UiKey,
}

/// Who calls, and what the call may do.
#[derive(Clone, Debug)]
pub struct Caller {
    /// For `__user__`, user valves and logs.
    pub user: Arc<User>,
    /// Whose key it is: access lists ask for this one, whomever a proxy names.
    pub owner: Arc<User>,
    /// What the call may do: the rights of the key's owner.
    pub rights: Role,
    /// The key, `None` for a caller without one.
    pub key_id: Option<KeyId>,
    /// How the user became known.
    pub via: Via,
}

impl Caller {
    pub(super) fn of_key(key: &Key) -> Self {
        Self::direct(Arc::clone(&key.owner), Some(key.id.clone()))
    }

    /// The caller without a credential, where none is needed.
    pub(super) fn anonymous() -> Self {
        static ANONYMOUS: LazyLock<Arc<User>> = LazyLock::new(|| {
            Arc::new(User {
                id: "anonymous".to_owned(),
                name: "Anonymous".to_owned(),
                email: String::new(),
                role: Role::User,
            })
        });
        Self::direct(Arc::clone(&ANONYMOUS), None)
    }

    fn direct(owner: Arc<User>, key_id: Option<KeyId>) -> Self {
        Self {
            user: Arc::clone(&owner),
            rights: owner.role,
            owner,
            key_id,
            via: Via::Direct,
        }
    }

    /// The same rights in the name of another user.
    pub(super) fn speaking_for(self, user: User) -> Self {
        Self {
            user: Arc::new(user),
            via: Via::UiKey,
            ..self
        }
    }
}
