"""What a job may ask the ledger: which runs ended in a period, and how.

The answer is made of plain values; `ctx.service(RunHistory)` finds who gives it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

FAILING = ("failed", "timed_out", "lost", "partial")
"""The outcomes of runs that somebody should look at."""


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended; `duration_ms` is what its last attempt took."""

    run_id: str
    job: str
    outcome: str
    ended_at: datetime
    duration_ms: int


class UnfinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits or runs; `phase` says which."""

    run_id: str
    job: str
    phase: str
    triggered_at: datetime


class JobRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one job that ended in a period.

    Attributes:
        job: What its entry calls it; `extension` and `code` are what provides it and its name there, None
            where the ledger does not know.
        outcomes: How many there were of each outcome; those that did not occur are left out.
        items_processed, items_failed: What its runs have counted, together.
        error: What the newest run that did not go well said.

    >>> runs = JobRuns(job="tidy", outcomes={"failed": 1, "succeeded": 9}, error="disk full")
    >>> runs.ended, runs.failing
    (10, 1)
    """

    job: str
    outcomes: dict[str, int]
    items_processed: int = 0
    items_failed: int = 0
    error: str | None = None
    extension: str | None = None
    code: str | None = None

    @property
    def ended(self) -> int:
        """How many runs ended."""
        return sum(self.outcomes.values())

    @property
    def failing(self) -> int:
        """How many of them had an outcome that somebody should look at."""
        return sum(self.outcomes.get(each, 0) for each in FAILING)


class RunsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that ended from `since` to before `until`, and what had not ended when it was asked for.

    Attributes:
        jobs: Every job of which a run ended, by name.
        slowest: The runs that took longest, slowest first.
        unfinished: The oldest runs that wait or run; `unfinished_total` counts them all.
    """

    since: datetime
    until: datetime
    jobs: tuple[JobRuns, ...] = ()
    slowest: tuple[EndedRun, ...] = ()
    unfinished: tuple[UnfinishedRun, ...] = ()
    unfinished_total: int = 0

    @property
    def outcomes(self) -> dict[str, int]:
        """How many runs of all jobs had each outcome."""
        totals: dict[str, int] = {}
        for each in self.jobs:
            for outcome, count in each.outcomes.items():
                totals[outcome] = totals.get(outcome, 0) + count
        return dict(sorted(totals.items()))

    @property
    def failing(self) -> tuple[JobRuns, ...]:
        """The jobs of which a run did not go well."""
        return tuple(each for each in self.jobs if each.failing)

    def of(self, job: str) -> JobRuns:
        """Return the runs of one job; none of it may have ended."""
        return next((each for each in self.jobs if each.job == job), JobRuns(job=job, outcomes={}))

    def provided_by(self, extension: str, code: str) -> tuple[JobRuns, ...]:
        """Return the runs of every entry for a job in code, whatever the entries call it."""
        return tuple(
            each
            for each in self.jobs
            if (each.extension, each.code) in ((extension, code), (None, None))
            and (each.code or each.job) == code
        )


class RunHistory:
    """The runs that the ledger knows. It is read, never written. A test may define its own.

    >>> import asyncio
    >>> from datetime import timedelta
    >>> from cronledger import Job, JobContext, JobResult
    >>> from cronledger.jobs.calling import call
    >>> from cronledger.testing import perform
    >>> class Report(Job):
    ...     name = "report"
    ...
    ...     async def execute(self, ctx: JobContext) -> JobResult:
    ...         until = ctx.now()
    ...         history = ctx.service(RunHistory)
    ...         runs = await call(history.between, until - timedelta(days=1), until, threads=ctx.threads)
    ...         return JobResult.success().with_message(f"{len(runs.failing)} jobs did not go well")
    >>> asyncio.run(perform(Report())).message
    '0 jobs did not go well'
    """

    def between(self, since: datetime, until: datetime) -> RunsSummary:
        """Return the runs that ended from `since` to before `until`, and those that have not ended now.

        Both are aware instants. A run that was triggered more than 31 days before `since` is not looked for.
        The call reads a database: in an async job, make it in a thread. Raises UsageError for instants
        without a zone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say where runs are: define `between`")
