//! What `check` says of machines that can do less, or run the gateway as somebody else.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{python, say, source};

/// Landlock's system calls, the same on all machines.
const LANDLOCK: &str = "444,445,446";

pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");

/// What `check` says of a folder with one function on a kernel without some system calls, and its status.
fn check_without(calls: &str, table: &str, isolation: &str) -> (String, Option<i32>) {
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/without_calls.py");
    let mut check = Command::new(python());
    check.arg(launcher).args([calls, BINARY]);
    let settings = format!(
        "{table}\n[python]\ninterpreter = \"{}\"\nbase = false\nisolation = \"{isolation}\"",
        python().display()
    );
    run_check(check, &settings, &source("single"))
}

/// Runs `check` on a folder with one function, which others may pass.
pub(super) fn run_check(check: Command, settings: &str, code: &str) -> (String, Option<i32>) {
    run_check_as(None, check, settings, code)
}

/// The same as another user.
fn run_check_as(
    user: Option<u32>,
    mut check: Command,
    settings: &str,
    code: &str,
) -> (String, Option<i32>) {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("data");
    std::fs::create_dir_all(data_dir.join("functions")).unwrap();
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
    std::fs::write(data_dir.join("functions/single.py"), code).unwrap();
    let config = home.path().join("gate.toml");
    let text = format!("data_dir = \"{}\"\n{settings}\n", data_dir.display());
    std::fs::write(&config, text).unwrap();
    if let Some(user) = user {
        for path in [home.path(), &data_dir, &data_dir.join("functions")] {
            std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
        }
        check.uid(user).gid(user).env("HOME", home.path());
    }
    let output = check.args(["check", "--config"]).arg(config).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

#[test]
fn p20_under_root_a_function_is_a_user_of_its_own() {
    // Nobody else may pass through root's home, where the interpreter of the tests may be.
    let settings = "[python]\ninterpreter = \"/usr/bin/python3\"\nbase = false";
    let code = "import os\nopen('data/kept', 'w').close()\n\
        raise RuntimeError(f'user {os.getuid()}, keeps for {os.stat(\"data/kept\").st_uid}')";
    let (said, _) = run_check(Command::new(BINARY), settings, code);
    if !said.contains("ok: isolation: own user") {
        return say("isolation: skipped, not in force here: own user");
    }
    let told = said.split("does not load: user ").nth(1).unwrap_or(&said);
    let (user, kept) = told.split_once(", keeps for ").unwrap_or((told, ""));
    let user: u32 = user.parse().expect(&said);
    assert!(user >= 0x7000_0000, "{said}");
    assert!(kept.starts_with(&user.to_string()), "{said}");
}

#[test]
fn p20_a_gateway_that_is_not_root_has_namespaces_too() {
    if !rustix::process::geteuid().is_root() {
        return say("isolation: skipped, every other test here is of a gateway that is not root");
    }
    let settings = "[python]\ninterpreter = \"/usr/bin/python3\"\nbase = false\n\
        [function.single]\nhosts = [\"api.test\"]";
    let code = "import os, socket\nraise RuntimeError(f'user {os.getuid()}, number {os.getpid()}, '\n\
        f'devices {[name for _, name in socket.if_nameindex()]}')";
    let (said, _) = run_check_as(Some(65_534), Command::new(BINARY), settings, code);
    for protection in ["processes", "hosts"] {
        if !said.contains(&format!("ok: isolation: {protection}")) {
            return say(&format!(
                "isolation: skipped, not in force here: {protection}"
            ));
        }
    }
    assert!(
        said.contains("user 65534, number 2, devices ['lo']"),
        "{said}"
    );
}

#[test]
fn a_kernel_without_landlock_is_told_of_and_refused_where_it_is_required() {
    let (said, status) = check_without(LANDLOCK, "", "best_effort");
    let missing = "warning: isolation is not in force: files (this kernel has no Landlock";
    assert!(said.contains(missing), "{said}");
    assert!(said.contains("ok: function `single`"), "{said}");
    assert_eq!(status, Some(0));
    let (said, status) = check_without(LANDLOCK, "", "required");
    assert!(said.contains("function `single` does not load"), "{said}");
    assert!(said.contains("this machine lacks: files"), "{said}");
    assert_eq!(status, Some(64));
}

#[test]
fn a_kernel_without_seccomp_runs_no_function_whose_network_is_closed() {
    let seccomp = match std::env::consts::ARCH {
        "x86_64" => "317",
        _ => "277",
    };
    let (said, status) = check_without(seccomp, "", "best_effort");
    let missing = "warning: isolation is not in force: system calls (seccomp";
    assert!(said.contains(missing), "{said}");
    assert_eq!(status, Some(0));
    let named = "[function.single]\nhosts = [\"api.test\"]";
    let (said, status) = check_without(seccomp, named, "best_effort");
    assert!(
        said.contains("which this machine cannot hold: system calls"),
        "{said}"
    );
    assert_eq!(status, Some(64));
    let closed = "[function.single]\nnetwork = \"none\"";
    let (said, status) = check_without(seccomp, closed, "best_effort");
    let refused = "its network is `none`, which this machine cannot hold";
    assert!(said.contains(refused), "{said}");
    assert_eq!(status, Some(64));
}
