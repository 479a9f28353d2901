"""The Markdown files of a folder, in the order of their paths, read so that nothing outside is ever read.

Symbolic links are not followed, pipes and devices not opened, and folders are entered by their descriptors:
whoever swaps one for a link in the middle of it gains nothing. What cannot be read is told, not left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DEEPEST = 40
_LINK = "a symbolic link, which is not followed"


class Found(msgspec.Struct, frozen=True, gc=False):
    """A file: its path relative to the folder, and either what it holds or why that is not known."""

    name: str
    data: bytes = b""
    error: str | None = None


def files_of(folder: Path, *, recursive: bool, most_bytes: int) -> Iterator[Found]:
    """Return every `*.md` of a folder; names that begin with a dot are passed over."""
    yield from _folder(folder, None, "", most_bytes, depth=_DEEPEST if recursive else 0)


def _folder(
    path: Path | str, parent: int | None, name: str, most_bytes: int, *, depth: int
) -> Iterator[Found]:
    """Go through a folder, with `depth` levels of folders below it."""
    try:
        descriptor = os.open(path, _FOLDER, dir_fd=parent)
    except OSError as error:
        reason = f"the folder cannot be read: {error.strerror}"
        yield Found(name, error=_LINK if _is_link(path, parent) else reason)
        return
    try:
        yield from _inside(descriptor, name, most_bytes, depth)
    finally:
        os.close(descriptor)


def _inside(folder: int, above: str, most_bytes: int, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted((each for each in listing if each.name[0] != "."), key=lambda each: each.name)
    except OSError as error:
        yield Found(above, error=f"the folder cannot be read: {error.strerror}")
        return
    for entry in entries:
        name = f"{above}/{entry.name}" if above else entry.name
        if entry.is_symlink():
            if entry.name.endswith(".md") or _leads_to_a_folder(entry):
                yield Found(name, error=_LINK)
        elif entry.is_dir(follow_symlinks=False):
            if depth:
                yield from _folder(entry.name, folder, name, most_bytes, depth=depth - 1)
            elif above:
                yield Found(name, error=f"folders may be nested {_DEEPEST} deep")
        elif entry.name.endswith(".md"):
            yield _read(folder, entry.name, name, most_bytes)


def _is_link(path: Path | str, parent: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(path, dir_fd=parent, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _leads_to_a_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _read(folder: int, entry: str, name: str, most_bytes: int) -> Found:
    try:
        if not stat.S_ISREG(os.stat(entry, dir_fd=folder, follow_symlinks=False).st_mode):
            return Found(name, error="not a regular file: pipes and devices are not read")
        descriptor = os.open(entry, _FILE, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Found(name, error="not a regular file: pipes and devices are not read")
            data = stream.read(most_bytes + 1)
            size = max(os.fstat(descriptor).st_size, len(data))
    except OSError as error:
        return Found(name, error=f"cannot be read: {error.strerror}")
    if len(data) > most_bytes:
        return Found(name, error=f"{size} bytes, more than max_file_bytes ({most_bytes})")
    return Found(name, data)
