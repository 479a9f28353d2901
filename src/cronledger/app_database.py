"""The built-in jobs' own database: where none is configured, a second file beside a SQLite ledger."""

from __future__ import annotations

import threading
from typing import Any

from cronledger.ledger.application import application_engine, url_beside
from cronledger.migrations import application


class OwnDatabase:
    """Is created, with every table, when a built-in job first asks for it."""

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
