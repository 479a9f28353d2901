"""What the pipeline has written below an output folder: nothing else is ever removed there.

A file of lines, one for each fact, that only grows while files are written: a path is noted before its file
gets it, so that a run that is killed leaves nothing behind that nobody knows. When a step is done the lines
are written anew, one for each path.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import msgspec

from cronledger.extensions.site.folder import Folder

STATE = ".cronledger"
"""The folder in the output that holds the manifest, the lock and files that are being written."""
_MANIFEST = (STATE, "manifest.jsonl")
_NEXT = (STATE, "tmp-manifest")
_LIMIT = 1 << 30


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that a step has written, or (`gone`) that is no longer there."""

    path: str
    step: str
    sha256: str = ""
    gone: bool = False


class Written(msgspec.Struct):
    """What is known of one path: whose it is, and all that its bytes may be."""

    step: str
    hashes: set[str]


_DECODER = msgspec.json.Decoder(Line)
_ENCODER = msgspec.json.Encoder()


class Manifest:
    """The lines of one output folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._paths: dict[str, Written] = {}
        self._changed = False
        for line in _lines(folder.read(_MANIFEST, _LIMIT) or b""):
            self._take(line)

    def of_step(self, step: str) -> list[str]:
        """Return the paths that a step has written, in order."""
        return sorted(path for path, written in self._paths.items() if written.step == step)

    def of_others(self, step: str) -> dict[str, str]:
        """Return the paths of all other steps, and whose they are."""
        return {path: written.step for path, written in self._paths.items() if written.step != step}

    def is_of(self, path: str, step: str) -> bool:
        """Whether a step has written this path."""
        written = self._paths.get(path)
        return written is not None and written.step == step

    def knows(self, path: str, sha256: str) -> bool:
        """Whether these bytes at this path are ours."""
        written = self._paths.get(path)
        return written is not None and sha256 in written.hashes

    def append(self, lines: Iterable[Line]) -> None:
        """Note facts, durably, before they come true."""
        noted = list(lines)
        if not noted:
            return
        file = self._folder.open_for_appending(_MANIFEST)
        try:
            # A line that a killed run left unfinished is ended first.
            os.write(file, b"\n")
            with os.fdopen(file, "ab", closefd=False) as opened:
                opened.writelines(_ENCODER.encode(line) + b"\n" for line in noted)
            os.fsync(file)
        finally:
            os.close(file)
        for line in noted:
            self._take(line)
        self._changed = True

    def rewrite(self, hashes: dict[str, str]) -> None:
        """Write the lines anew: of each path in `hashes` only these bytes are ours."""
        for path, sha256 in hashes.items():
            if self._paths[path].hashes != {sha256}:
                self._paths[path].hashes = {sha256}
                self._changed = True
        if not self._changed:
            return
        lines = [
            _ENCODER.encode(Line(path, written.step, sha256)) + b"\n"
            for path, written in sorted(self._paths.items())
            for sha256 in sorted(written.hashes)
        ]
        self._folder.write_new(_NEXT, b"".join(lines))
        self._folder.sync(_NEXT)
        for folder in self._folder.rename(_NEXT, _MANIFEST):
            self._folder.sync(folder)
        self._changed = False

    def _take(self, line: Line) -> None:
        if line.gone:
            self._paths.pop(line.path, None)
            return
        written = self._paths.setdefault(line.path, Written(line.step, set()))
        written.step = line.step
        written.hashes.add(line.sha256)


def _lines(data: bytes) -> Iterator[Line]:
    """Yield the lines that can be read: the last one may have been cut off."""
    for text in data.splitlines():
        try:
            yield _DECODER.decode(text)
        except msgspec.DecodeError:
            continue
