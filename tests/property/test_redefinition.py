"""Fault 64: whatever the order of changes, pauses and late decisions, each fire time is decided once.

Pure: the verbs and the fold of a job, with a planner that looks when it likes. The judge counts what was due
by croniter.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cronledger.clock import SystemClock
from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, JobName, Position, job_stream, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap
from cronledger.entropy import SeededEntropy
from cronledger.ledger.api import Write
from cronledger.ledger.codec import exported
from cronledger.ledger.memory import MemoryLedger
from tests.redefinitions import fired_while_paused, misdecided

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANN = e.Actor.operator("ann")
QUICK = JobDefinition(name=JobName("quick"), schedule="* * * * * *")
SCHEDULES = st.sampled_from(["* * * * * *", "*/2 * * * * *", "1/3 * * * * *", "30 * * * * *", ""])
PAUSES = st.sampled_from([0, 1, 50_000, 100_000, 400_000, 900_000, 999_999, 1_000_000, 3_000_001, 61_000_000])


class Clock(SystemClock):
    """The ledger's clock, set by hand."""

    at = NOON

    def now(self) -> datetime:
        return self.at


ACTS = st.one_of(
    st.builds(
        lambda **fields: ("define", fields),
        schedule=SCHEDULES,
        catch_up=st.sampled_from(CatchUp),
        overlap=st.sampled_from([Overlap.ALLOW, Overlap.SKIP]),
        enabled=st.booleans(),
    ),
    st.sampled_from(
        [
            ("disable", {}),
            ("enable", {}),
            ("reset", {}),
            ("retire", {}),
            ("pause", {}),
            ("resume", {"late": 0}),
            ("resume", {"late": 1_500_000}),
            ("plan", {}),
            ("plan", {}),
        ]
    ),
)


@given(st.lists(st.tuples(PAUSES, ACTS), max_size=30))
def test_each_fire_time_is_decided_once_by_the_rule_that_held_then(
    acts: list[tuple[int, tuple[str, dict[str, Any]]]],
) -> None:
    clock = Clock()
    ledger = MemoryLedger(InstanceId("here.1.aa"), clock, SeededEntropy(1))
    state: JobState | None = None
    last: list[tuple[int, tuple[str, dict[str, Any]]]] = [
        (1, ("resume", {"late": 0})),
        (2_000_000, ("plan", {})),
    ]
    for micros, (act, fields) in [(0, ("define", {})), *acts, *last]:
        clock.at += timedelta(microseconds=micros)
        before = ledger.head().position
        for write in _writes(state, act, fields, clock.at):
            ledger.append(write)
        for recorded in ledger.read_all(before, 10**6):
            state = job.evolve(state, recorded)
    lines = [msgspec.json.decode(exported(stored)) for stored in ledger.read_stored(Position(0), 10**6)]

    assert [] == misdecided(lines)
    assert [] == fired_while_paused(lines)


def _writes(state: JobState | None, act: str, fields: dict[str, Any], now: datetime) -> list[Write]:
    if act == "define":
        definition = msgspec.structs.replace(QUICK, **fields)
        return _decided(state, job.define(state, definition, "r"))
    assert state is not None
    match act:
        case "plan":
            decision = job.due(state, now)
            fired = [Write(run_stream(each.run_id), (each,)) for each in decision.triggers if each.run_id]
            return _decided(state, list(decision.skips)) + fired
        case "retire":
            return _decided(state, job.retire(state, "r"))
        case "resume":
            looked_at = now - timedelta(microseconds=fields["late"])
            return _decided(state, job.resume(state, ANN, None, now=looked_at))
        case _:
            return _decided(state, getattr(job, act)(state, ANN, None))


def _decided(state: JobState | None, events: list[e.Event]) -> list[Write]:
    version = state.version if state else 0
    return [Write(job_stream(QUICK.name), tuple(events), expected=version)] if events else []
