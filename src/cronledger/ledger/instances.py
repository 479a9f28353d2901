"""The processes that are up: a row each, beaten by its own thread. Coordination, not history."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, select

from cronledger.domain.ids import InstanceId, JobName
from cronledger.ledger.codec import encode
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.schema import INSTANCE

SILENT_AFTER = timedelta(seconds=15)
"""How long after its last beat an instance still counts as living: three beats."""
LATE_AFTER = timedelta(seconds=6)
"""How long after its last beat the next one is overdue: a beat, and a second for its way to the ledger."""

Kind = Literal["service", "oneshot"]
State = Literal["starting", "ready", "draining"]

_decoded = msgspec.json.Decoder(tuple[str, ...]).decode


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `epoch` is None until it has seen a leader; `jobs` are those whose code it has.

    `process` is what the kernel knows it by (`process_identity`), None where the system does not tell.
    """

    id: InstanceId
    name: str
    kind: Kind
    host: str
    pid: int
    build: str
    started_at: datetime
    beat_at: datetime
    state: State = "starting"
    epoch: int | None = None
    jobs: tuple[JobName, ...] = ()
    features: tuple[str, ...] = ()
    config_revision: str | None = None
    process: str | None = None

    def is_late(self, now: datetime) -> bool:
        """Whether its next beat is overdue; one from the future (a clock was set) says nothing either."""
        return abs(now - self.beat_at) > LATE_AFTER


def register(connection: Connection, instance: Instance) -> None:
    """Write the row of a process that has come up."""
    connection.execute(INSTANCE.delete().where(INSTANCE.c.id == instance.id))
    connection.execute(INSTANCE.insert(), _columns(msgspec.structs.asdict(instance)))


def beat(connection: Connection, instance: InstanceId, now: datetime) -> bool:
    """Say that a process lives; False if its row is gone and it must register again."""
    changed = connection.execute(
        INSTANCE.update().where(INSTANCE.c.id == instance).values(beat_at=to_micros(now))
    )
    return changed.rowcount == 1


def update(connection: Connection, instance: InstanceId, **changes: Any) -> bool:
    """Change fields of a process's row: `state`, `epoch`, `jobs`, `features`, `config_revision`."""
    changed = connection.execute(INSTANCE.update().where(INSTANCE.c.id == instance).values(_columns(changes)))
    return changed.rowcount == 1


def retire(connection: Connection, instance: InstanceId) -> None:
    """Remove the row of a process that goes, or has gone."""
    connection.execute(INSTANCE.delete().where(INSTANCE.c.id == instance))


def known(connection: Connection) -> list[Instance]:
    """Return every process that has a row, silent or not, by name and id."""
    rows = connection.execute(select(INSTANCE).order_by(INSTANCE.c.name, INSTANCE.c.id))
    return [_instance(row) for row in rows]


def living(connection: Connection, now: datetime) -> list[Instance]:
    """Return the processes that have beaten lately."""
    return [each for each in known(connection) if now - each.beat_at < SILENT_AFTER]


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _column(value) for name, value in fields.items()}


def _column(value: object) -> object:
    match value:
        case datetime():
            return to_micros(value)
        case tuple() | list():
            return encode(value).decode()
        case _:
            return value


def _names(kept: str) -> tuple[str, ...]:
    """Return names that a row holds; none if somebody has edited it: coordination may be lost."""
    try:
        return _decoded(kept)
    except msgspec.MsgspecError:
        return ()


def _instance(row: Row[Any]) -> Instance:
    return Instance(
        id=InstanceId(row.id),
        name=row.name,
        kind=row.kind,
        host=row.host,
        pid=row.pid,
        build=row.build,
        started_at=from_micros(row.started_at),
        beat_at=from_micros(row.beat_at),
        state=row.state,
        epoch=row.epoch,
        jobs=tuple(JobName(name) for name in _names(row.jobs)),
        features=_names(row.features),
        config_revision=row.config_revision,
        process=row.process,
    )
