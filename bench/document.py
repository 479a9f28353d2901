"""Write the figures of a run into docs/performance.md, and draw how they grow.

    python -m bench.document FILE

`FILE` is what `python -m bench --json FILE` has written. Needs `pip install cronledger[bench]`.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib import pyplot as plt

from bench.__main__ import DATABASES, Report, table
from bench.figures import Figure

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance.svg"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
WIDTH, HEIGHT, COLUMNS = 4.2, 2.6, 3
PEERS = (19, 20)
COLOURS = {"sqlite": "C0", "postgres": "C1"}
DECADE = 10**0.5
"""Each way from the middle of a picture: what hardly grows must not look as if it did."""


def main() -> None:
    """Read the report, write the page and the picture."""
    report = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Report)
    write(report)
    draw(growing(report.figures))


def write(report: Report) -> None:
    """Put machine and table between the marks of the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    about = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in report.machine.items())
    told = (
        f"{about}; scale {report.scale}, {report.seconds / 60:.0f} minutes in all.\n\n{table(report.figures)}"
    )
    PAGE.write_text(f"{before}{BEGIN}\n\n{told}\n\n{END}{after}")


def growing(figures: list[Figure]) -> dict[str, dict[str, list[Figure]]]:
    """Return the measures that were taken at several sizes, by name and database, in the order of sizes.

    Only those that something is promised of or that have a floor; peers have a table of their own.
    """
    found: dict[str, dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for each in figures:
        if each.n is not None and each.row not in PEERS and each.ours.median > 0:
            database = next((name for name in DATABASES if name in each.measure), "")
            measure = re.sub(rf"^{database}: |, {database}$", "", each.measure) if database else each.measure
            found[f"{each.row}: {measure}, {each.unit}"][database].append(each)
    return {
        name: {database: sorted(each, key=lambda one: one.n or 0) for database, each in lines.items()}
        for name, lines in found.items()
        if any(len({one.n for one in each}) > 1 for each in lines.values())
        and any(one.bar or one.floor for each in lines.values() for one in each)
    }


def draw(measures: dict[str, dict[str, list[Figure]]]) -> None:
    """Draw one small picture for each measure: ours and the floor, by size, both scales logarithmic."""
    mpl.rcParams.update({"font.size": 7, "svg.hashsalt": "cronledger", "svg.fonttype": "none"})
    rows = -(-len(measures) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(WIDTH * COLUMNS, HEIGHT * rows), squeeze=False)
    places = [place for row in axes for place in row]
    for place, (name, lines) in zip(places, measures.items(), strict=False):
        for database, points in lines.items():
            _line(place, points, database)
        place.set(title=name, xscale="log", yscale="log")
        low, high = place.get_ylim()
        middle = (low * high) ** 0.5
        place.set_ylim(min(low, middle / DECADE), max(high, middle * DECADE))
        place.legend()
    for place in places[len(measures) :]:
        place.remove()
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


def _line(place: Any, points: list[Figure], database: str) -> None:
    """Draw one database's figures, and the floor in the same colour."""
    colour = COLOURS.get(database)
    sizes = [each.n for each in points]
    place.plot(
        sizes, [each.ours.median for each in points], "o-", color=colour, label=database or "cronledger"
    )
    floors = [(each.n, each.floor.median) for each in points if each.floor is not None]
    if floors:
        place.plot(
            *zip(*floors, strict=True), "s:", color=colour, alpha=0.6, label=f"{database} floor".strip()
        )


if __name__ == "__main__":
    main()
