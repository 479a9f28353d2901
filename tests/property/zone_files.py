"""What the zone files say: which zones there are, and when each one's clock jumps.

The files (TZif, RFC 8536) are read by hand; only the years after a file's last transition, which it describes
by a rule, come from `zoneinfo`. So a transition cannot be missed here by looking too seldom.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from zoneinfo import TZPATH, ZoneInfo, available_timezones

NOT_ZONES = frozenset({"Factory", "localtime", "posixrules"})
"""The names in the database that are no place: the engine refuses them."""
EVERY_ZONE = tuple(sorted(available_timezones() - NOT_ZONES))

_LAST = int(datetime(2101, 1, 1, tzinfo=UTC).timestamp())
_FEW_DAYS = 5 * 86400
"""Rules for the years to come keep summer and winter at least a month long."""


class Jump(NamedTuple):
    """A change of a zone's offset, in seconds."""

    at: int
    before: int
    after: int

    @property
    def low(self) -> int:
        """The local time at which the gap, or the stretch that is read twice, begins."""
        return self.at + min(self.before, self.after)

    @property
    def high(self) -> int:
        """The local time at which it ends."""
        return self.at + max(self.before, self.after)


def jumps(name: str, since: datetime, until: datetime) -> tuple[Jump, ...]:
    """Return the changes of a zone's offset in [since, until), which lie between 1970 and 2100."""
    first, last = since.timestamp(), until.timestamp()
    return tuple(jump for jump in _all_jumps(_file(name)) if first <= jump.at < last)


@lru_cache(maxsize=1024)
def changes(name: str, last_year: int = 2040) -> tuple[datetime, ...]:
    """Return the instants from 1970 on at which a zone's offset changes."""
    found = jumps(name, datetime(1970, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC))
    return tuple(datetime.fromtimestamp(jump.at, UTC) for jump in found)


def histories(since: datetime, until: datetime) -> dict[tuple[Jump, ...], list[str]]:
    """Return the names of all zones, those together whose clocks jump alike in [since, until)."""
    found: dict[tuple[Jump, ...], list[str]] = {}
    for name in EVERY_ZONE:
        found.setdefault(jumps(name, since, until), []).append(name)
    return found


@lru_cache(maxsize=1024)
def _file(name: str) -> bytes:
    """Read a zone's file, from where `zoneinfo` reads it."""
    for root in TZPATH:
        if (path := Path(root, name)).is_file():
            return path.read_bytes()
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@lru_cache(maxsize=1024)
def _all_jumps(file: bytes) -> tuple[Jump, ...]:
    tz = ZoneInfo.from_file(io.BytesIO(file))
    recorded, footer = _recorded(file)
    found = []
    before = _offset(tz, 0)
    for at, after in recorded:
        if 0 < at and after != before:
            found.append(Jump(at, before, after))
            before = after
    if b"," in footer:
        found += _by_rule(tz, max(0, recorded[-1][0]) if recorded else 0)
    return tuple(found)


def _recorded(file: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """Return a file's transitions as (instant, offset from then on), and the rule for the time after."""
    assert file[:4] == b"TZif"
    assert file[4:5] >= b"2", "a version with 64-bit instants"
    is_ut, is_std, leaps, times, types, chars = struct.unpack_from(">6l", file, 20)
    start = 44 + 5 * times + 6 * types + chars + 8 * leaps + is_std + is_ut  # the 32-bit block comes first
    is_ut, is_std, leaps, times, types, chars = struct.unpack_from(">6l", file, start + 20)
    start += 44
    instants = struct.unpack_from(f">{times}q", file, start)
    kinds = file[start + 8 * times : start + 9 * times]
    start += 9 * times
    offsets = [struct.unpack_from(">l", file, start + 6 * kind)[0] for kind in range(types)]
    start += 6 * types + chars + 12 * leaps + is_std + is_ut
    return [(at, offsets[kind]) for at, kind in zip(instants, kinds, strict=True)], file[start:]


def _by_rule(tz: ZoneInfo, since: int) -> Iterator[Jump]:
    before = _offset(tz, since)
    for there in range(since + _FEW_DAYS, _LAST, _FEW_DAYS):
        after = _offset(tz, there)
        if after != before:
            low, high = there - _FEW_DAYS, there
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _offset(tz, middle) == after else (middle, high)
            yield Jump(high, before, after)
            before = after


def _offset(tz: ZoneInfo, instant: int) -> int:
    offset = datetime.fromtimestamp(instant, tz).utcoffset()
    assert offset is not None
    return offset.days * 86400 + offset.seconds
