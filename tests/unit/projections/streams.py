"""Ledgers full of events, sensible and not, for the tests of the views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from cronledger.domain import events as e
from cronledger.domain import job, run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import (
    LEADER,
    InstanceId,
    JobName,
    Position,
    RunId,
    Stream,
    Term,
    job_stream,
    run_stream,
    scheduled_run,
)
from cronledger.domain.retry import Retry, RetryOn
from cronledger.entropy import SeededEntropy
from cronledger.ledger.api import Item, Ledger, Takeover, Write
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.schema import LOG_LINE
from cronledger.projections.tables import METADATA

HERE = InstanceId("here.1.aaaaaaaaaaaa")
START = datetime(2026, 1, 1, tzinfo=UTC)
JOBS = (JobName("tidy"), JobName("sweep"))
RUNS = tuple(scheduled_run(name, START + timedelta(hours=hour)) for name in JOBS for hour in (1, 2))
ENGINE = e.Actor.engine("planner")
ANN = e.Actor.operator("ann")
_numbers = count(1)


class Ticking:
    """A clock that moves one second whenever it is asked."""

    def __init__(self) -> None:
        self._seconds = count()

    def now(self) -> datetime:
        return START + timedelta(days=365, seconds=next(self._seconds))

    def monotonic(self) -> float:
        return 0.0

    def boottime(self) -> float:
        return 0.0


def opened(url: str) -> Store:
    """Open a store whose clock ticks."""
    return open_store(url, instance=HERE, clock=Ticking(), entropy=SeededEntropy(next(_numbers)), create=True)


@contextmanager
def memory_store() -> Iterator[Store]:
    """Give a fresh ledger in memory that has the tables of the views and of the log."""
    store = opened(f"memory://views-{next(_numbers)}")
    with store.writing() as connection:
        METADATA.create_all(connection)
        LOG_LINE.create(connection)
    yield store
    store.close()


# --- one thing after the other --------------------------------------------------------------------------


def say(ledger: Ledger, body: e.Body, *, stream: str, actor: e.Actor = ENGINE, **header: Any) -> None:
    """Append one event, at whatever version."""
    ledger.append(Write(Stream(stream), (e.Event(body=body, actor=actor, **header),), None))


def define(ledger: Ledger, name: JobName = JOBS[0], **fields: Any) -> JobDefinition:
    """Register a job, or redefine it."""
    definition = JobDefinition(name=name, **fields)
    say(ledger, e.JobRegistered(definition=definition, revision="r1"), stream=job_stream(name), job=name)
    return definition


def trigger(
    ledger: Ledger,
    hour: int = 1,
    *,
    name: JobName = JOBS[0],
    cause: e.Cause = e.Cause.SCHEDULE,
    **body: Any,
) -> RunId:
    """Trigger the run of an hour."""
    fire_at = START + timedelta(hours=hour)
    run_id = scheduled_run(name, fire_at)
    event = e.Event(
        body=e.RunTriggered(**body), actor=ENGINE, job=name, run_id=run_id, fire_at=fire_at, cause=cause
    )
    ledger.append(Write(run_stream(run_id), (event,), None))
    return run_id


def about(ledger: Ledger, run_id: RunId, *bodies: e.Body, attempt: int = 1) -> None:
    """Say things about a run, one after the other."""
    for body in bodies:
        name = JobName(run_id.partition("@")[0])
        say(ledger, body, stream=run_stream(run_id), job=name, run_id=run_id, attempt=attempt)


def perform(ledger: Ledger, hour: int, body: e.Body, **trigger_fields: Any) -> RunId:
    """Trigger a run, start it and end it."""
    run_id = trigger(ledger, hour, **trigger_fields)
    about(ledger, run_id, e.RunStarted(), body)
    return run_id


def elect(ledger: Ledger, build: str = "1.0") -> Term:
    """Begin the next term."""
    term = ledger.head().term
    event = e.Event(body=e.LeaderElected(epoch=1, why="vacant", build=build), actor=e.Actor.engine("leader"))
    item = Item((Write(LEADER, (event,), None),), term, Takeover(HERE, timedelta(hours=1), 1, force=True))
    ledger.submit([ledger.prepare(item)])
    return Term(term + 1)


def resign(ledger: Ledger, term: Term) -> None:
    """End a term before the next one begins."""
    event = e.Event(body=e.LeaderResigned(reason="drain"), actor=e.Actor.engine("leader"))
    ledger.append(Write(LEADER, (event,), None), fence=term)


def everything(ledger: Ledger) -> list[e.Recorded]:
    """Return all events."""
    return ledger.read_all(Position(0), 100_000)


# --- what an engine would say ---------------------------------------------------------------------------


class Engine:
    """Decides by the rules of the domain, at the word of a test."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.jobs: dict[JobName, job.JobState] = {}
        self.runs: dict[RunId, run.RunState] = {}
        self.read = Position(0)
        self.definitions = {
            name: JobDefinition(
                name=name,
                schedule="0 0 * * * *",
                idempotent=name == "tidy",
                retry=Retry(max_attempts=2, jitter=False),
            )
            for name in JOBS
        }
        for name in JOBS:
            self._append(job.define(None, self.definitions[name], "r1"), job_stream(name))

    def move(self, verb: str, run_id: RunId) -> None:
        """Do one thing with a run or its job, if it makes sense."""
        name = JobName(run_id.partition("@")[0])
        state, known = self.jobs[name], self.runs.get(run_id)
        match verb:
            case "trigger" if known is None:
                fire_at = START + timedelta(hours=int(run_id[-7:-5]))
                event = run.trigger(self.definitions[name], run_id, e.Cause.SCHEDULE, ENGINE, fire_at=fire_at)
                self._append([event], run_stream(run_id))
            case "skip":
                skipped = e.FireTimesSkipped(first_at=START, last_at=START, count=1, reason="overlap")
                self._append([e.Event(body=skipped, actor=ENGINE, job=name)], job_stream(name))
            case "pause":
                self._append([e.Event(body=e.JobPaused(), actor=ANN, job=name)], job_stream(name))
            case "resume":
                self._append([e.Event(body=e.JobResumed(), actor=ANN, job=name)], job_stream(name))
            case "disable":
                self._append(job.disable(state, ANN, "noise"), job_stream(name))
            case "reset":
                self._append(job.reset(state, ANN, None), job_stream(name))
            case "elect":
                elect(self.ledger)
            case _ if known is not None:
                self._append(self._said(verb, known), run_stream(run_id))
            case _:
                return

    def _said(self, verb: str, known: run.RunState) -> list[e.Event]:
        definition = self.definitions[known.job]
        match verb:
            case "start":
                return run.start(known)
            case "succeed":
                return run.finish(known, run.Ended(outcome=run.Outcome.SUCCEEDED, message="ok"), definition)
            case "fail":
                ended = run.Ended(outcome=run.Outcome.FAILED, retry_on=RetryOn.ERROR, error="boom")
                return run.finish(known, ended, definition)
            case "lose":
                return run.lose(known, definition, ENGINE, now=known.triggered_at)
            case "cancel":
                return run.request_cancel(known, ANN, None)
            case "step":
                return [
                    run.about(known, e.StepStarted(name="build"), ENGINE),
                    run.about(known, e.StepSucceeded(name="build", result={"pages": 3}), ENGINE),
                ]
            case _:
                return []

    def _append(self, said: list[e.Event], stream: Stream) -> None:
        if said:
            self.ledger.append(Write(stream, tuple(said), None))
        for recorded in self.ledger.read_all(self.read, 1000):
            self.read = recorded.position
            if recorded.job is not None:
                folded = job.evolve(self.jobs.get(recorded.job), recorded)
                assert folded is not None
                self.jobs[recorded.job] = folded
            if recorded.run_id is not None:
                known = run.evolve(self.runs.get(recorded.run_id), recorded)
                assert known is not None
                self.runs[recorded.run_id] = known


