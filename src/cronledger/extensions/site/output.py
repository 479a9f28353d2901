"""The only writer of a site's output folder.

A file gets a temporary name in the folder `.cronledger`, is made durable and moved to its place: a reader
sees the old bytes or the new ones. A file that has its bytes already is left alone. What this writer has
written is noted in the manifest, and only that is removed again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from cronledger.extensions.site.folder import Folder, NotPlain, Parts
from cronledger.extensions.site.manifest import STATE, Line, Manifest

BATCH_FILES = 500
BATCH_BYTES = 16 << 20
"""As many files are made durable together: the first one pays for most of the others."""
MOST_BYTES = 256 << 20
"""The largest file that is read or written."""

_SEGMENT = re.compile(r"\.?[A-Za-z0-9_][A-Za-z0-9_.@+~-]{0,199}")
_LOCK = (STATE, "lock")
_TEMPORARY = "tmp-"


class PathRefused(ValueError):
    """A file may not have this path below the output folder."""


class InUse(Exception):
    """Somebody else is writing to the same output folder."""


class Counts(msgspec.Struct):
    """What became of the files of one step."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0

    def __str__(self) -> str:
        return f"{self.written} written, {self.unchanged} unchanged, {self.removed} removed"


class _Pending(msgspec.Struct, frozen=True):
    temporary: Parts
    target: Parts
    sha256: str


def checked(path: str) -> Parts:
    """Return the parts of a path that stays below the output folder.

    Raises PathRefused for anything but plain segments between single slashes: no `..`, no `%2e`, no
    backslash, no NUL, nothing absolute.

    >>> checked("blog/rye/index.html")
    ('blog', 'rye', 'index.html')
    """
    parts = tuple(path.split("/"))
    for part in parts:
        if not _SEGMENT.fullmatch(part) or part.endswith(".") or part == STATE:
            raise PathRefused(
                f"{path!r} is no path for the output: a part may hold letters a to z, digits and . _ - @ + ~"
            )
    return parts


