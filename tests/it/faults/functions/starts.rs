//! P03: no worker can be started, for one reason after the other. What is closed stays closed, and opens again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::faults::rig::Rig;
use crate::support::{
    FakeUpstream, Process, TestGateway, eventually, python, say, source, streamed_chat,
};

/// An interpreter that can be broken: the Python of the tests behind a script that looks for a fault first.
struct Fragile {
    folder: TempDir,
}

impl Fragile {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everybody.clone()).unwrap();
        let python = python();
        let script = format!(
            "#!/bin/sh\n\
             # Asked what it is, it names itself.\n\
             if [ \"$1\" = -c ]; then '{python}' \"$@\" | sed \"1s|.*|$0|\"; exit; fi\n\
             [ -e '{folder}/dies' ] && {{ echo 'no such luck' >&2; exit 3; }}\n\
             [ -e '{folder}/poor' ] && exec {poor} '{python}' \"$@\"\n\
             PYTHONPATH='{folder}/site':\"$PYTHONPATH\" exec '{python}' \"$@\"\n",
            python = python.display(),
            folder = folder.path().display(),
            poor = poor_user(),
        );
        let path = folder.path().join("python");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, everybody).unwrap();
        // The system's refusal to copy a process, at the one place where it is asked for.
        let site = folder.path().join("site");
        std::fs::create_dir(&site).unwrap();
        let refusal = format!(
            "import errno, os\nfork = os.fork\n\n\ndef refused():\n    if os.path.exists({:?}):\n        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))\n    return fork()\n\n\nos.fork = refused\n",
            folder.path().join("memory")
        );
        std::fs::write(site.join("sitecustomize.py"), refusal).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("python")
    }

    fn break_by(&self, fault: &str) {
        if fault == "missing" {
            std::fs::rename(self.path(), self.folder.path().join("aside")).unwrap();
        } else {
            std::fs::write(self.folder.path().join(fault), "").unwrap();
        }
    }

    fn mend(&self, fault: &str) {
        if fault == "missing" {
            std::fs::rename(self.folder.path().join("aside"), self.path()).unwrap();
        } else {
            std::fs::remove_file(self.folder.path().join(fault)).unwrap();
        }
    }
}

/// What runs a command as somebody who may have no second process. Root may always have one.
fn poor_user() -> &'static str {
    match rustix::process::getuid().is_root() {
        true => "setpriv --reuid 61234 --regid 61234 --clear-groups prlimit --nproc=1",
        false => "prlimit --nproc=1",
    }
}

/// Whether that user can run the Python of the tests at all.
fn poor_user_has_python() -> bool {
    let mut words = poor_user().split(' ');
    let mut command = Command::new(words.next().unwrap());
    command
        .args(words)
        .arg(python())
        .args(["-c", "import pydantic"]);
    let can = command.output().is_ok_and(|output| output.status.success());
    if !can {
        say("faults: p03: skipped: no user without processes can run the Python of the tests");
    }
    can
}

async fn end_all(processes: &[Process]) {
    for process in processes {
        let id = Pid::from_raw(process.0.try_into().unwrap()).unwrap();
        // It may have ended with the one before.
        let _ = kill_process(id, Signal::KILL);
    }
    for process in processes {
        let look = async || (!process.is_running()).then_some(());
        eventually(PATIENCE, "the end of a process", look).await;
    }
}

/// Takes all of Python away, so that everything has to be started anew, and waits until the gateway has seen it.
async fn end_python(gateway: &TestGateway) {
    end_all(&gateway.process().descendants()).await;
}

async fn gateway_on(interpreter: &Path) -> Rig {
    let setup = TestGateway::setup()
        .python()
        .function("mark", &source("mark"))
        .tables("[function.mark]\nglobal = false\nmodels = [\"echo\"]");
    Rig::with(setup.interpreter(interpreter), FakeUpstream::echo().await).await
}

#[tokio::test]
async fn p03_a_worker_that_cannot_start_keeps_its_requests_out_until_it_can() {
    let fragile = Fragile::new();
    let rig = gateway_on(&fragile.path()).await;
    let user = rig.gateway.user();
    user.chat(&streamed_chat("echo", "hi")).await.expect(200);
    let mut faults = vec!["missing", "dies", "memory"];
    if poor_user_has_python() {
        faults.push("poor");
    }
    for fault in faults {
        let served = rig.upstream.request_count();
        fragile.break_by(fault);
        end_python(&rig.gateway).await;
        // A call that was on its way into the process that ended fails with it.
        let look = async || {
            let answer = user.chat(&streamed_chat("echo", "hi")).await;
            assert!(
                matches!(answer.status, 502 | 503),
                "{fault}: {}",
                answer.text()
            );
            (answer.status == 503).then_some(answer)
        };
        let answer = eventually(PATIENCE, fault, look).await;
        assert_eq!(
            answer.json()["error"]["code"],
            "function_unavailable",
            "{fault}"
        );
        say(&format!("faults: p03: {fault}: {}", answer.text()));
        user.chat(&streamed_chat("echo", "hi")).await.expect(503);
        assert_eq!(
            rig.upstream.request_count(),
            served,
            "{fault}: nothing got past the filter"
        );
        fragile.mend(fault);
        if fault == "poor" {
            // Its limit is its own for good.
            end_python(&rig.gateway).await;
        }
        let look = async || {
            let answer = user.chat(&streamed_chat("echo", "hi")).await;
            (answer.status == 200).then_some(answer)
        };
        let answer = eventually(PATIENCE, "an answer after the fault", look).await;
        assert_eq!(answer.streamed_content(), "echo: hi mark");
    }
    rig.leaves_nothing_but_processes("p03").await;
}
