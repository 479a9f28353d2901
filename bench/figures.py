"""What a measure returns: a figure, its floor, and whether it keeps to its bar."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec


class Scale(StrEnum):
    """How much is measured: only that it runs, within minutes, or everything."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"

    def of(self, smoke: Any, quick: Any, full: Any) -> Any:
        """Choose by scale."""
        return {Scale.SMOKE: smoke, Scale.QUICK: quick, Scale.FULL: full}[self]

    @property
    def pairs(self) -> int:
        """How often a measure and its floor are taken in turn."""
        return int(self.of(1, 5, 5))


class Spread(msgspec.Struct, frozen=True):
    """Several takes of one figure."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, takes: Iterable[float]) -> Spread:
        """Summarise takes; there must be one at least."""
        taken = list(takes)
        return cls(statistics.median(taken), min(taken), max(taken))

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.min)}-{short(self.max)})"


class Bar(msgspec.Struct, frozen=True):
    """What is promised: at most or at least so much, of the figure itself or of its ratio to the floor."""

    limit: float
    at_least: bool = False
    of_floor: bool = False

    def holds(self, value: float, ratio: float | None) -> bool:
        """Whether a figure keeps to it."""
        told = ratio if self.of_floor else value
        assert told is not None, "a bar of the floor needs a floor"
        return told >= self.limit if self.at_least else told <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{' x floor' if self.of_floor else ''}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table: `row` is its number in docs/performance.md."""

    row: int
    measure: str
    unit: str
    ours: Spread
    floor: Spread | None = None
    ratio: Spread | None = None
    bar: Bar | None = None
    n: int | None = None
    """The size it was measured at, where it grows with one; figures of one measure then make a curve."""
    details: dict[str, Any] = {}

    @property
    def keeps(self) -> bool | None:
        """Whether it keeps to its bar, if it has one."""
        ratio = None if self.ratio is None else self.ratio.median
        return None if self.bar is None else self.bar.holds(self.ours.median, ratio)


def in_turn(ours: Callable[[], float], floor: Callable[[], float], pairs: int) -> dict[str, Spread]:
    """Take both in turn, so that a busy machine moves both; the ratio is that of each pair.

    >>> in_turn(lambda: 2.0, lambda: 8.0, pairs=5)["ratio"].median
    0.25
    """
    taken = [(ours(), floor()) if number % 2 else (floor(), ours())[::-1] for number in range(pairs)]
    return {
        "ours": Spread.of(mine for mine, _ in taken),
        "floor": Spread.of(raw for _, raw in taken),
        "ratio": Spread.of(mine / raw for mine, raw in taken),
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that so many per cent do not exceed (nearest rank).

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 99)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def short(value: float) -> str:
    """Write a figure with three digits that matter.

    >>> short(39812.4), short(0.2514), short(7.0)
    ('39,812', '0.251', '7')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
