//! The files that a worker needs, carried in this binary and unpacked where Python can read them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Unpacks the files under `<data_dir>/python/<hash>` unless they are there, and returns that folder.
///
/// # Errors
///
/// If they cannot be written.
pub fn unpack(data_dir: &Path) -> io::Result<PathBuf> {
    let parent = data_dir.join("python");
    let folder = parent.join(hash());
    if folder.is_dir() {
        return Ok(folder);
    }
    // Written aside and renamed, so that a folder of this name is always complete.
    let aside = parent.join(format!(".{}-{}", hash(), std::process::id()));
    for (name, content) in FILES {
        let path = aside.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder"))?;
        fs::write(path, content)?;
    }
    match fs::rename(&aside, &folder) {
        Err(_) if folder.is_dir() => fs::remove_dir_all(&aside)?,
        renamed => renamed?,
    }
    Ok(folder)
}

fn hash() -> String {
    let mut digest = Sha256::new();
    for (name, content) in FILES {
        digest.update(name);
        digest.update([0]);
        digest.update(content);
    }
    digest.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
