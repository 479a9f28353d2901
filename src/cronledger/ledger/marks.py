"""What a SQLite ledger has acknowledged, noted beside it: an older copy in its place contradicts that.

A note is information only, and may be a few seconds old. It never says more than is durable, so a ledger that
does not hold what the note says is not the one that was noted. From then on its history has another name.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

MARK_BYTES = 4096
ID_BYTES = 16


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The newest event that a ledger had acknowledged; `history` is empty while nothing was ever lost."""

    lineage: str = ""
    position: int = 0
    id: bytes = bytes(ID_BYTES)
    history: str = ""


def mark_file(database: Path) -> Path:
    """Return the file that holds a database's mark."""
    return database.with_name(f"{database.name}.mark")


def read_mark(path: Path) -> Mark:
    """Return what was noted; nothing if there is no note that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return Mark()
    try:
        mark = msgspec.json.decode(os.read(descriptor, MARK_BYTES), type=Mark)
        return mark if len(mark.id) == ID_BYTES else Mark()
    except (OSError, msgspec.MsgspecError):
        return Mark()
    finally:
        os.close(descriptor)


def write_mark(path: Path, mark: Mark) -> None:
    """Note something, if this user may; nobody ever reads half of it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    except OSError:
        return
    try:
        os.write(descriptor, msgspec.json.encode(mark))
        Path(name).rename(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
    finally:
        os.close(descriptor)
