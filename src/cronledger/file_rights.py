"""Whether any user of the machine could change what we are about to read or run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ROOT = 0


def writable_by_everyone(path: Path) -> Path | None:
    """Return what would let any user replace a file, folder or link: itself or a folder above it.

    In a folder with the sticky bit, such as /tmp, others can add files but not touch those of root and ours.
    What is not there cannot be judged, and is passed over.
    """
    for named in _names(path):
        below: os.stat_result | None = None
        for place in (named, *named.parents):
            try:
                here = place.lstat()
            except (OSError, ValueError):
                continue
            if _is_open(here, below):
                return place
            below = here
    return None


def _names(path: Path) -> list[Path]:
    """Return what a path is called from the root, with its links and with what they lead to."""
    try:
        return [Path(os.path.abspath(path)), Path(os.path.realpath(path))]  # noqa: PTH100 - links stay
    except ValueError:  # a NUL in the name
        return []


def _is_open(here: os.stat_result, below: os.stat_result | None) -> bool:
    if stat.S_ISLNK(here.st_mode) or not here.st_mode & stat.S_IWOTH:
        return False
    is_sticky = stat.S_ISDIR(here.st_mode) and bool(here.st_mode & stat.S_ISVTX)
    return not is_sticky or (below is not None and below.st_uid not in (_ROOT, os.geteuid()))
