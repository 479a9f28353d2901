"""Retrying: a run that has ended is repeated by a new one, which takes over the steps it has finished."""

from __future__ import annotations

from collections.abc import Sequence

from cronledger.config.resolve import Resolution
from cronledger.domain import steps
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import Recorded
from cronledger.domain.ids import JobName, RunId, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.errors import NotFound, Refusal, UnknownJob
from cronledger.ledger.database import Store
from cronledger.manual import (
    ENDS_ONCE_UP,
    NOBODY_PROVIDES_IT,
    Request,
    is_left_behind,
    provided_by_the_living,
)
from cronledger.projections import job_status
from cronledger.projections.replay import current


def request(
    store: Store,
    resolution: Resolution,
    state: RunState,
    *,
    actor: str,
    reason: str | None = None,
    from_step: str | None = None,
) -> Request:
    """Ask for a run to be repeated with its fire time and parameters, by the job's definition of today.

    Raises Refusal for a run that has not ended, NotFound with the names there are for an unknown step, and
    UnknownJob if neither a living instance nor this process provides the job.
    """
    if state.phase is not Phase.ENDED:
        said = f"run '{state.run_id}' has not ended: it is {state.phase}"
        if is_left_behind(store, state):
            raise Refusal(f"{said}, and its process is gone", hint=ENDS_ONCE_UP)
        raise Refusal(said, hint=f"stop it first: cronledger runs cancel {state.run_id}")
    if from_step is not None:
        _require_step(store, state.run_id, from_step)
    definition = _definition(store, resolution, state.job)
    return Request(definition, state.parameters, actor, reason, of=state, from_step=from_step)


def _definition(store: Store, resolution: Resolution, job: JobName) -> JobDefinition:
    for here in resolution.every:
        if here.name == job:
            return here
    with current(store) as views, views.reading() as connection:
        known = job_status.one(connection, job)
    if known is None or known.definition is None or job not in provided_by_the_living(store):
        raise UnknownJob(job, hint=NOBODY_PROVIDES_IT)
    return known.definition


def _require_step(store: Store, run_id: RunId, name: str) -> None:
    streams: list[Sequence[Recorded]] = []
    source: RunId | None = run_id
    while source is not None:
        streams.insert(0, store.ledger.read_stream(run_stream(source)))
        source = steps.repeated_by(streams[0])
    known = steps.recall(streams)
    if name not in known:
        hint = f"its steps are: {', '.join(known)}" if known else "it has no steps"
        raise NotFound(f"run '{run_id}' has no step '{name}'", hint=hint)
