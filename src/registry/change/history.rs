//! The versions of a function: to look back at, and to go back to.

use std::sync::Arc;

use super::{ChangeError, Edit};
use crate::registry::function::{Function, Origin};
use crate::registry::{Expected, Registry};
use crate::store::FunctionVersionRow;

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
    ) -> Result<FunctionVersionRow, ChangeError> {
        let function = self.stored_function(id)?;
        let id = function.id.as_str().to_owned();
        let version = self.store.find_function_version(id, version_id.to_owned());
        version.await?.ok_or(ChangeError::UnknownVersion)
    }

    /// Lets an earlier version serve again. It is loaded and swapped in as an upload is; its id stays its own.
    ///
    /// # Errors
    ///
    /// If there is no such function or version, the function is not as `expected`, or the version's code no longer
    /// loads or does not take the valves that are stored.
    pub async fn restore(
        &self,
        id: &str,
        version_id: &str,
        expected: &Expected,
    ) -> Result<Arc<Function>, ChangeError> {
        let version = self.version(id, version_id).await?;
        let function = self.stored_function(id)?;
        let edit = Edit {
            name: function.record.name.clone(),
            content: version.content,
            meta: function.record.meta.clone(),
            user_id: version.user_id,
        };
        self.replace(id, edit, version.version_id, expected).await
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
