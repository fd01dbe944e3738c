//! The folder for temporary files of one gateway's workers, and the removal of what others have left.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder for this process's temporary files. What processes that are gone left is removed.
pub(super) fn make(parent: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    for entry in fs::read_dir(parent)?.flatten() {
        if !Path::new("/proc").join(entry.file_name()).exists() {
            // Another process may be removing it as well.
            let _ = remove_tree(&entry.path());
        }
    }
    let scratch = parent.join(std::process::id().to_string());
    fs::create_dir_all(&scratch)?;
    Ok(scratch)
}

/// Removes a folder with all that is in it, however deep: functions may have made it.
///
/// Folders are moved up before they are emptied, so that neither the stack nor the length of a path nor the number
/// of descriptors grows with the depth.
fn remove_tree(root: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let prefix = format!(".removed-{}", now.unwrap_or_default().as_nanos());
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            is_empty = false;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            empty(&entry.path(), |folder| {
                moved += 1;
                fs::rename(folder, root.join(format!("{prefix}-{moved}")))
            })?;
            fs::remove_dir(entry.path())?;
        }
        if is_empty {
            return fs::remove_dir(root);
        }
    }
}

/// Removes the files of a folder and moves its folders elsewhere.
fn empty(folder: &Path, mut move_up: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o700))?;
            move_up(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Deeper than any stack and any path: made by moving what there is into a new folder, again and again.
    fn make_deep(root: &Path, depth: usize) {
        fs::create_dir_all(root.join("top")).unwrap();
        for _ in 0..depth {
            fs::create_dir(root.join("next")).unwrap();
            fs::rename(root.join("top"), root.join("next/inner")).unwrap();
            fs::rename(root.join("next"), root.join("top")).unwrap();
        }
    }

    #[test]
    fn what_a_dead_process_left_is_removed_however_deep() {
        let folder = tempfile::tempdir().unwrap();
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let left = folder.path().join(dead.id().to_string());
        make_deep(&left, 5_000);
        fs::write(left.join("file"), "").unwrap();
        std::os::unix::fs::symlink(folder.path(), left.join("link")).unwrap();
        let made = make(folder.path()).unwrap();
        assert!(!left.exists());
        assert!(made.is_dir());
    }
}
