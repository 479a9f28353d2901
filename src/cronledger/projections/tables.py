"""The tables of the views: their columns are the fields of what is folded.

An index stands here only for a question that is asked: the runs of a job and of all jobs, newest first; the
runs that have not ended; those of one outcome, newest first; the steps of a run (by its key).
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Index, MetaData, literal_column

from cronledger.domain.ids import Position
from cronledger.domain.job import JobState
from cronledger.domain.leadership import TermState
from cronledger.domain.run import Phase, RunState
from cronledger.projections.rows import Rows
from cronledger.projections.step_state import StepRow

METADATA = MetaData()


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How far a projection has come, and by which version of its rules; nowhere, until it has begun."""

    projection: str
    position: Position = Position(0)
    version: int = 0


class UnrecognizedType(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Events of one type that this version does not know and has folded past."""

    type: str
    events: int
    first_position: Position
    last_position: Position


JOB_STATUS = Rows(JobState, "job_status", METADATA, key=("name",))
RUN_HISTORY = Rows(RunState, "run_history", METADATA, key=("run_id",))
STEP_HISTORY = Rows(StepRow, "step_history", METADATA, key=("run_id", "attempt", "name"))
LEADERSHIP = Rows(TermState, "leadership", METADATA, key=("term",))
UNRECOGNIZED = Rows(UnrecognizedType, "unrecognized", METADATA, key=("type",))
CHECKPOINT = Rows(Checkpoint, "checkpoint", METADATA, key=("projection",))

_run = RUN_HISTORY.table.c

UNFINISHED = _run.phase != literal_column(f"'{Phase.ENDED}'")
"""Of the runs that wait or run; a literal, so that the index below can answer it."""

Index("run_history_of_all", _run.position)
Index("run_history_of_job", _run.job, _run.position)
Index("run_history_of_outcome", _run.outcome, _run.position)
Index("run_history_unfinished", _run.position, sqlite_where=UNFINISHED, postgresql_where=UNFINISHED)
