"""A pytest plugin: the suite's own keys have spaces, which no key of the gateway has."""

import os
import sys


def pytest_collection_modifyitems() -> None:
    conftest = sys.modules["tests.conftest"]
    conftest.api_key = conftest.admin_api_key = os.environ["SUITE_KEY"]
