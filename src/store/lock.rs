//! One process per data folder: a lock on a file in it, held until the process ends, however it
//! ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::{StoreError, StoreErrorKind};

const FILE_NAME: &str = "sluicegate.lock";

/// Held for as long as the folder is ours. The file stays: removing it would let two processes lock
/// two files of one name.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "open files hold the lock")] File);

impl FolderLock {
    /// Takes the folder for this process, without waiting for another that has it.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let failed = |error| StoreError::io(format!("cannot lock `{}`", path.display()), error);
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .to_owned();
        let mut file = options.open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(in_use(folder, &mut file)),
            Err(error) => return Err(failed(error.into())),
        }
        write_owner(&mut file).map_err(failed)?;
        Ok(Self(file))
    }
}

fn write_owner(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> StoreError {
    let mut owner = String::new();
    // The owner may not have written its number yet; the message is right without it.
    let _ = file.read_to_string(&mut owner);
    let owner = match owner.trim().parse::<u32>() {
        Ok(id) => format!("process {id}"),
        Err(_) => "another process".to_owned(),
    };
    let folder = folder.display();
    let message = format!(
        "data folder `{folder}` is in use: {owner}\n\
         hint: stop it, or give this one its own data_dir"
    );
    StoreError::new(StoreErrorKind::Locked, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_is_told_the_folder_and_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let error = FolderLock::take(folder.path()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Locked);
        assert!(
            error.to_string().contains(folder.path().to_str().unwrap()),
            "{error}"
        );
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(first);
        FolderLock::take(folder.path()).unwrap();
    }
}
