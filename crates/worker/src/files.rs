//! Which files a worker can open, held by Landlock.

use std::fs;
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};

/// The newest rules that we know to ask for; an older kernel gets those it has.
const NEWEST: ABI = ABI::V7;

/// Devices that programs write to without thinking.
const DEVICES: [&str; 1] = ["/dev/null"];

/// What may be opened.
pub(crate) struct Access<'a> {
    pub(crate) read: &'a [PathBuf],
    pub(crate) write: &'a [PathBuf],
    pub(crate) protected: &'a [PathBuf],
    /// Whether what may be read may be started too.
    pub(crate) execute: bool,
}

/// What the kernel made of the rules.
pub(crate) struct Enforced {
    /// Whether signals to processes outside are stopped as well.
    pub(crate) signals: bool,
    pub(crate) detail: String,
}

/// Opens what may be opened and makes rules of it.
pub(crate) fn prepare(access: &Access<'_>) -> Result<RulesetCreated, String> {
    rules(access).map_err(|error| format!("Landlock: {error}"))
}

fn rules(access: &Access<'_>) -> Result<RulesetCreated, RulesetError> {
    let execute = if access.execute {
        BitFlags::from(AccessFs::Execute)
    } else {
        BitFlags::EMPTY
    };
    let read = AccessFs::ReadFile | AccessFs::ReadDir | execute;
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let no_files = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let write = (AccessFs::from_all(NEWEST) & !no_files & !AccessFs::Execute) | execute;
    let trees = access
        .read
        .iter()
        .flat_map(|tree| open_trees(tree, access.protected));
    pin_own_process();
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(trees, read))?
        .add_rules(path_beneath_rules(access.write, write))?
        .add_rules(path_beneath_rules(DEVICES, devices))
}

/// Puts the rules in force for this thread and all that come of it.
pub(crate) fn enforce(rules: RulesetCreated) -> Result<Enforced, String> {
    let status = rules
        .restrict_self()
        .map_err(|error| format!("Landlock: {error}"))?;
    let LandlockStatus::Available { effective_abi, .. } = status.landlock else {
        return Err("this kernel has no Landlock, or it is not switched on".to_owned());
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err("Landlock took no rule".to_owned());
    }
    Ok(Enforced {
        signals: effective_abi >= ABI::V6,
        detail: format!("Landlock {effective_abi:?}").replace('V', "ABI "),
    })
}

/// The parts of a tree in which nothing is protected: all of it, or its entries beside the protected ones.
fn open_trees(tree: &Path, protected: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(tree) = fs::canonicalize(tree) else {
        return Vec::new();
    };
    if tree.parent().is_none() || protected.contains(&tree) {
        return Vec::new();
    }
    if !protected.iter().any(|path| path.starts_with(&tree)) {
        return vec![tree];
    }
    let entries = fs::read_dir(&tree).into_iter().flatten().flatten();
    entries
        // A link is followed when a rule is made of it; where it leads has rules of its own, or none.
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .flat_map(|entry| open_trees(&entry.path(), protected))
        .collect()
}

/// Keeps `/proc/self` in the kernel's memory: a rule names the folder as it is there now, not by its path.
fn pin_own_process() {
    if let Ok(folder) = fs::File::open("/proc/self") {
        let _ = folder.into_raw_fd();
    }
}
