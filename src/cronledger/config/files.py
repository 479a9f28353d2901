"""Which files make up a configuration: reading them, safely, and following their includes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cronledger.file_rights import writable_by_everyone
from cronledger.strict_yaml.problem import Place, Problems, quoted
from cronledger.strict_yaml.text import MOST_BYTES, Value, parse

MOST_FILES = 100
_SILENT = "the file is empty or holds comments only, as if it was just being written"

Mark = tuple[int, ...]
Marks = dict[Path, Mark | None]
"""What the files looked like before they were read."""


class Document(msgspec.Struct, frozen=True):
    """A file's name, as messages show it, and what it says at the top level."""

    file: str
    entries: dict[str, Value]


class Reading:
    """Reads files, each once, in the order in which they name each other: a file, then what it includes."""

    def __init__(
        self, problems: Problems, marks: Marks | None = None, spoken: set[Path] | None = None
    ) -> None:
        self._problems = problems
        self._marks = marks if marks is not None else {}
        self._spoken = spoken if spoken is not None else set()
        self._seen: set[Path] = set()

    def read(self, path: Path, *, includes: bool) -> list[Document]:
        """Return the documents of a file and, where allowed, of everything it includes."""
        return list(self._read(path, Place(shown(path), 1, 1), (), includes=includes))

    def _read(
        self, path: Path, referrer: Place, chain: tuple[Path, ...], *, includes: bool
    ) -> Iterator[Document]:
        identity = _identity(path)
        if identity in chain:
            names = " -> ".join(shown(each) for each in (*chain[chain.index(identity) :], identity))
            self._problems.add(referrer, f"includes go in a circle: {names}")
            return
        if identity in self._seen:
            return
        if len(self._seen) == MOST_FILES:
            self._problems.add(referrer, f"more than {MOST_FILES} files")
            return
        self._seen.add(identity)
        document = self._document(path, referrer)
        if document is None:
            return
        yield document
        wanted = document.entries.get("includes")
        if wanted is None or not includes:
            return
        for item in self._included(wanted):
            target = path.parent / item.data
            yield from self._read(target, item.place, (*chain, identity), includes=True)

    def _document(self, path: Path, referrer: Place) -> Document | None:
        file = shown(path)
        self._marks[path] = mark_of(path)
        try:
            data = _bytes_of(path)
        except (OSError, ValueError) as error:
            self._problems.add(referrer, _unreadable(file, referrer, error))
            return None
        culprit = writable_by_everyone(path)
        if culprit is not None:
            is_folder = culprit.is_dir()
            what = f"the folder {culprit}" if is_folder else "this file"
            self._problems.add(
                Place(file, 1, 1),
                f"everybody may write {what}, so anybody could run code through it",
                f"chmod o-w {culprit if is_folder else file}",
            )
            return None
        document = parse(data, file, self._problems)
        if document is None:
            return None
        if document.data is None:
            if path in self._spoken and not self._problems.stand_at(document.place):
                self._problems.add(document.place, _SILENT, "write {} if it is to say nothing")
            return Document(file, {})
        self._spoken.add(path)
        if not isinstance(document.data, dict):
            self._problems.add(document.place, "the file must be a mapping of keys to values")
            return None
        return Document(file, document.data)

    def _included(self, wanted: Value) -> Iterator[Value]:
        if self._problems.stand_at(wanted.place):
            return
        items = [wanted] if isinstance(wanted.data, str) else wanted.data or []
        if not isinstance(items, list):
            self._problems.add(wanted.place, "includes: must be a list of paths")
            return
        for item in items:
            if self._problems.stand_at(item.place):
                continue
            if isinstance(item.data, str) and item.data and not item.is_doubtful:
                yield item
            else:
                self._problems.add(item.place, "includes: must be a list of paths")


def mark_of(path: Path) -> Mark | None:
    """Return what changes whenever a file does, as far as can be seen without reading it; None: no file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)


def _identity(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # no current folder, or a NUL in the name; opening it will say so
        return path


def _bytes_of(path: Path) -> bytes:
    """Read a regular file, one byte more than is allowed at most; never wait for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise ValueError("not a regular file")
        return stream.read(MOST_BYTES + 1)


def _unreadable(file: str, referrer: Place, error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError():
            reason = "no such file"
        case IsADirectoryError():
            reason = "this is a directory, not a file"
        case OSError():
            reason = f"cannot be read: {error.strerror or 'input/output error'}"
        case _:
            reason = f"cannot be read: {error}"
    return reason if referrer.file == file else f"includes {quoted(file)}: {reason}"


def shown(path: Path) -> str:
    """Name a file as a person in the current folder would.

    >>> shown(Path("services/config/../scheduler/config.yaml"))
    'services/scheduler/config.yaml'
    """
    plain = Path(os.path.normpath(path))
    folder = here()
    return str(plain.relative_to(folder)) if plain.is_relative_to(folder) else str(plain)


def here() -> Path:
    """Return the current folder, `.` if it has been removed: then nothing is found in it."""
    try:
        return Path.cwd()
    except OSError:
        return Path()
