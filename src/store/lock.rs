//! One process per data folder: a lock on a file in it, held until the process ends, however it
//! ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, flock, fstat, stat};
use rustix::io::Errno;

use super::error::{StoreError, StoreErrorKind};

const FILE_NAME: &str = "sluicegate.lock";

/// Held for as long as the folder is ours. The file stays: removing it would let two processes lock
/// two files of one name.
#[derive(Debug)]
pub(super) struct FolderLock(File);

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
        let lock = Self(file);
        lock.write_owner()?;
        Ok(lock)
    }

    /// The lock for the process that takes the folder over: one open file, so that the folder is
    /// never free in between.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.0.try_clone().map(OwnedFd::from)
    }

    /// The lock of this folder as its owner shared it.
    pub(super) fn inherit(folder: &Path, shared: OwnedFd) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let failed = |error: Errno| {
            StoreError::io(format!("cannot lock `{}`", path.display()), error.into())
        };
        let (given, there) = (
            fstat(&shared).map_err(failed)?,
            stat(&path).map_err(failed)?,
        );
        if (given.st_dev, given.st_ino) != (there.st_dev, there.st_ino) {
            let message = format!("`{}` is not the lock that was handed over", path.display());
            return Err(StoreError::new(StoreErrorKind::Locked, message));
        }
        let file = File::from(shared);
        // Nothing to wait for: it is held by this open file already.
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(failed)?;
        Ok(Self(file))
    }

    /// Writes whose the folder is, for whoever wants it as well.
    pub(super) fn write_owner(&self) -> Result<(), StoreError> {
        let mut file = &self.0;
        let written = file.set_len(0).and_then(|()| {
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        });
        written.map_err(|error| StoreError::io(format!("cannot write `{FILE_NAME}`"), error))
    }
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

    #[test]
    fn a_shared_lock_is_held_until_both_have_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let second = FolderLock::inherit(folder.path(), first.share().unwrap()).unwrap();
        drop(first);
        FolderLock::take(folder.path()).unwrap_err();
        drop(second);
        FolderLock::take(folder.path()).unwrap();
    }

    #[test]
    fn the_lock_of_another_folder_is_refused() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let _ours = FolderLock::take(folder.path()).unwrap();
        let theirs = FolderLock::take(other.path()).unwrap();
        let error = FolderLock::inherit(folder.path(), theirs.share().unwrap()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Locked);
    }
}
