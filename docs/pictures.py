"""Draws what schedules do where a clock jumps: `docs/guides/pictures/*.svg`.

python docs/pictures.py            write them
python docs/pictures.py --check    exit 1 and name those that differ from what would be written

The engine is asked for every fire time shown; nothing is drawn from memory. All dates are past, so that no
new edition of the time zone database moves them.
"""
# ruff: noqa: INP001, T201 - a script that prints

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.schedule import Schedule, schedule_of

PICTURES = Path(__file__).parent / "guides" / "pictures"
MINUTE = timedelta(minutes=1)

WIDTH, LEFT, RIGHT = 760, 196, 728
BAND, CAPTION, LANE = 82, 20, 46
"""From top to bottom: the local clock, perhaps words under it, then the lanes, each so high."""
STYLE = """
text { font: 12px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.quiet { fill: #59636e }
.code { font: 12px ui-monospace, Menlo, Consolas, monospace }
.middle { text-anchor: middle }
.jump { fill: #a40e26; font-weight: 600 }
.fire { fill: #0550ae; stroke: #0550ae }
.silent { fill: #fff; stroke: #59636e; stroke-dasharray: 2 2 }
.never { stroke: #a40e26; stroke-width: 2.5 }
"""


class Lane(NamedTuple):
    """One schedule and its fire times under the clock."""

    text: str
    setting: str = ""
    dst: Dst = Dst()


class Picture(NamedTuple):
    """A stretch of time with one jump of the local clock in it.

    Attributes:
        name: Of the file.
        title: What it shows.
        timezone: Whose clock.
        start: The first instant shown.
        ticks: How many follow it, and the minutes between two of them.
        lanes: The schedules.
    """

    name: str
    title: str
    timezone: str
    start: datetime
    ticks: tuple[int, int]
    lanes: tuple[Lane, ...]

    @property
    def end(self) -> datetime:
        """The last instant shown."""
        return self.start + self.ticks[0] * self.ticks[1] * MINUTE

    def local(self, instant: datetime) -> datetime:
        """Return what the local clock shows, as a bare reading."""
        return instant.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)

    def jump(self) -> datetime:
        """Return the instant at which the clock jumps."""
        instant, reading = self.start, self.local(self.start)
        while self.local(instant) == reading:
            instant, reading = instant + MINUTE, reading + MINUTE
        return instant

    def shift(self) -> timedelta:
        """Return by how much it jumps: forward is a gap, back is a fold."""
        return self.local(self.jump()) - self.local(self.jump() - MINUTE) - MINUTE

    def captions(self) -> list[tuple[datetime, datetime, str]]:
        """Return stretches of time and what to write there: the two passes of a fold, or two dates."""
        jump, shift = self.jump(), self.shift()
        if shift < timedelta(0):
            return [(jump + shift, jump, "first time"), (jump, jump - shift, "second time")]
        before, after = self.local(jump - MINUTE), self.local(jump)
        if before.date() == after.date():
            return []
        return [(self.start, jump, f"{before:%a %-d %b}"), (jump, self.end, f"{after:%a %-d %b}")]

    def lane(self, index: int) -> int:
        """Return where the line of a lane lies; the one behind the last is the axis."""
        return BAND + 48 + LANE * index + (CAPTION if self.captions() else 0)

    def x(self, instant: datetime) -> float:
        """Return where an instant lies."""
        return LEFT + (RIGHT - LEFT) * ((instant - self.start) / (self.end - self.start))


class Mark(NamedTuple):
    """What happens at an instant, and how it is called."""

    at: datetime
    kind: str
    label: str


