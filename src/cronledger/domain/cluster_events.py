"""Bodies of the events about the cluster: leader, instances, their configuration, and the ledger itself."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from cronledger.domain.body import Body, Decision
from cronledger.domain.ids import InstanceId, JobName, Position, RunId


class LeaderElected(Body, frozen=True, kw_only=True):
    """A term begins. `session` is the database session that holds the advisory lock, where there is one.

    `lineage` names the ledger and, of PostgreSQL, the system identifier and the timeline of the server.
    """

    type: ClassVar[str] = "leader.elected"
    epoch: int = 0
    why: str = ""
    previous: InstanceId | None = None
    build: str = ""
    session: int | None = None
    lineage: str = ""


class LeaderResigned(Decision, frozen=True, kw_only=True):
    """A term ends before its lease."""

    type: ClassVar[str] = "leader.resigned"


class InstanceStarted(Body, frozen=True, kw_only=True):
    """A process of the scheduler has come up.

    `tzdata` is the version and source of its time-zone data, `zones` what that data says of its jobs' zones
    until `zones_until`: the offset at the start and each change of it, as [instant, offset] in seconds.
    """

    type: ClassVar[str] = "instance.started"
    kind: str = ""
    host: str = ""
    pid: int = 0
    build: str = ""
    python: str = ""
    tzdata: str = ""
    zones: dict[str, tuple[tuple[int, int], ...]] = {}  # noqa: RUF012 - an empty default is made anew
    zones_until: datetime | None = None


class InstanceStopped(Decision, frozen=True, kw_only=True):
    """A process of the scheduler has drained and goes."""

    type: ClassVar[str] = "instance.stopped"


class ConfigLoaded(Body, frozen=True, kw_only=True):
    """An instance has read its files: at its start, and after a change that it accepted.

    `registered`, `redefined` and `retired` compare them with what the instance had before.
    """

    type: ClassVar[str] = "config.loaded"
    revision: str = ""
    previous: str | None = None
    registered: tuple[JobName, ...] = ()
    redefined: tuple[JobName, ...] = ()
    retired: tuple[JobName, ...] = ()


class ConfigRejected(Body, frozen=True, kw_only=True):
    """An instance could not take its changed files and keeps `kept`; the first of its `count` problems."""

    type: ClassVar[str] = "config.rejected"
    kept: str = ""
    problems: tuple[str, ...] = ()
    count: int = 0


class LoopBlocked(Body, frozen=True, kw_only=True):
    """Something held this process's event loop: nothing else in it went on, and it gave leadership up.

    `seconds` is how long when it was noticed, `stack` where the loop stood, outermost call first.
    """

    type: ClassVar[str] = "engine.loop_blocked"
    seconds: float = 0.0
    stack: tuple[str, ...] = ()


class ClockStepped(Body, frozen=True, kw_only=True):
    """The wall clock of this process's machine is not where it should be.

    `against` is what it was compared with. `uptime`: the clock was set, and `seconds` is by how much.
    `ledger`: the ledger's clock is another machine's, and `seconds` is how far ahead of it this one now is.
    """

    type: ClassVar[str] = "clock.stepped"
    seconds: float = 0.0
    against: str = ""


class ConfigApplied(Body, frozen=True, kw_only=True):
    """A revision of the configuration has become current."""

    type: ClassVar[str] = "config.applied"
    revision: str = ""
    previous: str | None = None
    registered: tuple[JobName, ...] = ()
    redefined: tuple[JobName, ...] = ()
    retired: tuple[JobName, ...] = ()
    reason: str | None = None


class FeatureEnabled(Body, frozen=True, kw_only=True):
    """Every living instance knows a way of writing, which may be used from here on."""

    type: ClassVar[str] = "feature.enabled"
    name: str = ""


class LineageChanged(Body, frozen=True, kw_only=True):
    """The database's history is not the one of the last election: a failover, or a restored backup.

    Commits of the earlier history may be missing from this one.
    """

    type: ClassVar[str] = "ledger.lineage_changed"
    previous: str = ""
    current: str = ""


class LedgerRegressed(Body, frozen=True, kw_only=True):
    """The speaking instance had been told that an event is durable, and the ledger knows it no longer.

    `runs` are those that the instance was performing when it noticed.
    """

    type: ClassVar[str] = "ledger.regressed"
    position: Position | None = None
    id: str = ""
    runs: tuple[RunId, ...] = ()
