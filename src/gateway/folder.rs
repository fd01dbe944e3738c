//! The functions folder: read at start, at a reload, and whenever something in it changes.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use tracing::{error, warn};

use super::{Base, GatewayError};
use crate::config::Config;
use crate::registry::Registry;
use crate::registry::folder::{self, Files, FolderWatch};

/// Reads the functions folder at start, when nothing serves yet that could go on.
pub(super) async fn read_folder_at_start(
    registry: &Registry,
    config: &Config,
) -> Result<(), GatewayError> {
    let folder = config.functions.dir.clone();
    let read = tokio::task::spawn_blocking(move || folder::read(&folder)).await;
    let files = match read.unwrap_or_else(|error| Err(error.into())) {
        // The configuration may name filters that need no file.
        Err(error) if error.kind() == ErrorKind::NotFound => Files::default(),
        files => files.map_err(|error| {
            let folder = config.functions.dir.display();
            GatewayError::new(
                format!("the functions folder `{folder}` cannot be read"),
                error,
            )
        })?,
    };
    registry.apply_folder(files, true).await;
    Ok(())
}

/// Reads the functions folder again. If it cannot be read its functions go on, and those of the configuration become what
/// that says.
pub(super) async fn read_folder(registry: &Registry, folder: &Path) -> io::Result<()> {
    let path = folder.to_path_buf();
    let read = tokio::task::spawn_blocking(move || folder::read(&path)).await;
    match read.unwrap_or_else(|error| Err(error.into())) {
        Ok(files) => {
            registry.apply_folder(files, false).await;
            Ok(())
        }
        Err(error) => {
            error!(%error, "functions folder cannot be read, what serves goes on");
            registry.apply_natives().await;
            Err(error)
        }
    }
}

/// Watches the folder, if that can be done.
pub(super) fn watch_folder(folder: &Path) -> Option<FolderWatch> {
    let watch = FolderWatch::start(folder);
    watch
        .inspect_err(
            |error| warn!(%error, folder = %folder.display(), "functions folder is not watched"),
        )
        .ok()
}

/// Reads the folder again whenever something in it has changed.
pub(super) async fn follow_folder(watch: Option<FolderWatch>, base: Base, config: Arc<Config>) {
    let Some(mut watch) = watch else { return };
    while watch.changed().await.is_some() {
        if base.shutdown.is_handed_over() {
            // The new process does so.
            return;
        }
        // What is wrong with it was logged.
        let _ = read_folder(&base.registry, &config.functions.dir).await;
    }
}