SKIP = Dst(gap=Gap.SKIP)
ALL = (
    Picture(
        "fixed-gap",
        "A fixed time in a gap",
        "America/New_York",
        datetime(2024, 3, 10, 5, tzinfo=UTC),
        (5, 60),
        (Lane("0 30 2 * * *", "gap: shift (default)"), Lane("0 30 2 * * *", "gap: skip", SKIP)),
    ),
    Picture(
        "fixed-fold",
        "A fixed time in a fold",
        "America/New_York",
        datetime(2024, 11, 3, 4, tzinfo=UTC),
        (5, 60),
        (
            Lane("0 30 1 * * *", "fold: first (default)"),
            Lane("0 30 1 * * *", "fold: second", Dst(fold=Fold.SECOND)),
            Lane("0 30 1 * * *", "fold: both", Dst(fold=Fold.BOTH)),
        ),
    ),
    Picture(
        "interval-gap",
        "An interval in a gap",
        "America/New_York",
        datetime(2024, 3, 10, 4, tzinfo=UTC),
        (6, 60),
        (
            Lane("0 0 */2 * * *", "interval"),
            Lane("0 0 0-22/2 * * *", "the same hours, fixed"),
            Lane("every 2h from 2024-03-10T00:00:00"),
        ),
    ),
    Picture(
        "interval-fold",
        "An interval in a fold",
        "America/New_York",
        datetime(2024, 11, 3, 4, 30, tzinfo=UTC),
        (7, 30),
        (Lane("0 */30 * * * *", "interval"), Lane("0 0,30 0-23 * * *", "the same times, fixed")),
    ),
    Picture(
        "midnight",
        "A gap that ends at midnight",
        "America/Nuuk",
        datetime(2024, 3, 30, 23, tzinfo=UTC),
        (4, 60),
        (Lane("0 30 23 * * *", "gap: shift (default)"), Lane("0 30 23 * * *", "gap: skip", SKIP)),
    ),
    Picture(
        "skipped-date",
        "A date that does not exist",
        "Pacific/Apia",
        datetime(2011, 12, 29, 16, tzinfo=UTC),
        (6, 360),
        (Lane("0 0 9 * * *", "fixed"), Lane("every 12h from 2011-12-29T09:00:00")),
    ),
    Picture(
        "half-hour-gap",
        "Half an hour is skipped",
        "Australia/Lord_Howe",
        datetime(2024, 10, 5, 14, 30, tzinfo=UTC),
        (5, 30),
        (Lane("0 15 2 * * *", "fixed"), Lane("0 0 * * * *", "interval")),
    ),
    Picture(
        "half-hour-fold",
        "Half an hour is shown twice",
        "Australia/Lord_Howe",
        datetime(2024, 4, 6, 13, 30, tzinfo=UTC),
        (6, 30),
        (Lane("0 45 1 * * *", "fixed"), Lane("0 0 * * * *", "interval")),
    ),
)


# --- what happens ---------------------------------------------------------------------------------------


def marks(picture: Picture, lane: Lane) -> list[Mark]:
    """Return what a schedule does in a picture, by the engine's word."""
    jump = picture.jump()
    fires = _fires(_schedule(lane.text, picture.timezone, lane.dst), picture.start, picture.end)
    if lane.text.startswith("every"):
        return [Mark(at, "fire", _clock(picture.local(at))) for at in fires]
    as_shown = Dst(gap=Gap.SKIP, fold=Fold.BOTH)
    shown = _fires(_schedule(lane.text, picture.timezone, as_shown), picture.start, picture.end)
    missing = _in_the_gap(picture, lane.text)
    found = [Mark(at, "fire", _clock(picture.local(at))) for at in fires if at in shown]
    found += [Mark(at, "silent", _clock(picture.local(at))) for at in shown if at not in fires]
    for at in set(fires) - set(shown):
        assert at == jump
        found.append(Mark(at, "shifted", f"{missing} at {_clock(picture.local(at))}"))
    if missing and jump not in fires:
        found.append(Mark(jump, "never", f"no {missing}"))
    return sorted(found)


