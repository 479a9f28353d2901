"""Ledgers against a list: any sequence of appends, retries and elections, on every database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cronledger.domain.events import Actor, Event, StepStarted
from cronledger.domain.ids import LEADER, JobName, Position, Stream, Term
from cronledger.errors import Fenced, LedgerDamaged
from cronledger.ledger.api import Answer, Appended, Item, Prepared, Quiet, Same, Write
from cronledger.ledger.database import Store
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from tests.conftest import opened
from tests.events import HERE, PLANNER, THERE, election

STREAMS = ["a", "b", "c"]
JOBS = ["x", "y"]
LONG = timedelta(hours=1)


class Model:
    """What a ledger is: a list."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int, str, str | None, int | None]] = []
        self.ids: dict[bytes, int] = {}
        self.term = 0
        self.leader: str | None = None
        self.has_lease = False

    def version(self, stream: str) -> int:
        return sum(1 for event in self.events if event[0] == stream)

    def latest(self, job: str) -> int:
        return max((n for n, event in enumerate(self.events, 1) if event[3] == job), default=0)

    def expect(self, prepared: Prepared) -> str:
        """Return the kind of answer, and append if it is a good one."""
        item = prepared.item
        sealed = [one for some in prepared.sealed for one in some]
        if item.fence is not None and item.fence != self.term:
            return "Same" if item.takeover and all(one.id in self.ids for one in sealed) else "Fenced"
        if item.takeover and not item.takeover.force and self.leader and self.has_lease:
            return "Led"
        if any(one.id in self.ids for one in sealed):
            return "Same"
        if self.conflicts(item):
            return "Conflict"
        self.append(prepared)
        return "Appended"

    def conflicts(self, item: Item) -> bool:
        ahead: dict[str, int] = {}
        for write in item.writes:
            version = self.version(write.stream) + ahead.get(write.stream, 0)
            if write.expected not in (None, version):
                return True
            if write.quiet_since and self.latest(write.quiet_since.job) > write.quiet_since.since:
                return True
            ahead[write.stream] = ahead.get(write.stream, 0) + len(write.events)
        return False

    def append(self, prepared: Prepared) -> None:
        item = prepared.item
        if item.takeover:
            self.term += 1
            self.leader, self.has_lease = item.takeover.leader, item.takeover.lease == LONG
        term = item.fence if item.takeover is None else self.term
        for write, sealed in zip(item.writes, prepared.sealed, strict=True):
            for one in sealed:
                version = self.version(write.stream) + 1
                self.events.append((write.stream, version, one.event.body.name, one.event.job, term))  # type: ignore[attr-defined]
                self.ids[one.id] = len(self.events)


@st.composite
def writes(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "stream": draw(st.sampled_from(STREAMS)),
        "number": draw(st.integers(0, 3)),
        "expected": draw(st.sampled_from(["right", "right", "right", "wrong", "any"])),
        "job": draw(st.none() | st.sampled_from(JOBS)),
        "quiet": draw(st.sampled_from([None, None, "since latest", "since before"])),
    }


ITEMS = st.fixed_dictionaries(
    {
        "writes": st.lists(writes(), min_size=1, max_size=3),
        "fence": st.sampled_from([None, None, "now", "old"]),
    }
)


