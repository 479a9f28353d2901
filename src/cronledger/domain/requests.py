"""Requests for runs that applications wrote inside their own transactions, made history by the leader.

A request that was committed is a promise: it becomes exactly one run. Where the job's overlap policy would
have refused a manual run there is nobody left to be told, so the run is triggered and ended in one breath,
and history says why. The same holds for a job that nobody defines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, is_name, keyed_run, manual_run
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap, admit

SEQUENCER = e.Actor.engine("inbox")
_ID = re.compile(r"[0-9a-f]{32}")


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the inbox. `problem` says why its parameters cannot be read, if they cannot."""

    id: str
    job: JobName
    actor: str
    parameters: dict[str, Any] = {}
    key: str | None = None
    reason: str | None = None
    problem: str | None = None

    @property
    def run_id(self) -> RunId:
        """The run that this request becomes: fixed when it was written, so that it cannot become two."""
        if self.key:
            return keyed_run(self.job, self.actor, self.key)
        return manual_run(self.job, self.id)

    @property
    def can_be_named(self) -> bool:
        """Whether a run can be named after this: who may write into the database may write anything."""
        return is_name(self.job) and _ID.fullmatch(self.id) is not None


class Sequenced(msgspec.Struct, frozen=True):
    """The events of each requested run, in order, and the runs that are to make way."""

    runs: tuple[tuple[e.Event, ...], ...]
    replaced: tuple[RunId, ...] = ()


def sequence(state: JobState | None, requests: Sequence[Requested]) -> Sequenced:
    """Decide what becomes of the requests for one job, oldest first: all are triggered, some end at once."""
    definition = state.definition if state and not state.retired else None
    if state is None or definition is None:
        return Sequenced(tuple(_unknown(request) for request in requests))
    readable = [request for request in requests if request.problem is None]
    admitted = admit(definition.overlap, len(readable), in_flight=len(state.in_the_way))
    taken = [readable[index].run_id for index in admitted]
    replaces = bool(taken) and definition.overlap is Overlap.REPLACE
    in_the_way = (taken if replaces else [*state.in_the_way, *taken])[:1]
    runs: list[tuple[e.Event, ...]] = []
    for request in requests:
        triggered = _trigger(definition, request)
        if request.problem is not None:
            runs.append((triggered, _failed(triggered, "unreadable", request.problem)))
        elif request.run_id in taken:
            runs.append((triggered,))
        else:
            runs.append((triggered, _refused(triggered, *in_the_way)))
    return Sequenced(tuple(runs), state.in_the_way if replaces else ())


def _unknown(request: Requested) -> tuple[e.Event, ...]:
    triggered = _trigger(JobDefinition(name=request.job), request)
    return triggered, _failed(triggered, "unknown_job", f"no job is called '{request.job}'")


def _trigger(definition: JobDefinition, request: Requested) -> e.Event:
    return run.trigger(
        definition,
        request.run_id,
        e.Cause.MANUAL,
        e.Actor.operator(request.actor),
        parameters=request.parameters,
        reason=request.reason,
    )


def _failed(triggered: e.Event, reason: str, why: str) -> e.Event:
    body = e.RunFailed(reason=reason, error=f"{reason}: {why}")
    return msgspec.structs.replace(triggered, body=body, actor=SEQUENCER)


def _refused(triggered: e.Event, in_the_way: RunId) -> e.Event:
    body = e.RunCancelled(reason="overlap", message=f"{in_the_way} is in the way")
    return msgspec.structs.replace(triggered, body=body, actor=SEQUENCER)