def _fires(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    return list(schedule.fire_times(start - timedelta(seconds=1), end, 100))


def _schedule(text: str, timezone: str, dst: Dst) -> Schedule:
    schedule = schedule_of(text, timezone=timezone, dst=dst)
    assert schedule
    return schedule


def _in_the_gap(picture: Picture, text: str) -> str:
    """Name the times that a schedule asks for and the clock skips; empty if there is none."""
    jump = picture.jump()
    first, end = picture.local(jump - MINUTE) + MINUTE, picture.local(jump)
    if end <= first:
        return ""
    asked = _fires(_schedule(text, "UTC", Dst()), first.replace(tzinfo=UTC), end.replace(tzinfo=UTC) - MINUTE)
    day = "" if first.date() == end.date() else f"{first:%-d %b} "
    return day + ", ".join(map(_clock, asked)) if asked else ""


def _clock(reading: datetime) -> str:
    return f"{reading:%H:%M}"


# --- how it is drawn ------------------------------------------------------------------------------------


def drawn(picture: Picture) -> str:
    """Return the picture as SVG."""
    bottom = picture.lane(len(picture.lanes)) - 26
    size = f'viewBox="0 0 {WIDTH} {bottom + 62}" width="{WIDTH}" height="{bottom + 62}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(picture.title)}</title>',
        f'<desc id="description">{escape(described(picture))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{bottom + 60}" rx="8" fill="#fff" stroke="#d1d9e0"/>',
        _text(20, 28, picture.title, "title"),
        _text(20, 47, _jump_in_words(picture), "quiet"),
        *_captions(picture, bottom),
        *_local_clock(picture),
        *_axis(picture, bottom),
    ]
    for index, lane in enumerate(picture.lanes):
        lines += _lane(picture, lane, picture.lane(index))
    lines += _legend(picture, bottom + 48)
    return "\n".join([*lines, "</svg>", ""])


def described(picture: Picture) -> str:
    """Say what the picture shows."""
    parts = [f"{_jump_in_words(picture)}."]
    for lane in picture.lanes:
        told = [f"{_SAID[mark.kind]} {mark.label} ({mark.at:%H:%M} UTC)" for mark in marks(picture, lane)]
        setting = f" ({lane.setting})" if lane.setting else ""
        parts.append(f"{lane.text}{setting}: {'; '.join(told)}.")
    return " ".join(parts)


_SAID = {"fire": "fires", "shifted": "fires", "silent": "does not fire", "never": "has"}


def _jump_in_words(picture: Picture) -> str:
    before, after = picture.local(picture.jump() - MINUTE), picture.local(picture.jump())
    day = "%A %-d %B %Y"
    if picture.shift() >= timedelta(days=1):
        return f"{picture.timezone}: after {before:{day}} comes {after:{day}}"
    times = f"from {_clock(before + MINUTE)} to {_clock(after)}"
    return f"{picture.timezone}, {before:{day}}: the clock goes {times}"


def _captions(picture: Picture, bottom: int) -> Iterator[str]:
    """Shade what the clock shows twice, and name it; or name the dates on both sides of the jump."""
    for (begin, end, words), fill in zip(picture.captions(), ("#fff1c2", "#ffe0a3"), strict=False):
        x, width = picture.x(begin), picture.x(end) - picture.x(begin)
        if picture.shift() < timedelta(0):
            yield _rect((x, BAND + 10, width, bottom - BAND - 10), fill)
        yield _text(x + width / 2, BAND + 25, words, "quiet middle")