def machine_on(store: Store) -> type[RuleBasedStateMachine]:
    """Return the machine for one store, which every run empties first."""

    class LedgerMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            empty(store)
            self.ledger = store.ledger
            self.model = Model()
            self.past: list[Prepared] = []
            self.read = 0

        @rule(asked=st.lists(ITEMS, min_size=1, max_size=4), again=st.lists(st.integers(0, 50), max_size=2))
        def append_a_batch(self, asked: list[dict[str, Any]], again: list[int]) -> None:
            batch = [self.prepared(each) for each in asked]
            batch += [self.past[-1 - n] for n in again if n < len(self.past)]
            self.submit(batch)

        @rule(
            force=st.booleans(), leader=st.sampled_from([HERE, THERE]), short=st.booleans(), old=st.booleans()
        )
        def take_over(self, *, force: bool, leader: Any, short: bool, old: bool) -> None:
            fence = self.model.term - (1 if old and self.model.term else 0)
            item = election(
                fence=fence,
                expected=self.model.version(LEADER),
                leader=leader,
                force=force,
                lease=timedelta(microseconds=1) if short else LONG,
            )
            event = Event(body=StepStarted(name="elected"), actor=Actor.engine("leader"))
            write = msgspec.structs.replace(item.writes[0], events=(event,))
            self.submit([self.ledger.prepare(msgspec.structs.replace(item, writes=(write,)))])

        @rule(zero=st.booleans(), old=st.booleans())
        def renew(self, *, zero: bool, old: bool) -> None:
            term = self.model.term - (1 if old else 0)
            if old:
                with pytest.raises(Fenced):
                    self.ledger.renew(Term(term), LONG)
                return
            renewed = self.ledger.renew(Term(term), timedelta(0) if zero else LONG)
            self.model.has_lease = not zero
            assert zero == (renewed.lease_until is None)

        @rule(n=st.integers(0, 50))
        def use_an_id_for_another_event(self, n: int) -> None:
            used = [each for each in self.past if each.sealed[0] and each.sealed[0][0].id in self.model.ids]
            if not used:
                return
            fresh = self.ledger.prepare(Item((Write(Stream("d"), (step("d"),), None),)))
            stolen = msgspec.structs.replace(fresh.sealed[0][0], id=used[n % len(used)].sealed[0][0].id)
            with pytest.raises(LedgerDamaged):
                self.ledger.submit([fresh, Prepared(fresh.item, ((stolen,),))])

        @rule(stream=st.sampled_from(STREAMS), after=st.integers(0, 5))
        def read_a_stream(self, stream: str, after: int) -> None:
            wanted = [event[1:] for event in self.model.events if event[0] == stream and event[1] > after]
            found = self.ledger.read_stream(Stream(stream), after)
            assert wanted == [(e.version, e.body.name, e.job, e.term) for e in found]  # type: ignore[attr-defined]

        @invariant()
        def the_ledger_is_the_list(self) -> None:
            found = self.ledger.read_all(Position(self.read), 1000)
            wanted = self.model.events[self.read :]
            assert wanted == [(e.stream, e.version, e.body.name, e.job, e.term) for e in found]  # type: ignore[attr-defined]
            assert list(range(self.read + 1, len(self.model.events) + 1)) == [e.position for e in found]
            assert [e.recorded_at for e in found] == sorted(e.recorded_at for e in found)
            self.read = len(self.model.events)

        @invariant()
        def the_head_is_as_expected(self) -> None:
            head = self.ledger.head()
            assert (len(self.model.events), self.model.term, self.model.leader) == (
                head.position, head.term, head.leader,
            )  # fmt: skip

        def prepared(self, asked: dict[str, Any]) -> Prepared:
            fence = {None: None, "now": self.model.term, "old": self.model.term - 1}[asked["fence"]]
            item = Item(
                tuple(self.write(each) for each in asked["writes"]), None if fence is None else Term(fence)
            )
            prepared = self.ledger.prepare(item)
            if any(prepared.sealed):
                self.past.append(prepared)
            return prepared

        def write(self, asked: dict[str, Any]) -> Write:
            version = self.model.version(asked["stream"])
            expected = {"right": version, "wrong": version + 1, "any": None}[asked["expected"]]
            quiet = None
            if asked["quiet"] and asked["job"]:
                latest = self.model.latest(asked["job"])
                since = latest if asked["quiet"] == "since latest" else latest - 1
                quiet = Quiet(JobName(asked["job"]), Position(since))
            events = tuple(step(f"{n}", asked["job"]) for n in range(asked["number"]))
            return Write(Stream(asked["stream"]), events, expected, quiet)

        def submit(self, batch: list[Prepared]) -> None:
            before = len(self.model.events)
            expected = [self.model.expect(prepared) for prepared in batch]
            answers = self.ledger.submit(batch)
            assert expected == [type(answer).__name__ for answer in answers]
            for prepared, answer in zip(batch, answers, strict=True):
                before = self.check_places(prepared, answer, before)

        def check_places(self, prepared: Prepared, answer: Answer, before: int) -> int:
            ids = [one.id for sealed in prepared.sealed for one in sealed]
            if isinstance(answer, Same):
                places = [self.model.ids[each] for each in ids]
                assert (min(places), max(places)) == (answer.first, answer.last)
            if not isinstance(answer, Appended):
                return before
            expected = (before + 1, before + len(ids)) if ids else (0, 0)
            assert expected == (answer.first, answer.last)
            return before + len(ids)

    return LedgerMachine


def step(name: str, job: str | None = None) -> Event:
    return Event(body=StepStarted(name=name), actor=PLANNER, job=None if job is None else JobName(job))


def unlock(store: Store) -> None:
    """Let the tables be emptied."""
    if store.kind == "memory":
        return
    with store.writing() as connection:
        for table in ("event", "event_body"):
            if store.kind == "sqlite":
                connection.exec_driver_sql(f"DROP TRIGGER {table}_DELETE")
            else:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER immutable")


def empty(store: Store) -> None:
    """Make the ledger as good as new."""
    if isinstance(store.ledger, MemoryLedger):
        store.ledger.log = MemoryLog()
        return
    with store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM event")
        connection.exec_driver_sql("DELETE FROM event_body")
        connection.exec_driver_sql(
            "UPDATE head SET position = 0, recorded_at = 0, term = 0, leader = NULL, lease_until = NULL"
        )


def test_a_ledger_is_a_list(ledger_url: str) -> None:
    store = opened(ledger_url)
    unlock(store)
    quick = settings(
        max_examples=max(10, settings().max_examples // 3),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine_on(store), settings=quick)
    store.close()
