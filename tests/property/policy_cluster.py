"""A few instances of the real engine parts on one ledger in memory, driven one call at a time.

Planner, dispatcher, recovery, inbox and the executor's last word are the engine's own; the loop that calls
them in turn is not there. So an instance may act on what it knew long ago (`look=False`), which in the loop
is a matter of microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec

from cronledger import migrations
from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import (
    InstanceId,
    JobName,
    Position,
    RunId,
    Term,
    instance_id,
    job_stream,
    run_stream,
)
from cronledger.domain.requests import Requested
from cronledger.domain.run import Ended, Outcome, RunState
from cronledger.engine import claims
from cronledger.engine.attempt import Attempt
from cronledger.engine.board import Board
from cronledger.engine.dispatcher import Dispatcher
from cronledger.engine.executor import Executor, Provision
from cronledger.engine.inbox import Inbox
from cronledger.engine.planner import Planner
from cronledger.engine.recovery import Recovery
from cronledger.engine.world import Instance
from cronledger.entropy import SeededEntropy
from cronledger.errors import Fenced
from cronledger.jobs.decorator import job
from cronledger.ledger.api import Answer, Appended, Item, Same, Write
from cronledger.ledger.codec import exported
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.memory import MemoryLedger
from cronledger.testing import ManualClock
from tests.checker import Line
from tests.events import HERE, NOON, election
from tests.simulation.cluster import Folded
from tests.simulation.world import SimulatedNotes

ROOM = 50
_places = count(1)


@job
async def anything() -> None:
    """Never called: the machine says how attempts come out."""


class SettableClock(ManualClock):
    """A clock that somebody may also set; what it has ticked stays ticked."""

    def set_back(self, seconds: float) -> None:
        self._now -= timedelta(seconds=seconds)


class Node:
    """One instance: the engine's parts, and the world that they see."""

    build = "1"

    def __init__(self, cluster: PolicyCluster, number: int) -> None:
        self._cluster = cluster
        self.clock, self.entropy = cluster.clock, cluster.entropy
        self.instance = instance_id(f"node{number}", number, f"{number:012x}")
        self.ledger = MemoryLedger(self.instance, cluster.clock, cluster.entropy, cluster.ledger.log)
        self.notes = SimulatedNotes()
        self.term: Term | None = None
        self.is_dead = False
        self.provides = True
        self._has_looked = False
        self.board = Board()
        self.attempts: list[Attempt] = []
        self._planner = Planner(self, self.board)  # type: ignore[arg-type] # as much of a World as they use
        self._inbox = Inbox(self, self.board)  # type: ignore[arg-type]
        self._recovery = Recovery(self, self.board)  # type: ignore[arg-type]
        provision = Provision(find=lambda _extension, _name: anything)
        self.executor = Executor(self, provision, max_runs=ROOM, definition_of=self.definition_of)  # type: ignore[arg-type]
        self._dispatcher = Dispatcher(
            self,  # type: ignore[arg-type]
            self.board,
            provides=lambda _definition: self.provides,
            room=lambda: ROOM - len(self.attempts),
            definition_of=self.definition_of,
        )

    def definition_of(self, name: JobName) -> JobDefinition | None:
        state = self.board.jobs.get(name)
        return state.definition if state else None

    # --- what the loop does -----------------------------------------------------------------------------

    async def look(self) -> None:
        self._has_looked = True
        await self.board.follow(self)  # type: ignore[arg-type]

    async def elect(self) -> None:
        """Begin a term, as whoever holds the lock may."""
        head = self.ledger.head()
        version = len(self.ledger.log.streams.get("leader", ()))
        item = election(fence=head.term, expected=version, leader=self.instance, force=True)
        await self.append(item)
        self.term = Term(head.term + 1)
        await self.look()
        self.board.changed.update(self.board.jobs)

    async def tick(self, *, look: bool) -> None:
        """Make one pass of the loop, on what is known now or was known at the last look.

        Nobody decides twice on one look: the loop looks before each pass, so it knows its own decisions.
        """
        if look or not self._has_looked:
            await self.look()
        self._has_looked = False
        now = self.now()
        try:
            if self.term is not None:
                may_claim = self._dispatcher.may_claim
                await self._planner.tick(now, self.term, may_claim=may_claim, claimed=self._triggered)
                if self._cluster.inbox:
                    await self._inbox.tick(self.term)
                await self._recovery.tick(now, self.term)
        except Fenced:
            self.term = None
        await self._dispatcher.tick(now, self._claimed)

    async def tell(self, attempt: Attempt, ended: Ended) -> None:
        """Say how an attempt came out; whoever fell silent may still speak."""
        definition = self.definition_of(attempt.run.job) or JobDefinition(name=attempt.run.job)
        if attempt in self.attempts:
            self.attempts.remove(attempt)
        await self.executor._tell(attempt, ended, definition)

    async def obey(self) -> None:
        """Stop the runs that somebody asked to stop."""
        await self.look()
        for attempt in list(self.attempts):
            state = self.board.runs.get(attempt.run.run_id)
            if state is not None and state.cancel_requested:
                attempt.cancel()
                await self.tell(attempt, Ended(outcome=Outcome.CANCELLED))

    async def interrupt(self, attempt: Attempt) -> None:
        """Hand a run back, as at a shutdown."""
        attempt.is_draining = True
        await self.tell(attempt, Ended(outcome=Outcome.CANCELLED))

    def _triggered(self, event: e.Event, position: Position, recorded_at: datetime) -> None:
        state = claims.triggered(event, position, recorded_at, self.instance)
        self._begin(state, Position(position + 1))

    def _claimed(self, state: RunState, answer: Appended | Same) -> None:
        self.board.waiting.pop(state.run_id, None)
        self._begin(claims.claimed(state, answer, self.instance), answer.last)

    def _begin(self, state: RunState, fence: Position) -> None:
        self.attempts.append(Attempt(self, state, fence))  # type: ignore[arg-type]

    # --- the world --------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.clock.now()

    async def append(self, item: Item) -> Appended | Same:
        (answer,) = await self.submit([item])
        if isinstance(answer, Appended | Same):
            return answer
        raise answer

    def submit(self, items: Sequence[Item]) -> asyncio.Future[list[Answer]]:
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        future.set_result(self.ledger.submit([self.ledger.prepare(item) for item in items]))
        return future

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        return self.ledger.read_all(position, limit)

    async def stream_of(self, run_id: RunId) -> list[e.Recorded]:
        return self.ledger.read_stream(run_stream(run_id))

    async def known_runs(self, run_ids: Iterable[RunId]) -> dict[RunId, RunState]:
        known = self._cluster.folded().runs
        return {run_id: known[run_id] for run_id in run_ids if run_id in known}

    async def requests(self, limit: int) -> list[Requested]:
        return self._cluster.inbox[:limit]

    async def remove_requests(self, ids: Sequence[str]) -> None:
        self._cluster.inbox[:] = [each for each in self._cluster.inbox if each.id not in ids]

    async def instances(self) -> list[Instance]:
        return [
            Instance(
                id=node.instance, kind="service", epoch=1, jobs=frozenset(), config_revision="r",
                is_dead=node.is_dead,
            )
            for node in self._cluster.nodes
        ]  # fmt: skip

    async def forget(self, instances: Sequence[InstanceId]) -> None:
        """Nobody is forgotten here."""


