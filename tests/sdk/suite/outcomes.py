"""How each test of a run ended, and in what two runs differ."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

SHOWN = 20


class Outcomes:
    """The end of every test of one run."""

    def __init__(self, report: Path) -> None:
        self._by_test: dict[str, str] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            unusual = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            self._by_test[name] = unusual[0] if unusual else "passed"

    def passed(self) -> int:
        """How many passed."""
        return Counter(self._by_test.values())["passed"]

    def tell_differences(self, other: Outcomes) -> int:
        """Prints the tests that end differently in `other`; gives how many."""
        mine, theirs = self._by_test, other._by_test
        names = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        for name in names[:SHOWN]:
            print(f"  {name}: {mine.get(name, 'missing')}, now {theirs.get(name, 'missing')}")
        if len(names) > SHOWN:
            print(f"  and {len(names) - SHOWN} more")
        return len(names)

    def __str__(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(self._by_test.values()).items()))
