"""What jobs are given as `RunHistory`: the runs of the ledger that their own instance is at work on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol, TypeVar

from cronledger.domain.definition import JobDefinition
from cronledger.errors import UsageError
from cronledger.jobs.history import RunHistory, RunsSummary
from cronledger.ledger.database import Store
from cronledger.projections import run_summary
from cronledger.projections.replay import current

T = TypeVar("T")


class Ask(Protocol):
    """Who has an open store."""

    def __call__(self, function: Callable[[Store], T], /) -> T:
        """Call a function with it, on this thread."""


class LedgerRuns(RunHistory):
    """Reads the views as of the head; nothing is appended."""

    def __init__(self, ask: Ask, definitions: Callable[[], Iterable[JobDefinition]] = tuple) -> None:
        self._ask = ask
        self._definitions = definitions

    def between(self, since: datetime, until: datetime) -> RunsSummary:
        """Return the runs that ended from `since` to before `until`, and those that have not ended now."""
        if since.tzinfo is None or until.tzinfo is None:
            raise UsageError(
                "since and until are instants, and need a zone", hint="for example ctx.now(), which is in UTC"
            )

        own = {each.name: each for each in self._definitions()}

        def asked(store: Store) -> RunsSummary:
            with current(store) as views, views.reading() as connection:
                return run_summary.between(connection, since, until, own)

        return self._ask(asked)
