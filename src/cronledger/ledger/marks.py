"""What a SQLite ledger has acknowledged, noted beside it: an older copy in its place contradicts that.

A note is information only, and may be a few seconds old. It never says more than is durable, so a ledger that
does not hold what the note says is not the one that was noted. From then on its history has another name.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec

from cronledger.errors import LedgerUnreachable

MARK_BYTES = 4096
ID_BYTES = 16


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The newest event that a ledger had acknowledged; `history` is empty while nothing was ever lost."""

    lineage: str = ""
    position: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    id: bytes = bytes(ID_BYTES)
    history: str = ""


def read_mark(database: Path) -> Mark:
    """Return what was noted beside a database; nothing if there is no note, or one that says nothing.

    Raises LedgerUnreachable if there is a note that cannot be read: it may name another history.
    """
    try:
        mark = msgspec.json.decode(_content(_mark_file(database)), type=Mark)
    except msgspec.MsgspecError:
        return Mark()
    return mark if len(mark.id) == ID_BYTES else Mark()


def write_mark(database: Path, mark: Mark) -> None:
    """Note something beside a database, if this user may; nobody ever reads half of it, or loses it again."""
    path = _mark_file(database)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    except OSError:
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            _share(descriptor, database)
            os.fsync(descriptor)
        Path(name).rename(path)
    except OSError:
        Path(name).unlink(missing_ok=True)


def _mark_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.mark")


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.read(descriptor, MARK_BYTES)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno == errno.ELOOP:
            return b""
        raise LedgerUnreachable(
            f"the note {path} of what was acknowledged cannot be read: {error.strerror}",
            hint="may this user read it, and are there file descriptors left?",
        ) from error


def _share(descriptor: int, database: Path) -> None:
    """Let everybody read a note who may use the database, as SQLite does with its own files."""
    try:
        found = database.stat()
    except FileNotFoundError:
        return
    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    if os.geteuid() == 0:
        os.fchown(descriptor, found.st_uid, found.st_gid)
