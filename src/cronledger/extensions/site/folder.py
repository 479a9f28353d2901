"""A folder and what lies below it, reached without following a link.

Every part of a path is opened by itself, relative to the one before, and a link is refused: nobody who may
write below a folder can lead a reader or a writer out of it. What is neither file nor folder is never opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

Parts = tuple[str, ...]
"""A path below a folder, from the top."""

SYNCING = 8
"""So many files are made durable at once: a sixteenth of the time that one after the other takes."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPlain(OSError):
    """There is a link, or something else that is no plain file or folder, where one is needed."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} is {what}: put a plain file or folder there")


class TooLarge(OSError):
    """A file is larger than what is read of one."""

    def __init__(self, path: str, size: int, limit: int) -> None:
        super().__init__(f"{path} has {size:,} bytes, more than the {limit:,} that are read: make it smaller")


class NotMade(OSError):
    """A folder is not there, and cannot be made."""


class Folder:
    """A folder that is open; leave the block to close it.

    Raises NotPlain for a link, FileNotFoundError for nothing at its place (`create` makes it instead).
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if create:
            _make(path)
        with _plain(path, ()):
            self._fd = os.open(path, _FOLDER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def named(self, parts: Parts) -> str:
        """Return a path for people."""
        return str(self.path.joinpath(*parts))

    def read(self, parts: Parts, limit: int) -> bytes | None:
        """Return a file's bytes, None if there is none; raises TooLarge above so many bytes."""
        with suppress(FileNotFoundError, NotADirectoryError), self._folder(parts[:-1]) as folder:
            with _plain(self.path, parts):
                file = os.open(parts[-1], _READ, dir_fd=folder)
            with os.fdopen(file, "rb") as opened:
                status = os.fstat(file)
                if not stat.S_ISREG(status.st_mode):
                    raise NotPlain(self.named(parts), "neither a file nor a folder")
                if status.st_size > limit:
                    raise TooLarge(self.named(parts), status.st_size, limit)
                return opened.read(limit + 1)
        return None

    def size(self, parts: Parts) -> int | None:
        """Return a plain file's size, None if nothing is there; raises NotPlain for anything else."""
        try:
            with self._folder(parts[:-1]) as folder:
                status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise NotPlain(self.named(parts), _what(status.st_mode))
        return status.st_size

    def files(
        self,
        refused: Callable[[Parts, OSError], None],
        *,
        hidden: Callable[[str], bool] = lambda _: False,
        below: Parts = (),
    ) -> Iterator[Parts]:
        """Yield every file, in the order of their paths, but for names that are hidden.

        What is no plain file or folder is told as NotPlain; a folder that cannot be read to its end, with
        what the system says. The walk goes on behind it.
        """
        try:
            found = self._modes(below, hidden)
        except OSError as error:
            refused(below, error)
            return
        for name, mode in found:
            parts = (*below, name)
            if stat.S_ISDIR(mode):
                yield from self.files(refused, hidden=hidden, below=parts)
            elif stat.S_ISREG(mode):
                yield parts
            else:
                refused(parts, NotPlain(self.named(parts), _what(mode)))

    def _modes(self, below: Parts, hidden: Callable[[str], bool]) -> list[tuple[str, int]]:
        """Return the names in a folder and what they are, in order."""
        found = []
        with self._folder(below) as folder, os.scandir(folder) as entries:
            for entry in entries:
                if not hidden(entry.name):
                    with suppress(FileNotFoundError):  # removed a moment ago
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_mode))
        return sorted(found)

    def names(self, below: Parts = ()) -> list[str]:
        """Return what is in a folder, in order; nothing if there is none."""
        with suppress(FileNotFoundError), self._folder(below) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - a descriptor
        return []

    def write_new(self, parts: Parts, data: bytes) -> None:
        """Write a file that is not there yet; its bytes are durable after `sync`."""
        with self._folder(parts[:-1], create=True) as folder:
            file = os.open(parts[-1], _NEW, 0o644, dir_fd=folder)
        with os.fdopen(file, "wb") as opened:
            opened.write(data)

    def open_for_appending(self, parts: Parts) -> int:
        """Return a descriptor of a file that grows; the caller closes it."""
        with self._folder(parts[:-1], create=True) as folder, _plain(self.path, parts):
            return os.open(parts[-1], _APPEND, 0o644, dir_fd=folder)

    def sync(self, parts: Parts) -> None:
        """Make a file, or a folder's list of names, durable."""
        with self._folder(parts[:-1]) as folder:
            opened = os.open(parts[-1] if parts else ".", _READ, dir_fd=folder)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def sync_all(self, several: Iterable[Parts]) -> None:
        """Make several files or folders durable, side by side: the disk is asked once for many of them."""
        with ThreadPoolExecutor(SYNCING) as threads:
            list(threads.map(self.sync, several))

    def rename(self, source: Parts, target: Parts) -> set[Parts]:
        """Put a file at another place, in one move; return the folders that are to be synced."""
        made: set[Parts] = {source[:-1], target[:-1]}
        with self._folder(source[:-1]) as old, self._folder(target[:-1], create=True, made=made) as new:
            os.rename(source[-1], target[-1], src_dir_fd=old, dst_dir_fd=new)
        return made

    def remove(self, parts: Parts) -> None:
        """Remove a file, and the folders that it leaves empty."""
        with suppress(FileNotFoundError), self._folder(parts[:-1]) as folder:
            os.unlink(parts[-1], dir_fd=folder)
        for depth in range(len(parts) - 1, 0, -1):
            try:
                with self._folder(parts[: depth - 1]) as above:
                    os.rmdir(parts[depth - 1], dir_fd=above)
            except OSError:
                return  # something else is in it

    @contextmanager
    def _folder(self, parts: Parts, *, create: bool = False, made: set[Parts] | None = None) -> Iterator[int]:
        """Open a folder below this one, part by part."""
        opened = os.dup(self._fd)
        try:
            for depth, name in enumerate(parts, start=1):
                with _plain(self.path, parts[:depth]):
                    inner, is_new = _made(opened, name) if create else (_entered(opened, name), False)
                if is_new and made is not None:
                    made.add(parts[: depth - 1])
                os.close(opened)
                opened = inner
            yield opened
        finally:
            os.close(opened)


def _make(path: Path) -> None:
    """Make a folder where there is none; what is there, and is none, is told when it is opened."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        return
    except OSError as error:
        raise NotMade(f"{path} cannot be made: {error.strerror}") from None


def _entered(folder: int, name: str) -> int:
    return os.open(name, _FOLDER, dir_fd=folder)


def _made(folder: int, name: str) -> tuple[int, bool]:
    try:
        return _entered(folder, name), False
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=folder)
        return _entered(folder, name), True


def _what(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a link"
    return "a folder" if stat.S_ISDIR(mode) else "neither a file nor a folder"


@contextmanager
def _plain(top: Path, parts: Parts) -> Iterator[None]:
    """Say what stands in the way: the system's words for a link are hard to understand."""
    try:
        yield
    except OSError as error:
        path = top.joinpath(*parts)
        if error.errno == errno.ELOOP:
            raise NotPlain(str(path), "a link") from None
        if error.errno == errno.ENOTDIR:
            raise NotPlain(str(path), "a link" if path.is_symlink() else "no folder") from None
        if error.errno == errno.ENXIO:
            raise NotPlain(str(path), "neither a file nor a folder") from None
        raise
