"""Where an instance's files are, and whether they have changed and come to rest.

Files are looked at, not watched: a file system that tells nobody (a mounted volume, a network) will do. A
change counts once two looks in a row have seen the same, so that a file is not read while it is written.
"""

from __future__ import annotations

from pathlib import Path

from cronledger.config.files import Mark, Marks, here, mark_of
from cronledger.config.load import CONFIG_FILES, PROFILE_FILE, find_config, find_profile, load
from cronledger.config.model import Settings


class Sources:
    """The files that make up a configuration, found once, and read as often as wanted.

    A configuration that was found stays the one that is meant: if it goes, that is an error and not another
    configuration. A profile may come and go.
    """

    def __init__(self, config: Path | None, profile: Path | None, folder: Path | None = None) -> None:
        self._folder = folder or here()
        self._config = config
        self._profile = profile
        self._read: Marks = {}
        self._seen: Marks = {}
        self._spoken: set[Path] = set()

    def load(self) -> Settings:
        """Read all files; one that has said something before and says nothing now is a mistake.

        Raises ConfigError with all problems.
        """
        marks: Marks = {path: mark_of(path) for path in self._candidates()}
        self._config = self._config or find_config(self._folder)
        profile = self._profile or find_profile(self._config, self._folder)
        try:
            return load(self._config, profile, marks=marks, spoken=self._spoken)
        finally:
            self._read = self._seen = marks

    def have_settled(self) -> bool:
        """Whether the files differ from what was read last, and not from what the last look saw."""
        marks = self._look()
        settled = marks != self._read and marks == self._seen
        self._seen = marks
        return settled

    def are_as_read(self) -> bool:
        """Whether the files still are what was read last: not written to while they were read."""
        return self._look() == self._read

    def _look(self) -> dict[Path, Mark | None]:
        return {path: mark_of(path) for path in self._read}

    def _candidates(self) -> list[Path]:
        """Return the places where a file would count that need not be there."""
        found = [] if self._config else [self._folder / name for name in CONFIG_FILES]
        if self._profile is None:
            folders = [self._config.parent] if self._config else [path.parent for path in found]
            found += [folder / PROFILE_FILE for folder in (*folders, self._folder)]
        return found
