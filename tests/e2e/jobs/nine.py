"""A pipeline of nine steps with effects outside the ledger, and a process that is killed at a boundary.

Loaded with `--app`. `BOUNDARY` says where, as `before:step.started:4`: round the append that holds the fourth
event of that type of this pipeline's run; `EFFECTS` names the file of the traces.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cronledger import JobContext, JobResult, Pipeline, submit_job
from cronledger.ledger import postgres, sqlite_append
from cronledger.ledger.api import Answer, Prepared
from tests.e2e.jobs.failpoints import leave_a_trace

NAMES = ["ingest", "assets", "content", "pages", "sitemap", "llms", "robots", "feed", "order"]
_where, _, _what = os.environ.get("BOUNDARY", "never:").partition(":")
_seen: Counter[str] = Counter()


def _kill_if(where: str, boundaries: Sequence[str]) -> None:
    if where == _where and _what in boundaries:
        os.kill(os.getpid(), signal.SIGKILL)


def _boundaries(batch: Sequence[Prepared]) -> list[str]:
    """Return the events of the pipeline's runs in a batch, each with its number."""
    found = []
    for prepared in batch:
        for write in prepared.item.writes:
            for event in write.events:
                if event.job == "nine" and event.run_id is not None:
                    _seen[event.body.type] += 1
                    found.append(f"{event.body.type}:{_seen[event.body.type]}")
    return found


def _watched(submit: Callable[[Any, Sequence[Prepared]], list[Answer]]) -> Any:
    def submit_and_perhaps_die(self: Any, batch: Sequence[Prepared]) -> list[Answer]:
        boundaries = _boundaries(batch)
        _kill_if("before", boundaries)
        answers = submit(self, batch)
        _kill_if("after", boundaries)
        return answers

    return submit_and_perhaps_die


if _where != "never":
    sqlite_append.SqliteAppender.submit = _watched(sqlite_append.SqliteAppender.submit)  # type: ignore[method-assign]
    postgres.PostgresAppender.submit = _watched(postgres.PostgresAppender.submit)  # type: ignore[method-assign]


def _part(name: str) -> Callable[[JobContext], JobResult]:
    def work(ctx: JobContext) -> JobResult:
        leave_a_trace(name, ctx)
        return JobResult.success().with_stats(1, 0)

    return work


class Nine(Pipeline):
    """Nine steps in order, at start."""

    name = "nine"
    idempotent = True
    run_on_startup = True


submit_job(Nine([(name, _part(name)) for name in NAMES]), extension="nine")