def _local_clock(picture: Picture) -> Iterator[str]:
    """Draw what the local clock shows, with a break where it jumps."""
    jump, middle = picture.jump(), picture.x(picture.jump())
    yield _text(20, BAND + 4, "local clock")
    for begin, end in ((LEFT - 10, middle - 2.5), (middle + 2.5, RIGHT + 10)):
        yield _rect((begin, BAND, end - begin, 8), "#8c959f", ' rx="2"')
    lanes = [picture.lane(index) for index in range(len(picture.lanes) + 1)]
    line = "".join(f"M{middle:.1f} {y - 7}V{y + LANE - 24}" for y in lanes[:-1])
    line = f"M{middle:.1f} {BAND - 4}V{lanes[0] - 24}{line}V{lanes[-1] - 26}"
    yield f'<path d="{line}" stroke="#a40e26" stroke-dasharray="4 3"/>'
    for instant in _ticks(picture):
        if instant != jump:
            yield _text(picture.x(instant), BAND - 8, _clock(picture.local(instant)), "middle")
    yield _text(middle, BAND - 8, _jump(picture), "jump middle")


def _jump(picture: Picture) -> str:
    before, after = picture.local(picture.jump() - MINUTE), picture.local(picture.jump())
    if picture.shift() >= timedelta(days=1):
        return f"{before:%-d %b} → {after:%-d %b}"
    return f"{_clock(before + MINUTE)} → {_clock(after)}"


def _ticks(picture: Picture) -> list[datetime]:
    count, minutes = picture.ticks
    return [picture.start + index * minutes * MINUTE for index in range(count + 1)]


def _axis(picture: Picture, bottom: int) -> Iterator[str]:
    yield _text(20, bottom + 20, "elapsed time, UTC", "quiet")
    yield f'<path d="M{LEFT - 10} {bottom}H{RIGHT + 10}" stroke="#59636e"/>'
    for instant in _ticks(picture):
        x = picture.x(instant)
        yield f'<path d="M{x:.1f} {bottom}v5" stroke="#59636e"/>'
        yield _text(x, bottom + 20, _clock(instant), "quiet middle")


def _lane(picture: Picture, lane: Lane, y: int) -> Iterator[str]:
    rule, _, anchor = lane.text.partition(" from ")
    yield _text(20, y - 4, rule, "code")
    yield _text(20, y + 12, lane.setting or f"from {anchor}", "quiet")
    yield f'<path d="M{LEFT - 10} {y}H{RIGHT + 10}" stroke="#d1d9e0"/>'
    for mark in marks(picture, lane):
        x = picture.x(mark.at)
        yield _mark(x, y, mark.kind)
        yield _text(x, y - 10, mark.label, "quiet middle" if mark.kind == "silent" else "middle")


def _mark(x: float, y: float, kind: str) -> str:
    match kind:
        case "fire":
            return f'<circle cx="{x:.1f}" cy="{y}" r="5" class="fire"/>'
        case "silent":
            return f'<circle cx="{x:.1f}" cy="{y}" r="5" class="silent"/>'
        case "shifted":
            return f'<path d="M{x - 6.5:.1f} {y}l6.5 -6.5l6.5 6.5l-6.5 6.5z" class="fire"/>'
        case _:
            return f'<path d="M{x - 5:.1f} {y - 5}l10 10m0 -10l-10 10" class="never"/>'


_MEANING = {
    "fire": "fires",
    "shifted": "fires for a time that does not exist",
    "silent": "does not fire",
    "never": "does not exist, does not fire",
}


def _legend(picture: Picture, y: int) -> Iterator[str]:
    kinds = {mark.kind for lane in picture.lanes for mark in marks(picture, lane)}
    x = LEFT
    for kind, meaning in _MEANING.items():
        if kind in kinds:
            yield _mark(x, y - 4, kind)
            yield _text(x + 12, y, meaning, "quiet")
            x += 36 + round(6.1 * len(meaning))


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}"{named}>{escape(text)}</text>'


def _rect(place: tuple[float, float, float, float], fill: str, more: str = "") -> str:
    x, y, width, height = place
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{fill}"{more}/>'


def main(arguments: list[str]) -> int:
    """Write the pictures, or say which of them are out of date."""
    stale = []
    for picture in ALL:
        path, text = PICTURES / f"{picture.name}.svg", drawn(picture)
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    for name in stale:
        print(f"docs/guides/pictures/{name} is out of date: run `python docs/pictures.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
