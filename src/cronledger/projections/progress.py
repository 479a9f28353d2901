"""How far running runs are, as far as they say so."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from cronledger.domain import progress as rules
from cronledger.domain.ids import RunId
from cronledger.domain.progress import Progress
from cronledger.domain.run import Phase, RunState
from cronledger.ledger import progress
from cronledger.projections.moments import moment


def of_run(connection: Connection, state: RunState) -> dict[str, Any] | None:
    """Return what a run has said of its progress; None unless it runs and has said something."""
    report = progress.one(connection, state.run_id)
    return None if report is None or not _is_of(report, state) else document(report, state.started_at)


def of_runs(connection: Connection, states: Iterable[RunState]) -> dict[RunId, dict[str, Any]]:
    """Return what those of the runs that run have said of their progress."""
    reports = {report.run_id: report for report in progress.everything(connection)}
    return {
        state.run_id: document(report, state.started_at)
        for state in states
        if (report := reports.get(state.run_id)) is not None and _is_of(report, state)
    }


def document(report: Progress, started_at: datetime | None) -> dict[str, Any]:
    """Return progress as `runs show` shows it; `seconds_left` is an estimate, counted from `at`."""
    return {
        "done": _plain(report.done),
        "total": _plain(report.total),
        "percent": rules.percent(report),
        "message": report.message,
        "at": moment(report.at),
        "seconds_left": rules.seconds_left(report, started_at),
    }


def _is_of(report: Progress, state: RunState) -> bool:
    return state.phase is Phase.RUNNING and report.attempt == state.attempt


def _plain(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number