VERBS = (
    "trigger", "trigger", "start", "start", "succeed", "fail", "lose", "cancel", "step",
    "skip", "pause", "resume", "disable", "reset", "elect",
)  # fmt: skip
moves = st.lists(st.tuples(st.sampled_from(VERBS), st.sampled_from(RUNS)), max_size=40)


# --- what nobody would say ------------------------------------------------------------------------------

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_instants = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _value(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.EnumType(cls=enum):
            return st.sampled_from(list(enum))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_value, types))
        case inspect.VarTupleType(item_type=item):
            return st.lists(_value(item), max_size=3).map(tuple)
        case inspect.StructType(cls=struct):
            return structs(struct)
        case _:
            return _PLAIN.get(type(kind), _json)


_PLAIN: dict[type[inspect.Type], st.SearchStrategy[Any]] = {
    inspect.StrType: st.text(max_size=12),
    inspect.IntType: st.integers(-(2**40), 2**40),
    inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
    inspect.DateTimeType: _instants,
    inspect.DictType: st.dictionaries(st.text(max_size=5), _json, max_size=3),
}


def structs(struct: Any) -> st.SearchStrategy[Any]:
    """Draw a struct with anything in its fields that its annotations allow."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    fields = {field.name: _value(field.type) for field in described.fields}
    if struct is JobDefinition:
        fields["schedule"] = st.sampled_from(["", "0 0 * * * *", "*/7 * * * * *", "no schedule at all"])
        fields["timezone"] = st.sampled_from(["UTC", "Europe/Berlin", "Nowhere/Land"])
    if "zones" in fields:
        turns = st.lists(st.tuples(st.integers(0, 2**40), st.integers(-86_400, 86_400)), max_size=3).map(
            tuple
        )
        fields["zones"] = st.dictionaries(st.text(max_size=5), turns, max_size=3)
    return st.builds(struct, **fields)


bodies = st.sampled_from(list(e.BODIES.values())).flatmap(structs)

nonsense = st.lists(
    st.tuples(
        st.sampled_from([*map(run_stream, RUNS), *map(job_stream, JOBS), LEADER, Stream("run-")]),
        st.builds(
            e.Event,
            body=bodies,
            actor=st.sampled_from([ENGINE, ANN]),
            job=st.sampled_from([None, *JOBS]),
            attempt=st.none() | st.integers(-1, 4),
            fire_at=st.none() | st.sampled_from([START, START + timedelta(hours=1)]),
            cause=st.none() | st.sampled_from(list(e.Cause)),
        ),
    ),
    max_size=30,
)


def told(ledger: Ledger, said: list[tuple[Stream, e.Event]]) -> None:
    """Append events that make no sense, in the order given."""
    for stream, event in said:
        ledger.append(Write(stream, (event,), None))