class Output:
    """The files of one step, in an output folder; leave the block to give way to the next step.

    What the step `heir_of` has written may be taken over. Raises InUse while somebody else writes there,
    NotPlain where the folder is a link.
    """

    def __init__(self, root: Path, step: str, *, enforce: bool = True, heir_of: str | None = None) -> None:
        self.counts = Counts()
        self.failed: list[str] = []
        self._step = step
        self._enforce = enforce
        self._closing = ExitStack()
        with ExitStack() as opening:
            self._folder = opening.enter_context(Folder(root, create=True))
            self._lock(opening)
            for name in self._folder.names((STATE,)):
                if name.startswith(_TEMPORARY):  # of a run that was killed
                    self._folder.remove((STATE, name))
            self._manifest = Manifest(self._folder)
            self._closing = opening.pop_all()
        self._others = {
            path.casefold(): (path, other)
            for path, other in self._manifest.of_others(step).items()
            if other != heir_of
        }
        self._paths: dict[str, str] = {}
        self._kept: set[str] = set()
        self.keeps_everything = False
        self._temporaries = 0
        self._hashes: dict[str, str] = {}
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._adopted: list[Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._closing:
            for each in self._pending:  # something has gone wrong
                self._folder.remove(each.temporary)

    def put(self, path: str, data: bytes) -> None:
        """Give a file these bytes, now or together with others.

        Raises PathRefused for a path that leaves the folder or differs from another one in case alone, and
        NotPlain where a link, a folder or a device is in its place.
        """
        parts = checked(path)
        self._claim(path)
        sha256 = hashlib.sha256(data).hexdigest()
        if self.has(path, data):
            self._hashes[path] = sha256
            self.counts.unchanged += 1
            if not (self._manifest.knows(path, sha256) and self._manifest.is_of(path, self._step)):
                self._adopted.append(Line(path, self._step, sha256))
            return
        self._temporaries += 1
        temporary = (STATE, f"{_TEMPORARY}{self._temporaries}")
        try:
            self._folder.write_new(temporary, data)
        except OSError:
            self._folder.remove(temporary)  # half of a file would only fill the disk further
            raise
        # Only now: until its new bytes are there, the old ones of a file have to stay ours.
        self._hashes[path] = sha256
        self._pending.append(_Pending(temporary, parts, sha256))
        self._pending_bytes += len(data)
        if len(self._pending) >= BATCH_FILES or self._pending_bytes >= BATCH_BYTES:
            self.flush()

    def keep(self, path: str) -> None:
        """Leave a file, or what is below a folder, as it is: it should be there, but could not be made."""
        self._paths.setdefault(path.casefold(), path)
        self._kept.add(path)

    def keep_everything(self) -> None:
        """Remove nothing in the end: it is not known what the site still has."""
        self.keeps_everything = True

    def flush(self) -> None:
        """Make the files that wait durable, note them, and move them to their places.

        One that has another one of them in its way is told in `failed`.
        """
        self._folder.sync_all(each.temporary for each in self._pending)
        noted = [Line("/".join(each.target), self._step, each.sha256) for each in self._pending]
        new = {line.path for line in noted if not self._manifest.is_of(line.path, self._step)}
        self._manifest.append([*self._adopted, *noted])
        moving, self._pending, self._pending_bytes, self._adopted = self._pending, [], 0, []
        touched: set[Parts] = set()
        lost: dict[str, OSError] = {}
        for each in moving:
            try:
                touched |= self._folder.rename(each.temporary, each.target)
            except OSError as error:
                self._folder.remove(each.temporary)
                lost["/".join(each.target)] = error
            else:
                self.counts.written += 1
        self._folder.sync_all(sorted(touched))
        self._give_up(lost, new)

    def finish(self) -> Counts:
        """Bring everything to its place, and remove what this step has written before and no longer wants.

        Without `enforce` nothing is removed, only counted. A file that somebody else has changed stays, and
        is told in `failed`.
        """
        self.flush()
        wanted = set(self._paths.values())
        unwanted = [
            path
            for path in self._manifest.of_step(self._step)
            if not (self.keeps_everything or path in wanted or self._is_kept(path))
        ]
        self._manifest.append(
            [Line(path, self._step, gone=True) for path in unwanted if self._is_dropped(path)]
        )
        self._manifest.rewrite(self._hashes)
        return self.counts

    def move(self, names: Mapping[str, str], *, owner: str) -> None:
        """Move files to other places in the folder, each in one move; they are then a certain owner's.

        A file in the way is replaced. Only where they are not this step's own, one that is neither ours nor
        the same stays, and is told in `failed`.
        """
        touched: set[Parts] = set()
        for source, target in sorted(names.items()):
            data = self._folder.read(checked(source), MOST_BYTES)
            there = self._folder.read(checked(target), MOST_BYTES)
            if data is None:
                continue
            is_free = there in (None, data) or owner == self._step or self._knows(target, there or b"")
            if not is_free:
                self.failed.append(
                    f"{target} has other bytes than {source} and is not ours: remove one of them"
                )
                continue
            self._manifest.append([Line(target, owner, hashlib.sha256(data).hexdigest())])
            touched |= self._folder.rename(checked(source), checked(target))
            self._manifest.append([Line(source, owner, gone=True)])
            self.counts.written += 1
        self._folder.sync_all(sorted(touched))

    def has(self, path: str, data: bytes) -> bool:
        """Whether a file with these bytes is at a place."""
        parts = checked(path)
        return self._folder.size(parts) == len(data) and self._folder.read(parts, len(data)) == data

    def is_there(self, path: str) -> bool:
        """Whether anything is at a place."""
        try:
            return self._folder.size(checked(path)) is not None
        except NotPlain:
            return True

    def written_by(self, *steps: str) -> list[str]:
        """Return the paths that some steps have written."""
        return [path for step in steps for path in self._manifest.of_step(step)]

    def top(self) -> list[str]:
        """Return the names of the plain files at the top of the folder, in order."""
        return [name for name in self._folder.names() if self._is_file(name)]

    def _is_file(self, name: str) -> bool:
        try:
            return self._folder.size((name,)) is not None
        except NotPlain:
            return False

    def _give_up(self, lost: Mapping[str, OSError], new: set[str]) -> None:
        """Forget the bytes that did not reach their places: those of before stay ours."""
        self._manifest.append([Line(path, self._step, gone=True) for path in lost if path in new])
        for path, error in lost.items():
            del self._hashes[path]
            self.failed.append(f"{path} cannot be written: {error}")
        for error in lost.values():
            if not isinstance(error, NotPlain | IsADirectoryError):  # the disk's trouble, not this file's
                raise error

    def _is_kept(self, path: str) -> bool:
        parts = path.split("/")
        return any("/".join(parts[:depth]) in self._kept for depth in range(1, len(parts) + 1))

    def _knows(self, path: str, data: bytes) -> bool:
        return self._manifest.knows(path, hashlib.sha256(data).hexdigest())

    def _claim(self, path: str) -> None:
        folded = path.casefold()
        if other := self._paths.get(folded):
            same = f"{path!r} and {other!r} would be one file"
            twice = f"{path!r} would be written twice"
            raise PathRefused(f"{twice if path == other else same}: give one another name")
        if folded in self._others:
            other, step = self._others[folded]
            same = f"{path!r} is in the way of {other!r}, which {step} has written"
            twice = f"{path!r} is there already, written by {step}"
            raise PathRefused(f"{twice if path == other else same}: give one another name, or remove it")
        self._paths[folded] = path

    def _is_dropped(self, path: str) -> bool:
        """Remove a file that is no longer wanted; return whether it is gone."""
        parts = checked(path)
        try:
            there = self._folder.read(parts, MOST_BYTES)
        except OSError as error:
            self.failed.append(str(error))
            return False
        if there is None:
            return True
        if not self._knows(path, there):
            self.failed.append(f"{path} was changed by somebody else: remove it, the site no longer has it")
            return False
        self.counts.removed += 1
        if self._enforce:
            self._folder.remove(parts)
        return self._enforce

    def _lock(self, opening: ExitStack) -> None:
        """Keep others out until the end; the system takes the lock of a process that is killed."""
        file = self._folder.open_for_appending(_LOCK)
        opening.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(
                f"another run is writing to {self._folder.path}: it goes on when that one has ended"
            ) from None
