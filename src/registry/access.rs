//! Who may use a model: the grants of its row.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::store::ids;

/// The principal that stands for every user.
const EVERYONE: &str = "*";

/// What a grant lets somebody do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Use it. Who may change it may not use it by that alone.
    Read,
    /// Change it.
    Write,
}

/// Whom a grant names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PrincipalType {
    User,
    /// Kept for Open WebUI's sake: users here are in no groups.
    Group,
}

/// One line of an access list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    #[serde(default = "ids::uuid_v4")]
    id: String,
    principal_type: PrincipalType,
    principal_id: String,
    permission: Permission,
    #[serde(default = "ids::unix_seconds")]
    created_at: i64,
}

/// Who may use a model besides its owner and administrators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access(Option<Vec<Grant>>);

impl Access {
    /// The list that names nobody.
    pub(super) fn closed() -> Self {
        Self(Some(Vec::new()))
    }

    /// Reads grants as Open WebUI 0.12 has them: a list of rows. Null is no list at all.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn from_grants(grants: &Value) -> Result<Self, String> {
        let grants: Option<Vec<Grant>> = Deserialize::deserialize(grants)
            .map_err(|error| format!("`access_grants` makes no sense: {error}"))?;
        Ok(Self(grants))
    }

    /// Reads the list of a form of Open WebUI 0.6 or 0.12, if there is one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_form(form: &Map<String, Value>) -> Result<Option<Self>, String> {
        match (form.get("access_grants"), form.get("access_control")) {
            (Some(grants), _) if !grants.is_null() => Self::from_grants(grants).map(Some),
            (_, Some(control)) => Self::from_control(control).map(Some),
            _ => Ok(None),
        }
    }

    /// The grants as a list of rows, null for no list at all.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!(self.0)
    }

    /// Reads `access_control` as Open WebUI 0.6 has it: null for everyone, `{}` for nobody, else who may read and write.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_control(control: &Value) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Named {
            user_ids: Vec<String>,
            group_ids: Vec<String>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Control {
            read: Named,
            write: Named,
        }
        let control: Option<Control> = Deserialize::deserialize(control)
            .map_err(|error| format!("`access_control` makes no sense: {error}"))?;
        let Some(Control { read, write }) = control else {
            let everyone = grant(Permission::Read, PrincipalType::User, EVERYONE.to_owned());
            return Ok(Self(Some(vec![everyone])));
        };
        let of = |permission, named: Named| {
            let users = named.user_ids.into_iter();
            let groups = named.group_ids.into_iter();
            users
                .map(move |id| grant(permission, PrincipalType::User, id))
                .chain(groups.map(move |id| grant(permission, PrincipalType::Group, id)))
        };
        let grants = of(Permission::Read, read).chain(of(Permission::Write, write));
        Ok(Self(Some(grants.collect())))
    }

    /// Whether there is no list, so that the operator's default decides.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a grant names this user, or everyone.
    #[must_use]
    pub fn grants(&self, permission: Permission, user_id: &str) -> bool {
        let names = |grant: &Grant| {
            grant.permission == permission
                && grant.principal_type == PrincipalType::User
                && (grant.principal_id == EVERYONE || grant.principal_id == user_id)
        };
        self.0.iter().flatten().any(names)
    }

    /// The grants as the store keeps them.
    pub(super) fn stored(&self) -> String {
        serde_json::to_string(&self.0).expect("grants are plain data")
    }

    /// The grants as Open WebUI shows them.
    pub(super) fn shown(&self, model_id: &str) -> Value {
        let shown = |grant: &Grant| {
            json!({
                "id": grant.id,
                "resource_type": "model",
                "resource_id": model_id,
                "principal_type": grant.principal_type,
                "principal_id": grant.principal_id,
                "permission": grant.permission,
                "created_at": grant.created_at,
            })
        };
        self.0.iter().flatten().map(shown).collect()
    }
}

fn grant(permission: Permission, principal_type: PrincipalType, principal_id: String) -> Grant {
    Grant {
        id: ids::uuid_v4(),
        principal_type,
        principal_id,
        permission,
        created_at: ids::unix_seconds(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(access: &Access, user: &str) -> bool {
        access.grants(Permission::Read, user)
    }

    #[test]
    fn grants_name_users_or_everyone() {
        let row = |kind: &str, id: &str, permission: &str| json!({"principal_type": kind, "principal_id": id, "permission": permission});
        let of = |row: Value| Access::from_grants(&json!([row])).unwrap();
        assert!(reads(&of(row("user", "*", "read")), "a"));
        assert!(reads(&of(row("user", "a", "read")), "a"));
        assert!(!reads(&of(row("user", "a", "read")), "b"));
        assert!(!reads(&of(row("group", "a", "read")), "a"));
        // Who may write may not read by that alone.
        assert!(!reads(&of(row("user", "a", "write")), "a"));
        assert!(!reads(&Access::from_grants(&json!([])).unwrap(), "a"));
        assert!(Access::from_grants(&Value::Null).unwrap().is_unset());
        Access::from_grants(&json!([row("user", "a", "own")])).unwrap_err();
        Access::from_grants(&json!({})).unwrap_err();
    }

    #[test]
    fn access_control_of_older_versions_becomes_grants() {
        let of = |control: Value| Access::from_control(&control).unwrap();
        assert!(reads(&of(Value::Null), "a"));
        assert!(!reads(&of(json!({})), "a"));
        let named = of(
            json!({"read": {"user_ids": ["a"], "group_ids": ["g"]}, "write": {"user_ids": ["b"]}}),
        );
        assert!(reads(&named, "a") && !reads(&named, "b") && !reads(&named, "g"));
        assert!(named.grants(Permission::Write, "b"));
        Access::from_control(&json!({"read": 1})).unwrap_err();
    }

    #[test]
    fn grants_come_back_from_the_store_as_they_were() {
        let access = Access::from_control(&json!({"read": {"user_ids": ["a"]}})).unwrap();
        for access in [access, Access::default()] {
            let stored = serde_json::from_str(&access.stored()).unwrap();
            assert_eq!(Access::from_grants(&stored).unwrap(), access);
        }
    }
}
