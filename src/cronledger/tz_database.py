"""Which time-zone data `zoneinfo` reads here: the system's, or that of the package `tzdata`.

`zoneinfo` looks into the folders of its search path first and takes the package only for what they lack. So
the version of the package says nothing on a machine that has its own data, and that data changes with the
system's updates.
"""

from __future__ import annotations

import importlib
import re
import zoneinfo
from collections.abc import Sequence
from pathlib import Path

import msgspec

UNKNOWN = "unknown"

_POPULATED = ("Europe/London", "America/New_York", "Asia/Tokyo")
"""A folder that has none of these zones holds no data."""
_NOTES = (
    ("tzdata.zi", re.compile(r"# version (\S+)")),
    ("+VERSION", re.compile(r"(\S+)")),
    ("version.txt", re.compile(r"(\S+)")),
)
"""Files that may say which version a folder holds, and how their first line says it."""


class TzDatabase(msgspec.Struct, frozen=True):
    """A version of the IANA time-zone database; `folder` is None where it is the package's.

    >>> str(TzDatabase("2025b", "/usr/share/zoneinfo")), str(TzDatabase("2026f", None))
    ('2025b (system)', '2026f (package)')
    >>> str(TzDatabase(UNKNOWN, "/opt/zones"))
    'unknown (system: /opt/zones)'
    """

    version: str
    folder: str | None

    @property
    def source(self) -> str:
        """Who keeps it up to date: `system` or `package`."""
        return "package" if self.folder is None else "system"

    def __str__(self) -> str:
        place = f": {self.folder}" if self.folder and self.version == UNKNOWN else ""
        return f"{self.version} ({self.source}{place})"


def in_use(folders: Sequence[str] | None = None) -> TzDatabase:
    """Return what this process computes with; `folders`: the search path, by default that of `zoneinfo`.

    >>> in_use([]).source
    'package'
    """
    for folder in zoneinfo.TZPATH if folders is None else folders:
        path = Path(folder)
        if any((path / name).is_file() for name in _POPULATED):
            return TzDatabase(_version_in(path), folder)
    return TzDatabase(packaged() or UNKNOWN, None)


def packaged() -> str | None:
    """Return the version of the package `tzdata`, None where it is not installed."""
    try:
        return str(importlib.import_module("tzdata").IANA_VERSION)
    except ModuleNotFoundError:
        return None


def _version_in(folder: Path) -> str:
    for name, form in _NOTES:
        try:
            with (folder / name).open(encoding="utf-8", errors="replace") as file:
                found = form.match(file.readline(200))
        except OSError:
            continue
        if found:
            return found[1]
    return UNKNOWN
