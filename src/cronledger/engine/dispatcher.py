"""Claiming: every instance takes waiting runs whose job it provides, as many as it has room for.

The claim is the append of `run.started` at the run's expected version: of several instances one wins, and
the losers go on with the next run. What a claim counted must not have changed meanwhile: the job's other runs
under `max_concurrent`, and those of all jobs of a queue that has a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, RunId, is_backfill, job_stream, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap, may_start
from cronledger.domain.run import RunState
from cronledger.engine.board import Board
from cronledger.engine.world import World
from cronledger.ledger.api import Appended, Item, Quiet, Same, Write

CLAIMS_AT_ONCE = 250


class Dispatcher:
    """Decides which waiting runs this instance claims."""

    def __init__(
        self,
        world: World,
        board: Board,
        *,
        provides: Callable[[JobDefinition], bool],
        room: Callable[[], int],
        definition_of: Callable[[JobName], JobDefinition | None],
        only: frozenset[RunId] | None = None,
    ) -> None:
        self._world = world
        self._board = board
        self._provides = provides
        self._room = room
        self._definition_of = definition_of
        self._only = only

    def may_claim(self, state: JobState, taken: int) -> bool:
        """Whether a run of the job that is about to be triggered could be performed here at once.

        Where there might not be room for those that wait as well, they are claimed together, by priority.
        """
        definition = state.definition
        return (
            definition is not None
            and self._only is None
            and self._room() > taken + len(self._board.waiting)
            and self._provides(definition)
            and definition.queue_limit is None
            and not state.in_flight
        )

    def next_claim(self, now: datetime) -> datetime | None:
        """Return when the next waiting run may be claimed, if that is still to come."""
        times = [state.claim_from for state in self._board.waiting.values() if state.claim_from]
        return min((instant for instant in times if instant > now), default=None)

    async def tick(self, now: datetime, perform: Callable[[RunState, Appended | Same], None]) -> bool:
        """Claim what can be claimed and hand it over; return whether to look again at once."""
        room = min(self._room(), CLAIMS_AT_ONCE)
        again = False
        claimable = self._claimable(now)
        chosen = self._one_per_queue(claimable)[: max(0, room)]
        if chosen:
            answers = await self._world.submit([self._claim(state) for state in chosen])
            for state, answer in zip(chosen, answers, strict=True):
                if isinstance(answer, Appended | Same):
                    perform(state, answer)
                else:
                    again = True
        return again or (len(claimable) > len(chosen) and self._room() > 0)

    def _claimable(self, now: datetime) -> Sequence[RunState]:
        running: dict[JobName, int] = {}
        busy: dict[str, int] = {}
        claimable = []
        for state in sorted(self._board.waiting.values(), key=self._order):
            definition = self._definition_of(state.job)
            if definition is None or not self._is_for_us(state, now) or not self._provides(definition):
                continue
            count = running.setdefault(state.job, len(self._board.jobs[state.job].running))
            if not may_start(definition.overlap, running=count, max_concurrent=definition.max_concurrent):
                continue
            if definition.queue_limit is not None:
                queue = definition.queue
                in_queue = busy[queue] if queue in busy else self._busy(queue)
                if in_queue >= definition.queue_limit:
                    continue
                busy[queue] = in_queue + 1
            running[state.job] = count + 1
            claimable.append(state)
        return claimable

    def _one_per_queue(self, claimable: Sequence[RunState]) -> Sequence[RunState]:
        """Leave out what could only conflict with an earlier claim in the same queue; it is claimed next."""
        chosen, queues = [], set()
        for state in claimable:
            definition = self._definition_of(state.job)
            if definition is not None and definition.queue_limit is not None:
                if definition.queue in queues:
                    continue
                queues.add(definition.queue)
            chosen.append(state)
        return chosen

    def _busy(self, queue: str) -> int:
        return sum(len(state.running) for state in self._in_queue(queue))

    def _in_queue(self, queue: str) -> Iterator[JobState]:
        """Yield the jobs of a queue, also those that are retired: their runs may go on."""
        for state in self._board.jobs.values():
            if state.definition is not None and state.definition.queue == queue:
                yield state

    def _is_for_us(self, state: RunState, now: datetime) -> bool:
        return (
            not state.cancel_requested
            and state.bound_to in (None, self._world.instance)
            and (state.claim_from is None or state.claim_from <= now)
            and (self._only is None or state.run_id in self._only)
        )

    def _order(self, state: RunState) -> tuple[bool, int, int]:
        """Put the highest priority first, then the oldest; backfill takes what room is left."""
        definition = self._definition_of(state.job)
        return is_backfill(state.run_id), -(definition.priority if definition else 0), state.position

    def _claim(self, state: RunState) -> Item:
        """Ask for the run; whatever counts other runs also asks that their jobs have been quiet."""
        definition = self._definition_of(state.job)
        counts = definition is None or definition.overlap is not Overlap.ALLOW or definition.max_concurrent
        quiet = Quiet(state.job, self._board.jobs[state.job].position) if counts else None
        events = tuple(run.start(state))
        write = Write(run_stream(state.run_id), events, expected=state.version, quiet_since=quiet)
        guards: tuple[Write, ...] = ()
        if definition is not None and definition.queue_limit is not None:
            guards = tuple(
                Write(job_stream(each.name), expected=None, quiet_since=Quiet(each.name, each.position))
                for each in self._in_queue(definition.queue)
            )
        return Item((write, *guards))
