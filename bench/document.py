"""Write the figures of a run into docs/performance.md, and draw how they grow.

    python -m bench.document FILE

`FILE` is what `python -m bench --json FILE` has written. Needs `pip install cronledger[bench]`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib import pyplot as plt

from bench.__main__ import Report, table
from bench.figures import Figure

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
PICTURE = DOCS / "performance.svg"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
WIDTH, HEIGHT, COLUMNS = 4.2, 2.6, 3
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


def growing(figures: list[Figure]) -> dict[str, list[Figure]]:
    """Return the measures that were taken at several sizes, each in the order of its sizes."""
    found: dict[str, list[Figure]] = defaultdict(list)
    for each in figures:
        if each.n is not None:
            found[f"{each.row}: {each.measure}, {each.unit}"].append(each)
    several = {name: sorted(each, key=lambda one: one.n or 0) for name, each in found.items()}
    return {name: each for name, each in several.items() if len({one.n for one in each}) > 1}


def draw(measures: dict[str, list[Figure]]) -> None:
    """Draw one small picture for each measure: ours and the floor, by size, both scales logarithmic."""
    mpl.rcParams.update({"font.size": 7, "svg.hashsalt": "cronledger", "svg.fonttype": "none"})
    rows = -(-len(measures) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(WIDTH * COLUMNS, HEIGHT * rows), squeeze=False)
    places = [place for row in axes for place in row]
    for place, (name, points) in zip(places, measures.items(), strict=False):
        sizes = [each.n for each in points]
        place.plot(sizes, [each.ours.median for each in points], "o-", label="cronledger")
        with_floor = [each for each in points if each.floor is not None]
        if with_floor:
            floors = [each.floor.median for each in with_floor if each.floor is not None]
            place.plot([each.n for each in with_floor], floors, "s--", color="grey", label="floor")
        place.set(title=name, xscale="log", yscale="log")
        low, high = place.get_ylim()
        middle = (low * high) ** 0.5
        place.set_ylim(min(low, middle / DECADE), max(high, middle * DECADE))
        place.legend()
    for place in places[len(measures) :]:
        place.remove()
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
