"""What a worker is kept from, as the `Confine` frame says. `tests/it/isolation.rs` has the same through the gateway."""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path

import pytest
from driver import Handler, Kind, Worker, WorkerDied, Zygote

TRYING = """
import os, socket, subprocess

def read(path):
    with open(path) as file:
        return file.read()

class Filter:
    def inlet(self, body):
        try:
            return {"result": eval(body["what"])}
        except Exception as error:
            return {"error": type(error).__name__, "text": str(error)}
"""


def evaluate(worker: Worker, what: str) -> dict[str, str]:
    """What an expression gives inside of a worker."""
    return worker.inlet(TRYING, {"what": what})


def is_in_force(worker: Worker, name: str) -> bool:
    """Whether a protection is in force, as the worker says."""
    return any(told["name"] == name and told["in_force"] for told in worker.protections)


def skip_unless(worker: Worker, *names: str) -> None:
    """Skips the test with a word where the kernel cannot do what it is about."""
    for name in names:
        if not is_in_force(worker, name):
            worker.close()
            pytest.skip(f"not in force here: {name}")


def test_a_protected_path_inside_a_readable_one_stays_closed(zygote: Zygote, tmp_path: Path) -> None:
    for name in ("open", "closed"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text(name)
    (tmp_path / "tree" / "way").symlink_to(tmp_path / "tree" / "closed")
    readable, protected = [str(tmp_path / "tree")], [str(tmp_path / "tree" / "closed")]
    worker = zygote.spawn(readable=readable, protected=protected)
    skip_unless(worker, "files")
    assert evaluate(worker, f"read('{tmp_path}/tree/open/file')") == {"result": "open"}
    for way in ("closed", "way"):
        assert evaluate(worker, f"read('{tmp_path}/tree/{way}/file')")["error"] == "PermissionError"
    worker.close()


def test_only_its_own_folders_can_be_written(zygote: Zygote, tmp_path: Path) -> None:
    worker = zygote.spawn(data=str(tmp_path))
    skip_unless(worker, "files")
    slot = worker.load(TRYING)
    for what in ("open('a', 'w')", "open('data/a', 'w')", "open(os.environ['TMPDIR'] + '/a', 'w')"):
        request = worker.open(slot)
        body = {"what": f"{what}.close()"}
        assert worker.result(Handler.INLET, request=request, body=body)["body"] == {"result": None}
    assert (tmp_path / "a").exists()
    assert evaluate(worker, f"open('{tmp_path.parent}/a', 'w')")["error"] == "PermissionError"
    worker.close()


def test_a_program_is_refused_with_a_hint(zygote: Zygote) -> None:
    worker = zygote.spawn()
    told = evaluate(worker, "subprocess.run(['true'])")
    assert told["error"] == "PermissionError"
    assert "subprocesses = true" in told["text"]
    worker.close()


def test_a_program_runs_where_it_is_allowed(zygote: Zygote) -> None:
    worker = zygote.spawn(subprocesses=True)
    what = "subprocess.run(['echo', 'hi'], capture_output=True, text=True).stdout"
    assert evaluate(worker, what) == {"result": "hi\n"}
    worker.close()


def test_no_network_means_no_socket(zygote: Zygote) -> None:
    worker = zygote.spawn(network=False)
    skip_unless(worker, "system calls")
    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"):
        told = evaluate(worker, f"socket.socket(socket.{family}, socket.SOCK_DGRAM)")
        assert told["error"] == "PermissionError", family
    assert evaluate(worker, "[end.close() for end in socket.socketpair()]") == {"result": [None, None]}
    worker.close()


def test_without_isolation_the_folders_are_there_all_the_same(zygote: Zygote, tmp_path: Path) -> None:
    worker = zygote.spawn(isolation=False, data=str(tmp_path))
    assert [told["in_force"] for told in worker.protections] == [False]
    assert evaluate(worker, "os.path.realpath('data')") == {"result": str(tmp_path.resolve())}
    assert evaluate(worker, "read('/proc/1/comm')")["result"]
    worker.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_owns_what_he_keeps(zygote: Zygote, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    (keep / "inner").mkdir(parents=True)
    (keep / "inner" / "file").write_text("of before")
    for folder in (keep, *keep.parents):
        if os.stat(folder).st_uid == 0 and folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o711)
    worker = zygote.spawn(uid=1_900_000_000, data=str(keep))
    skip_unless(worker, "own user")
    assert evaluate(worker, "os.getuid()") == {"result": 1_900_000_000}
    assert evaluate(worker, "read('data/inner/file')") == {"result": "of before"}
    worker.close()


def ends(pidfd: int) -> bool:
    """Whether a process ends."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(30_000))


def test_a_worker_with_numbers_of_its_own_sees_no_other(zygote: Zygote) -> None:
    worker = zygote.spawn(apart=True)
    skip_unless(worker, "processes")
    assert evaluate(worker, "(os.getpid(), os.getppid())") == {"result": [2, 0]}
    assert evaluate(worker, "os.readlink('/proc/self')") == {"result": "2"}
    assert evaluate(worker, f"os.pidfd_open({zygote.process.pid})")["error"] == "ProcessLookupError"
    assert evaluate(worker, "os.kill(1, 9)")["error"] == "PermissionError"
    worker.close()


def test_the_end_of_a_worker_with_numbers_of_its_own_is_reported_and_ends_its_guard(zygote: Zygote) -> None:
    worker = zygote.spawn(apart=True)
    skip_unless(worker, "processes")
    guard = os.pidfd_open(worker.guard or 0)
    signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(zygote.wait_exit(worker)) == -signal.SIGKILL
    assert ends(guard)
    os.close(guard)
    worker.close()


def test_what_a_worker_leaves_behind_ends_with_it(zygote: Zygote) -> None:
    worker = zygote.spawn(apart=True, subprocesses=True)
    skip_unless(worker, "processes")
    what = "subprocess.run('setsid sleep 1000 > /dev/null 2>&1 & echo $!', shell=True, capture_output=True, text=True).stdout.strip()"
    number = int(evaluate(worker, what)["result"])
    assert evaluate(worker, f"os.kill({number}, 0)") == {"result": None}
    with open(f"/proc/{worker.guard}/task/{worker.guard}/children", encoding="ascii") as file:
        left = os.pidfd_open(int(file.read().split()[0]))
    worker.close()
    assert ends(left)
    os.close(left)


def test_a_worker_in_an_empty_network_hands_its_listener_over(zygote: Zygote) -> None:
    worker = zygote.spawn(egress=True)
    skip_unless(worker, "hosts")
    assert worker.handover is not None
    _, descriptors, _, _ = socket.recv_fds(worker.handover, 64, 1)
    with socket.socket(fileno=descriptors[0]) as listener:
        listener.settimeout(30)
        what = "[socket.create_connection(('127.0.0.1', 3128)).close(), os.environ['https_proxy']][1]"
        assert evaluate(worker, what) == {"result": "http://127.0.0.1:3128"}
        listener.accept()[0].close()
    told = evaluate(worker, "socket.create_connection(('192.0.2.1', 80))")
    assert (told["error"], "unreachable" in told["text"]) == ("OSError", True)
    worker.close()


def test_a_worker_that_is_told_something_else_first_ends(zygote: Zygote) -> None:
    worker = zygote.spawn(confined=False)
    worker.send(Kind.PING, 1)
    with pytest.raises(WorkerDied):
        worker.wait(Kind.PONG)
    worker.close()
