//! The control group that the process is in, which is what a container's memory limit is.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// How a version of control groups calls its files.
#[derive(Debug)]
struct Names {
    limit: &'static str,
    usage: &'static str,
    /// The lines of `memory.stat` that the kernel gives up before it runs out.
    reclaimable: &'static [&'static str],
}

const SECOND: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: &["inactive_file ", "active_file ", "slab_reclaimable "],
};
const FIRST: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: &["total_inactive_file ", "total_active_file "],
};

/// The folders of a group and of those around it that have a limit.
#[derive(Debug)]
pub(super) struct Group {
    names: &'static Names,
    folders: Vec<PathBuf>,
}

impl Group {
    /// The group of this process, if it is in one whose memory is limited.
    pub(super) fn of_this_process() -> Option<Self> {
        let member = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find(&member, Path::new(MOUNT))
    }

    fn find(member: &str, mount: &Path) -> Option<Self> {
        let first = member.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let has_memory = controllers.split(',').any(|name| name == "memory");
            has_memory.then(|| Self::among(&FIRST, &mount.join("memory"), path))?
        });
        let second = || {
            let path = member.lines().find_map(|line| line.strip_prefix("0::"))?;
            Self::among(&SECOND, mount, path)
        };
        first.or_else(second)
    }

    /// The group at `path` below `root`. In a container the root itself is the group, whatever the path says.
    fn among(names: &'static Names, root: &Path, path: &str) -> Option<Self> {
        let inner = root.join(path.trim_start_matches('/'));
        let inner = if inner.is_dir() { inner } else { root.into() };
        let around = inner
            .ancestors()
            .take_while(|folder| folder.starts_with(root));
        let folders: Vec<PathBuf> = around.map(Path::to_owned).collect();
        let mut group = Self { names, folders };
        group
            .folders
            .retain(|folder| limit_of(names, folder).is_some());
        (!group.folders.is_empty()).then_some(group)
    }

    /// What may still be taken before one of the groups runs out. Limits are read anew: they can be changed.
    pub(super) fn left_bytes(&self) -> Option<u64> {
        let left = |folder: &PathBuf| {
            let limit = limit_of(self.names, folder)?;
            let usage = number(&folder.join(self.names.usage))?;
            let stat = fs::read_to_string(folder.join("memory.stat")).ok()?;
            let of = |name: &&str| {
                let line = stat.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.parse::<u64>().ok())
            };
            let reclaimable: u64 = self.names.reclaimable.iter().filter_map(of).sum();
            Some(limit.saturating_sub(usage.saturating_sub(reclaimable)))
        };
        self.folders.iter().filter_map(left).min()
    }
}

/// The limit of one group: the second version says `max` for none, the first a number no machine has.
fn limit_of(names: &Names, folder: &Path) -> Option<u64> {
    number(&folder.join(names.limit)).filter(|limit| *limit < 1 << 60)
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn mount(files: &[(&str, &str)]) -> TempDir {
        let mount = TempDir::new().unwrap();
        for (path, text) in files {
            let path = mount.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        mount
    }

    #[test]
    fn the_narrowest_limit_of_a_group_and_those_around_it_counts() {
        let mount = mount(&[
            ("pod/memory.max", "1000\n"),
            ("pod/memory.current", "900\n"),
            (
                "pod/memory.stat",
                "anon 1\ninactive_file 50\nactive_file 20\nslab_reclaimable 5\n",
            ),
            ("pod/one/memory.max", "max\n"),
            ("pod/one/memory.current", "10\n"),
            ("pod/one/memory.stat", "anon 1\n"),
        ]);
        let group = Group::find("0::/pod/one\n", mount.path()).unwrap();
        assert_eq!(group.left_bytes(), Some(175));
        fs::write(mount.path().join("pod/memory.max"), "2000").unwrap();
        assert_eq!(group.left_bytes(), Some(1175));
    }

    #[test]
    fn a_container_s_own_group_is_the_root() {
        let files = [
            ("memory/memory.limit_in_bytes", "4096\n"),
            ("memory/memory.usage_in_bytes", "4000\n"),
            ("memory/memory.stat", "total_inactive_file 1000\n"),
        ];
        let mount = mount(&files);
        let member = "5:cpu:/docker/x\n4:memory:/docker/x\n0::/docker/x\n";
        let group = Group::find(member, mount.path()).unwrap();
        assert_eq!(group.left_bytes(), Some(1096));
    }

    #[test]
    fn no_limit_is_no_group() {
        let files = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.max", "max\n"),
        ];
        let mount = mount(&files);
        assert!(Group::find("4:memory:/\n0::/\n", mount.path()).is_none());
        assert!(Group::find("", mount.path()).is_none());
    }
}
