"""What SQLite's errors mean, and which files a ledger cannot live in."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from pathlib import Path

from cronledger.errors import CronledgerError, LedgerDamaged, LedgerUnreachable
from cronledger.ledger.failures import safe_url
from cronledger.ledger.missing_tables import without_table
from cronledger.ledger.sqlite_connections import BUSY_SECONDS

log = logging.getLogger("cronledger.ledger")

REMOTE = frozenset(
    {
        "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs",
        "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "gpfs", "lustre", "ncpfs", "nfs",
        "nfs4", "ocfs2", "orangefs", "smb3", "smbfs",
    }
)  # fmt: skip
"""File systems that several machines share: their locks and shared memory end at the machine."""

_WRITE_LOCK = 120
"""The byte of the shared-memory file that whoever writes has locked."""

_SENTENCES = {
    "readonly": "may not be written by this user",
    "unable to open": "cannot be opened",
    "disk is full": "cannot grow: the disk is full",
    "disk I/O error": "cannot be read or written: the disk reports an error",
}
_LATER = "; what waits is appended then"
_HINTS = {
    "readonly": "make the file, its folder and their file system writable" + _LATER,
    "unable to open": "may this user write the file and its folder, and are there file descriptors left?",
    "disk is full": "free some space" + _LATER,
    "disk I/O error": "look at the system's log, and at the limits of this process (ulimit -f)",
}


def problem(url: str, error: BaseException, path: Path | None = None) -> CronledgerError | None:
    """Return what an error of SQLite means, or None if it is a mistake of ours."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.IntegrityError):
        return None
    words, shown = str(error), safe_url(url)
    if not isinstance(error, sqlite3.OperationalError):
        broken = "malformed" in words or "not a database" in words
        return LedgerDamaged(f"{shown} is not a usable database: {words}") if broken else None
    if "Could not decode" in words:
        column = words.partition(" with text ")[0]
        return LedgerDamaged(f"{shown} holds something that is no text: {column}")
    if "no such table" in words:
        return without_table(shown, words.rpartition(": ")[2].rpartition(".")[2])
    if "locked" in words:
        return _locked(shown, None if path is None else writer_of(path))
    for sign, sentence in _SENTENCES.items():
        if sign in words:
            return LedgerUnreachable(f"the ledger {shown} {sentence}", hint=_HINTS[sign])
    return LedgerUnreachable(f"the ledger {shown} does not answer: {words}")


def _locked(shown: str, holder: int | None) -> LedgerUnreachable:
    who = "another process" if holder is None else f"process {holder}"
    return LedgerUnreachable(
        f"the ledger {shown} was locked by {who} for {BUSY_SECONDS:.0f} seconds",
        hint="is it stopped, or does somebody hold a transaction open? what waits is appended afterwards",
    )


def writer_of(path: Path, locks: Path = Path("/proc/locks")) -> int | None:
    """Return the process that is writing to a database, where the system tells: a hint for people only.

    The lock itself is not asked: closing any descriptor of the file would drop this process's own locks.
    """
    try:
        found = path.with_name(f"{path.name}-shm").stat()
        lines = locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) == 8 and words[3] == "WRITE" and words[5] == file:
            end = words[7]
            if int(words[6]) <= _WRITE_LOCK and (end == "EOF" or int(end) >= _WRITE_LOCK):
                return int(words[4]) or None
    return None


def require_local(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> None:
    """Raise LedgerUnreachable if a file would lie on a file system that several machines share."""
    kind = _file_system(path.resolve().parent, mounts)
    if kind in REMOTE:
        raise LedgerUnreachable(
            f"{path} lies on a network file system ({kind}), where SQLite's locks do not hold",
            hint="put the ledger on a local disk, or use PostgreSQL for several machines",
        )


def warn_of_others(path: Path) -> None:
    """Say so if other users may change a ledger, or put another one in its place."""
    if path.stat().st_mode & 0o022:
        log.warning("other users may write the ledger %s; keep it to yourself: chmod 600 %s", path, path)
    folder = path.parent.stat().st_mode
    if folder & 0o022 and not folder & stat.S_ISVTX:
        log.warning("other users may replace the ledger %s; chmod 700 %s", path, path.parent)


def _file_system(folder: Path, mounts: Path) -> str | None:
    """Return the type of the file system that a folder lies on, where the system tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    longest, kind = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:
            continue
        mounted = Path(_unescaped(words[4]))
        # A later line hides an earlier one at the same place.
        if folder.is_relative_to(mounted) and len(mounted.parts) >= longest:
            longest, kind = len(mounted.parts), after.split()[0]
    return kind


def _unescaped(text: str) -> str:
    for code, char in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, char)
    return text
