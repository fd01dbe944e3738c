"""Draws what `cargo bench --bench load -- --out FOLDER` has measured: FOLDER/filters.png and FOLDER/memory.png.

    target/bench-peers/bin/python benches/plots.py FOLDER
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (the backend is chosen first)

COSTS = "CPU µs per unit, all processes"
CHAINS = {"processes of their own": " in a chain", "one group": " of one group"}
MEMORY = "KiB of memory per stream"


def main(folder: Path) -> None:
    report = json.loads((folder / "load.json").read_text())
    tables = {table["title"]: table for table in report["tables"]}
    if COSTS in tables:
        draw(folder / "filters.png", filters(tables[COSTS]), "Python filters of a model", "CPU µs per request")
    if MEMORY in tables:
        draw(folder / "memory.png", memory(tables[MEMORY]), "open streams", "MiB")


def filters(table: dict) -> dict[str, list[tuple[float, float]]]:
    """CPU time of a request by the number of filters; none is what the same gateway needs without."""
    series = {}
    for name, ending in CHAINS.items():
        chains = [line for line in table["lines"] if line["title"].endswith(ending)]
        chains = [line for line in chains if None not in line["cells"][1]]
        points = [(int(line["title"].split()[0]), line["cells"][1][1]) for line in chains]
        without = [line["cells"][0][1] for line in chains]
        if points:
            series[name] = [(0, sum(without) / len(without)), *sorted(points)]
    return series


def memory(table: dict) -> dict[str, list[tuple[float, float]]]:
    """Memory of all streams together by their number."""
    series: dict[str, list[tuple[float, float]]] = {}
    for line in table["lines"]:
        streams, kib, _ = line["cells"]
        if isinstance(kib, (int, float)):
            series.setdefault(line["title"], []).append((streams, streams * kib / 1024))
    return series


def draw(file: Path, series: dict[str, list[tuple[float, float]]], across: str, up: str) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, points in series.items():
        axes.plot(*zip(*sorted(points)), marker="o", label=name)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
