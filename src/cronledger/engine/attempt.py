"""One attempt at a run, as its instance sees it: what it appends to the run's stream.

Appends stand at the version this attempt knows. If somebody else wrote to the stream, a request to cancel
for instance, it is read again; an attempt that finds it no longer owns the run stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import msgspec

from cronledger.domain import events as e
from cronledger.domain import run, steps
from cronledger.domain.ids import Position, RunId, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.engine.discretion import AnyBody, Hide, discreet, discreet_body
from cronledger.engine.notes import AttemptNotes
from cronledger.engine.world import World
from cronledger.errors import Conflict, CronledgerError, LedgerUnreachable
from cronledger.jobs.calling import Stoppable
from cronledger.jobs.together import Turn
from cronledger.ledger.api import Item, Write
from cronledger.ledger.normal import bounded

UNREACHABLE_PAUSE = 0.5


class ClaimLost(Exception):
    """The run was given to another attempt, or has ended, while this one was at work."""


class RunUnknown(ClaimLost):
    """The ledger has lost the run's trigger: there is nothing that a result could stand beside."""


class Attempt:
    """A claimed run, from its start to its outcome."""

    def __init__(
        self, world: World, state: RunState, fence: Position, hide: Hide = lambda value: value
    ) -> None:
        self._world = world
        self._hide = hide
        self._turn = Turn()
        self.run = state
        self.fence = fence
        self.notes = AttemptNotes(world, state, hide)
        self.code = Stoppable()
        self.finished_steps: dict[str, e.StepSucceeded] = {}
        self.misuse: CronledgerError | None = None
        self.steps_done = 0
        self.steps_failed = 0
        self.is_draining = False
        self._is_over = False

    @property
    def actor(self) -> e.Actor:
        """The job's code is who speaks."""
        return e.Actor.of_job(self.run.job)

    def cancel(self) -> None:
        """Stop the code, because somebody wants the run to end."""
        self.run = msgspec.structs.replace(self.run, cancel_requested=True)
        self.code.stop()

    async def record(self, *bodies: e.Body) -> None:
        """Append what happened in this attempt. Raises ClaimLost if it no longer owns the run, or is over."""
        await self.append(lambda state: [run.about(state, body, self.actor) for body in bodies])

    async def append(self, decide: Callable[[RunState], Sequence[e.Event]], *, is_last: bool = False) -> bool:
        """Append what is decided from the run's state; return whether there was anything to say.

        After the last word, which is how the attempt came out, none of what its code still does is recorded.
        """
        async with self._turn:
            if self._is_over:
                raise ClaimLost(self.run.run_id)
            while True:
                events = tuple(discreet(event, self._hide) for event in decide(self.run))
                if not events:
                    return False
                write = Write(run_stream(self.run.run_id), events, expected=self.run.version)
                try:
                    await self._world.append(Item((write,)))
                except Conflict:
                    await self._read_again()
                    continue
                self.run = msgspec.structs.replace(self.run, version=self.run.version + len(events))
                self._is_over = is_last
                return True

    def kept(self, body: AnyBody) -> AnyBody:
        """Return a body as the ledger will keep it: without secrets, and within its limits."""
        return bounded(discreet_body(body, self._hide))

    def is_secret(self, value: object) -> bool:
        """Whether a value holds a secret, so that the ledger would keep something else."""
        return bool(self._hide(value) != value)

    async def recall_steps(self) -> None:
        """Learn which steps need not be done again: of earlier attempts, and of the run that this repeats."""
        streams: list[Sequence[e.Recorded]] = []
        source = self.run.run_id if self.run.attempt > 1 or self.run.of else None
        while source is not None:
            streams.insert(0, await self._stream_of(source))
            source = steps.repeated_by(streams[0])
        known = steps.recall(streams)
        self.finished_steps = {name: done for name, done in known.items() if done is not None}

    async def _read_again(self) -> None:
        mine = self.run
        state = run.folded(await self._stream_of(mine.run_id))
        if state is None:
            raise RunUnknown(mine.run_id)
        if (state.phase, state.attempt, state.instance) != (
            Phase.RUNNING,
            mine.attempt,
            mine.instance,
        ):
            raise ClaimLost(mine.run_id)
        self.run = state

    async def _stream_of(self, run_id: RunId) -> list[e.Recorded]:
        """Read a run's stream, however long the ledger is away: that must not cost a run its outcome."""
        while True:
            try:
                return await self._world.stream_of(run_id)
            except LedgerUnreachable:
                await anyio.sleep(UNREACHABLE_PAUSE)
