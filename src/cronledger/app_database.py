"""The databases that jobs reach as `ctx.db`: the application's, else a file of the built-in jobs' own.

What is opened here for an instance is closed when it ends.
"""

from __future__ import annotations

import threading
from typing import Any

from cronledger.ledger.application import application_engine, url_beside
from cronledger.migrations import application


class OwnDatabase:
    """The built-in jobs' second file beside a SQLite ledger; made, with every table, when one first asks."""

    def __init__(self, ledger_url: str) -> None:
        self.url = url_beside(ledger_url)
        self._engine: Any = None
        self._opening = threading.Lock()

    def open(self) -> Any | None:
        """Return an engine for it; None beside a ledger that is no file."""
        if self.url is None:
            return None
        with self._opening:
            if self._engine is None:
                engine = application_engine(self.url)
                application.upgrade(engine)
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """Close every connection that nobody uses any more; the others are closed as they are given back."""
        if self._engine is not None:
            self._engine.dispose()


class Databases:
    """What an instance gives its jobs: an engine for `url` if there is one, else what was given."""

    def __init__(self, ledger_url: str, url: str | None, given: Any) -> None:
        self._own = OwnDatabase(ledger_url)
        self._engine = application_engine(url) if url else None
        self.provided = {
            "db": given if self._engine is None else self._engine,
            "open_own_db": self._own.open,
            "database_url": url,
        }

    def close(self) -> None:
        """Close what was opened here, and nothing of the application's."""
        self._own.close()
        if self._engine is not None:
            self._engine.dispose()
