"""Puts what `cargo bench --bench load -- --out FOLDER` has measured into docs/PERFORMANCE.md.

    python3 benches/fill.py FOLDER

Between `<!-- run -->` and its end go all tables, between `<!-- budgets -->` and its end every number that has a limit. What
was tried about a row stands in the last column there, is written by hand, and stays.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Iterator

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "PERFORMANCE.md"
HEAD = "| row | budget | measured | missed by | what was tried |\n|---|---|---|---|---|\n"


def main(folder: Path) -> None:
    report = json.loads((folder / "load.json").read_text())
    text = DOCUMENT.read_text()
    text = replaced(text, "run", (folder / "load.md").read_text().strip())
    tried = dict(tried_in(section(text, "budgets")))
    lines = (line(*budget, tried) for budget in budgets(report["tables"]))
    DOCUMENT.write_text(replaced(text, "budgets", (HEAD + "\n".join(lines)).strip()))


def budgets(tables: list[dict[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """Every number with a limit: what it is of, the limit, the number."""
    for table in tables:
        for entry in table["lines"]:
            cells = list(zip(table["columns"], entry["cells"]))
            for place, (column, cell) in enumerate(cells):
                if not isinstance(cell, dict):
                    continue
                if cell.get("is") is not None:
                    yield f"{entry['title']}: {column}", cell["limit"], cell["is"]
                elif place > 1 and isinstance(cells[place - 1][1], float):
                    # A limit in a column of its own, behind the number, behind what there were so many of.
                    (many, count), (unit, number) = cells[place - 2 : place]
                    yield f"{entry['title']}, {count:g} {many}: {unit}", cell["limit"], number


def line(title: str, limit: float, number: float, tried: dict[str, str]) -> str:
    missed = f"{(number / limit - 1) * 100:.1f} %" if number > limit else "–"
    measured = f"{number:.0f}" if number >= 100 else f"{number:.3g}"
    return f"| {title} | {limit:g} | {measured} | {missed} | {tried.get(title, '') or '–'} |"


def tried_in(table: str) -> Iterator[tuple[str, str]]:
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        if len(cells) == 5:
            yield cells[0], cells[4]


def section(text: str, name: str) -> str:
    return parts(text, name)[1]


def replaced(text: str, name: str, content: str) -> str:
    before, _, after = parts(text, name)
    return f"{before}\n{content}\n{after}"


def parts(text: str, name: str) -> tuple[str, str, str]:
    """What stands before the section, in it, and after it; the marks belong to the outside."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    inside, also_found, after = rest.partition(end)
    if not (found and also_found):
        sys.exit(f"{DOCUMENT} has no section between {begin} and {end}")
    return before + begin, inside, end + after


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