class PolicyCluster:
    """A ledger with its views, a clock, an inbox, and the instances: the living ones and the silent."""

    def __init__(self, living: int = 2, start: datetime = NOON) -> None:
        self.clock = SettableClock(start)
        self.entropy = SeededEntropy(1)
        url = f"memory://policies-{next(_places)}"
        self.store: Store = open_store(url, instance=HERE, clock=self.clock, entropy=self.entropy)
        migrations.upgrade(self.store)
        assert isinstance(self.store.ledger, MemoryLedger)
        self.ledger = self.store.ledger
        self.inbox: list[Requested] = []
        self.nodes: list[Node] = []
        self._folded = Folded()
        self._lines: list[Line] = []
        self._runner = asyncio.Runner()
        for _ in range(living):
            self.join()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an instance do something, to its end."""
        self._runner.run(work)

    def join(self) -> None:
        self.nodes.append(Node(self, len(self.nodes) + 1))

    def living(self) -> list[Node]:
        return [node for node in self.nodes if not node.is_dead]

    def kill(self, node: Node) -> None:
        """Let an instance fall silent, and another one come."""
        node.is_dead, node.term = True, None
        self.join()

    def append_about(self, name: JobName, events: Sequence[e.Event]) -> None:
        """Append an operator's decision about a job as it stands."""
        if events:
            state = self.folded().jobs.get(name)
            self.ledger.append(Write(job_stream(name), tuple(events), expected=state.version if state else 0))

    def folded(self) -> Folded:
        """Return the state as it was folded, event by event, while it happened."""
        for event in self.ledger.read_all(Position(self._folded.position), 10**6):
            self._folded.fold(event)
        return self._folded

    def unfinished(self) -> dict[RunId, RunState]:
        return {i: state for i, state in self.folded().runs.items() if state.phase is not run.Phase.ENDED}

    def lines(self) -> list[Line]:
        """Return the ledger as `ledger export` prints it."""
        for stored in self.ledger.read_stored(Position(len(self._lines)), 10**6):
            self._lines.append(msgspec.json.decode(exported(stored)))
        return self._lines

    def settle(self) -> None:
        """Let time pass until every run has ended: nothing goes wrong any more, and nothing new is due."""
        leader = self.living()[0]
        self.do(leader.elect())
        for _ in range(100):
            for node in self.living():
                self.do(node.tick(look=True))
                self.do(node.obey())
                for attempt in list(node.attempts):
                    self.do(node.tell(attempt, Ended(outcome=Outcome.SUCCEEDED)))
            if not self.unfinished() and not self.inbox:
                return
            self.clock.advance(60)

    def close(self) -> None:
        self._runner.close()
        self.store.close()
