"""How reports write numbers: changes against a baseline, times, and a week as a row of bars."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

_BARS = "▁▂▃▄▅▆▇█"
_NOTICEABLE_PERCENT = 1


class Delta(msgspec.Struct, frozen=True):
    """A change against a baseline: as text, with an arrow, and whether it is good news."""

    text: str
    arrow: str
    sentiment: str


def delta(now: float, baseline: float, *, less_is_better: bool = False) -> Delta:
    """Compare a number with its baseline; up to 1 % is no change.

    >>> delta(0, 0), delta(3, 0)
    (Delta(text='--', arrow='—', sentiment='neutral'), Delta(text='+∞', arrow='▲', sentiment='positive'))
    >>> delta(150, 100), delta(101, 100).arrow, delta(40, 50, less_is_better=True).sentiment
    (Delta(text='+50.0%', arrow='▲', sentiment='positive'), '—', 'positive')
    """
    if baseline == 0 and now == 0:
        return Delta("--", "—", "neutral")
    if baseline == 0:
        return Delta("+∞", "▲", "negative" if less_is_better else "positive")
    percent = (now - baseline) / baseline * 100
    if abs(percent) <= _NOTICEABLE_PERCENT:
        return Delta(f"{percent:+.1f}%", "—", "neutral")
    is_good = (percent > 0) is not less_is_better
    return Delta(f"{percent:+.1f}%", "▲" if percent > 0 else "▼", "positive" if is_good else "negative")


def spent(seconds: float) -> str:
    """Write a time as people say it.

    >>> spent(42.4), spent(95), spent(0)
    ('42s', '1m 35s', '0s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def sparkline(values: Sequence[float]) -> str:
    """Draw numbers as bars, from nothing to the largest.

    >>> sparkline([0, 1, 7]), sparkline([0, 0])
    ('▁▂█', '▁▁')
    """
    top = max(values, default=0)
    return "".join(_BARS[round(value / top * (len(_BARS) - 1)) if top else 0] for value in values)


def ratio(part: float, whole: float) -> float:
    """Divide; of nothing, every part is 0.

    >>> ratio(1, 4), ratio(0, 0)
    (0.25, 0.0)
    """
    return part / whole if whole else 0.0


def short(number: float) -> str:
    """Write a number with at most one digit behind the point.

    >>> short(3), short(2.25), short(1234567)
    ('3', '2.2', '1,234,567')
    """
    return f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
