//! The versions of a function: to look back at, and to go back to.

use std::sync::Arc;

use serde::Deserialize;

use super::ChangeError;
use super::replace::{Edit, Replacement};
use crate::registry::function::{Function, Origin};
use crate::registry::{Expected, Registry};
use crate::store::{FunctionVersionCode, FunctionVersionRow};

/// The valves with which a version serves again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoredValves {
    /// Those that it last served with. Where they were not kept, those of the function stay.
    #[default]
    #[serde(rename = "version")]
    OfVersion,
    /// Those of the function as it is.
    Current,
}

impl Registry {
    /// The versions of a function that are kept, the newest first. A function of the folder has none.
    ///
    /// # Errors
    ///
    /// If there is no such function.
    pub async fn versions(&self, id: &str) -> Result<Vec<FunctionVersionRow>, ChangeError> {
        let function = self.function(id)?;
        if function.origin == Origin::Folder {
            return Ok(Vec::new());
        }
        let id = function.id.as_str().to_owned();
        Ok(self.store.list_function_versions(id).await?)
    }

    /// One version of a function.
    ///
    /// # Errors
    ///
    /// If there is no such function, or it has no such version.
    pub async fn version(
        &self,
        id: &str,
        version_id: &str,
    ) -> Result<FunctionVersionCode, ChangeError> {
        let function = self.stored_function(id)?;
        self.version_of(&function, version_id).await
    }

    pub(super) async fn version_of(
        &self,
        function: &Function,
        version_id: &str,
    ) -> Result<FunctionVersionCode, ChangeError> {
        let id = function.id.as_str().to_owned();
        let version = self.store.find_function_version(id, version_id.to_owned());
        version.await?.ok_or(ChangeError::UnknownVersion)
    }

    /// Lets an earlier version serve again, with the valves that it last served with and the order that follows from
    /// them. It is loaded and swapped in as an upload is; its id stays its own. What is said of the function, its
    /// switches and the valves of users stay.
    ///
    /// # Errors
    ///
    /// If there is no such function or version, the function is not as `expected`, or the version's code no longer
    /// loads or does not take those valves.
    pub async fn restore(
        &self,
        id: &str,
        version_id: &str,
        valves: RestoredValves,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        // Its code never changes; its valves do as long as it serves, and are read again under the lock.
        let version = self.version(id, version_id).await?;
        let edit = Edit {
            name: None,
            content: version.content,
            meta: None,
            user_id: version.row.user_id,
        };
        let replacement = Replacement {
            edit,
            version_id: version.row.version_id,
            valves,
        };
        self.replace(id, replacement, expected).await
    }

    /// Forgets a version that does not serve; whether there was one.
    ///
    /// # Errors
    ///
    /// If there is no such function in the store.
    pub async fn forget_version(&self, id: &str, version_id: &str) -> Result<bool, ChangeError> {
        let id = self.stored_function(id)?.id.as_str().to_owned();
        let version_id = version_id.to_owned();
        Ok(self.store.delete_function_version(id, version_id).await?)
    }
}
