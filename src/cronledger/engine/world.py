"""Everything of the outside that the engine touches, as one value: injected, real or simulated."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from cronledger.clock import Clock
from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.ids import InstanceId, JobName, Position, RunId, Term
from cronledger.domain.job import JobState
from cronledger.domain.line import Line
from cronledger.domain.progress import Progress
from cronledger.domain.requests import Requested
from cronledger.domain.revisions import Revisions
from cronledger.ledger.api import Answer, Appended, Head, Item, Prepared, Same

T = TypeVar("T")


class LeaderLock(Protocol):
    """Contends for leadership by itself; whoever holds it may take over at once."""

    @property
    def held(self) -> bool:
        """Whether this instance holds the lock, as far as is known."""

    @property
    def session(self) -> int | None:
        """The database session that holds it, where there is one."""

    def contend(self, on_change: Callable[[], None]) -> None:
        """Begin to contend; `on_change` is called from any thread when `held` changes."""


class Notes(Protocol):
    """Keeps what is said beside the events. From any thread; it never waits and never raises."""

    def say(self, line: Line) -> None:
        """Keep a log line."""

    def report(self, report: Progress) -> None:
        """Keep how far a run is; the latest word counts."""

    def end(self, run_id: RunId, attempt: int) -> None:
        """Learn that an attempt is over: how far it was means nothing any more."""


class Answers(Protocol):
    """Answers to come, in the order asked: to be awaited."""

    def done(self) -> bool:
        """Whether they are there."""

    def __await__(self) -> Generator[Any, None, list[Answer]]:
        """Return them; raise what keeps them from coming."""


class Loaded(msgspec.Struct, frozen=True):
    """What an instance needs to know of the past: the folds as of a position, for the caller to keep."""

    position: Position
    jobs: dict[JobName, JobState]
    runs: list[run.RunState]
    revisions: Revisions
    features: frozenset[str] = frozenset()


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the others see it."""

    id: InstanceId
    kind: str
    epoch: int | None
    jobs: frozenset[str]
    config_revision: str | None
    is_dead: bool
    beat_at: datetime | None = None
    features: frozenset[str] = frozenset()


class World(Protocol):
    """Clock, ids, the ledger, the lock, the signs of life and the spawning of jobs."""

    clock: Clock
    instance: InstanceId
    build: str

    @property
    def leader_lock(self) -> LeaderLock:
        """This instance's hand on the one lock."""

    @property
    def notes(self) -> Notes:
        """Where log lines and progress go."""

    async def release_lock(self) -> None:
        """Give the leader's lock up and stop contending; whoever is cancelled leaves it to end by itself."""

    def now(self) -> datetime:
        """Return the instant by the ledger's clock, as far as it is known here."""

    async def append(self, item: Item) -> Appended | Same:
        """Append one item durably; raise its refusal."""

    def prepare(self, item: Item) -> Prepared:
        """Give the events of an item their ids, so that it can be submitted faster later, at most once."""

    def submit(self, items: Sequence[Item | Prepared]) -> Answers:
        """Append each item or have it refused; answers in the order asked.

        The items are handed over by the call; whoever awaits the answers later may do something meanwhile.
        """

    async def head(self) -> Head:
        """Return the head of the ledger.

        Raises LedgerRegressed, once, if the ledger has lost what it had acknowledged to this process.
        """

    async def renew(self, term: Term, lease: timedelta) -> Head:
        """Prolong the lease of a term and return the head; raise Fenced once a later one has begun.

        Raises LedgerRegressed as `head` does.
        """

    async def events_after(self, position: Position, limit: int) -> list[e.Recorded]:
        """Return the next events, in order and without gaps."""

    async def stream_of(self, run_id: RunId) -> list[e.Recorded]:
        """Return all events of a run."""

    async def load(self) -> Loaded:
        """Return the folds up to about the head, without reading all of history again."""

    async def known_runs(self, run_ids: Iterable[RunId]) -> dict[RunId, run.RunState]:
        """Return those of the named runs that exist."""

    async def requests(self, limit: int) -> list[Requested]:
        """Return the oldest requests of the inbox."""

    async def remove_requests(self, ids: Sequence[str]) -> None:
        """Remove requests whose runs are durable; one that comes back all the same has been seen to."""

    async def instances(self) -> list[Instance]:
        """Return every process that has given a sign of life, the dead ones marked."""

    async def forget(self, instances: Sequence[InstanceId]) -> None:
        """Remove the rows of processes that are gone for good."""

    async def known_builds(self) -> frozenset[str]:
        """Return the builds that have led before."""

    async def last_lineage(self) -> str:
        """Return the lineage of the last election; empty if there was none, or none that knew it."""

    async def beat(self, **facts: Any) -> None:
        """Tell the others something about this instance: its epoch, state, configuration."""

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function on the loop's thread; may be called from any thread."""

    async def project(self) -> bool:
        """Bring the views up to the head; return whether they are there."""
