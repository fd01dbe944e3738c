"""One zygote for the whole run, a fresh worker for each test.

`SLUICEGATE_CORE_DIR` is the directory of `sluicegate_core.abi3.so`. `SLUICEGATE_PYTHON` is the interpreter of the
workers, by default the one that runs the tests; tests that need a package it lacks are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from driver import Worker, Zygote, core_directory, python


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The zygote."""
    zygote = Zygote(python(), core_directory())
    yield zygote
    zygote.close()


@pytest.fixture
def worker(zygote: Zygote, request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker, in an interpreter that has the packages the test is marked with."""
    for marker in request.node.iter_markers("needs"):
        for package in marker.args:
            if package not in zygote.ready["modules"]:
                pytest.skip(f"the worker's interpreter has no {package}")
    worker = zygote.spawn()
    yield worker
    worker.close()


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", "needs(*packages): packages the worker's interpreter must have")
