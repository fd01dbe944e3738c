//! Who may use and change tools: their owner, administrators, and whom the grants name.

use serde_json::Value;

use super::access::{Access, Permission};
use super::function::{Function, Origin};

/// The member of `meta` that keeps the grants of tools.
pub const GRANTS: &str = "access_grants";

impl Function {
    /// Whether a user who is no administrator has a right to these tools. Those of the folder are for everyone to
    /// use: the operator put them there.
    #[must_use]
    pub fn grants(&self, user_id: &str, permission: Permission) -> bool {
        let is_owner = !user_id.is_empty() && self.record.user_id == user_id;
        let is_shared = permission == Permission::Read && self.origin == Origin::Folder;
        is_owner || is_shared || access(&self.record.meta).grants(permission, user_id)
    }
}

/// The access list in what is said of tools; nobody is on one that makes no sense.
fn access(meta: &Value) -> Access {
    Access::from_grants(&meta[GRANTS]).unwrap_or_default()
}
