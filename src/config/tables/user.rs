//! A user who is known from the configuration.

use std::collections::BTreeMap;

use super::{key, required};
use crate::config::choices::Role;
use crate::config::fields::Fields;
use crate::config::mistake::Mistakes;
use crate::config::secret::Secret;

/// A user who is known from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The user's id.
    pub id: String,
    /// The name that functions see.
    pub name: String,
    /// The address that functions see.
    pub email: String,
    /// What the user may do.
    pub role: Role,
    /// The key that the user sends; without one, only a trusted proxy can name the user.
    pub api_key: Option<Secret>,
}

impl UserConfig {
    /// What `fields` mean, `None` if there is no id.
    pub(in crate::config) fn resolve(
        fields: &Fields,
        env: &BTreeMap<String, String>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let id = required(fields, "users", "id", mistakes);
        let api_key = key(fields, "users", env, mistakes);
        let id = id?.to_owned();
        Some(Self {
            name: fields.text("name").unwrap_or(&id).to_owned(),
            email: fields.text("email").unwrap_or_default().to_owned(),
            role: fields.choice("role").unwrap_or(Role::User),
            api_key,
            id,
        })
    }
}
