//! Who may use and change tools: their owner, administrators, and whom the grants name.

use serde_json::Value;

use super::function::{Function, Origin};

/// What a grant lets somebody do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Use it.
    Read,
    /// Change it. By that alone nobody may use it.
    Write,
}

/// The member of `meta` that keeps the grants of tools.
pub const GRANTS: &str = "access_grants";

/// The principal that stands for every user.
const EVERYONE: &str = "*";

impl Function {
    /// Whether a user who is no administrator has a right to these tools. Those of the folder are for everyone to
    /// use: the operator put them there.
    #[must_use]
    pub fn grants(&self, user_id: &str, right: Right) -> bool {
        let is_owner = !user_id.is_empty() && self.record.user_id == user_id;
        let is_shared = right == Right::Read && self.origin == Origin::Folder;
        is_owner || is_shared || names(self.record.meta.get(GRANTS), user_id, right)
    }
}

fn names(grants: Option<&Value>, user_id: &str, right: Right) -> bool {
    let permission = match right {
        Right::Read => "read",
        Right::Write => "write",
    };
    let grants = grants.and_then(Value::as_array).into_iter().flatten();
    grants.into_iter().any(|grant| {
        let principal = grant["principal_id"].as_str().unwrap_or_default();
        grant["permission"] == permission
            && grant["principal_type"] == "user"
            && (principal == EVERYONE || principal == user_id)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_names_a_user_or_everyone_and_one_right() {
        let grant = |kind: &str, id: &str, permission: &str| json!([{"principal_type": kind, "principal_id": id, "permission": permission}]);
        let may_read = |grants: Value| names(Some(&grants), "u1", Right::Read);
        assert!(may_read(grant("user", "u1", "read")));
        assert!(may_read(grant("user", "*", "read")));
        assert!(!may_read(grant("user", "u2", "read")));
        assert!(!may_read(grant("user", "u1", "write")));
        assert!(!may_read(grant("group", "u1", "read")));
        assert!(!may_read(json!([])) && !may_read(Value::Null) && !names(None, "u1", Right::Read));
    }
}
