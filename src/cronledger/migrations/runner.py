"""Bringing a ledger's schema to the one that this version needs. Alembic is imported only when it is used."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from threading import Event, Lock

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from cronledger.clock import SystemClock
from cronledger.errors import LedgerUnreachable, MigrationBlocked, SchemaOutdated
from cronledger.ledger.database import Store
from cronledger.ledger.schema import REVISION
from cronledger.migrations.obstacles import (
    UnknownRevision,
    obstacles,
    require_free_names,
    settle,
    take_turn,
)

log = logging.getLogger("cronledger.migrations")

HEAD = REVISION
"""The revision that this version needs."""

DEADLINE_SECONDS = 60.0
PAUSE_SECONDS = 0.5
"""Between two attempts: what had queued up behind the first one goes ahead of the second."""

ALEMBIC = Lock()
"""Alembic's context is one for the whole process: held round each of its calls, and last, within the turn."""

_VERSION = text("SELECT version_num FROM cronledger_version")
_NUMBERED = re.compile("(?!0000)[0-9]{4}")
"""Revisions are numbered from 0001 on, without gaps up to ours."""
_LOCK_NOT_AVAILABLE, _DEADLOCK, _NO_TABLE = "55P03", "40P01", "42P01"


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """Which migrations there are: those of this package, and those of further folders up to `head`."""

    head: str = HEAD
    further: tuple[Path, ...] = ()


def current(store: Store) -> str | None:
    """Return the revision that a ledger is at, None without a schema: one SELECT. Raises UnknownRevision."""
    with store.reading() as connection:
        try:
            found = [str(each) for each in connection.execute(_VERSION).scalars()]
        except (OperationalError, ProgrammingError) as error:
            if _says_no_table(error):
                return None
            raise
    if not found:
        return None
    if len(found) > 1 or not _NUMBERED.fullmatch(found[0]):
        raise UnknownRevision(store.url, found)
    return found[0]


def check(store: Store) -> None:
    """Raise SchemaOutdated unless a ledger is at the revision that this version needs, or at a later one.

    Later revisions only add; a version that they no longer suit is kept from appending by `head.min_writer`.
    """
    found = current(store)
    if not _has_reached(found, HEAD):
        raise SchemaOutdated(store.url, found, HEAD)


def upgrade(store: Store, *, seconds: float = DEADLINE_SECONDS, steps: Steps | None = None) -> None:
    """Bring a ledger to the revision that this version needs; nothing happens if it is there or further.

    An attempt gives up after two seconds of waiting for a lock, so that nobody waits long behind it, and
    is repeated. Raises MigrationBlocked after `seconds`, naming who was in the way, and NamesTaken at once if
    others have tables of the same names; nothing is changed then.
    """
    wanted = steps or Steps()
    clock, pause = SystemClock(), Event()
    until = clock.monotonic() + seconds
    while not _has_reached(current(store), wanted.head):
        try:
            return _attempt(store, wanted)
        except LedgerUnreachable as error:
            if not _is_busy(error):
                raise
            why = obstacles(store) or error.message
            if clock.monotonic() >= until:
                raise MigrationBlocked(store.url, seconds, why) from error
            log.info("the schema is upgraded as soon as others let go of it: %s", why)
        pause.wait(PAUSE_SECONDS)
    return None


def _attempt(store: Store, steps: Steps) -> None:
    from alembic import command  # noqa: PLC0415 - a third of a second that no other command should pay
    from alembic.config import Config  # noqa: PLC0415

    with store.writing() as connection:
        take_turn(connection, store.url)
        found = current(store)
        if _has_reached(found, steps.head):
            return
        require_free_names(connection, store.url, found)
        settle(connection)
        config = Config()
        config.set_main_option("script_location", "cronledger:migrations")
        if steps.further:
            folders = [Path(__file__).with_name("versions"), *steps.further]
            config.set_main_option("version_locations", "\n".join(map(str, folders)).replace("%", "%%"))
            config.set_main_option("path_separator", "newline")
        config.attributes["connection"] = connection
        with ALEMBIC:
            command.upgrade(config, steps.head)


def _has_reached(found: str | None, wanted: str) -> bool:
    """Whether a revision is the wanted one or a later one: they are numbered."""
    return found is not None and found >= wanted


def _is_busy(error: LedgerUnreachable) -> bool:
    """Whether somebody else's lock was in the way, and not the whole database."""
    cause = error.__cause__
    told = cause.orig if isinstance(cause, DBAPIError) else cause  # the beginning of a turn is the driver's
    state = getattr(told, "sqlstate", None)
    return state in (_LOCK_NOT_AVAILABLE, _DEADLOCK) or (state is None and "locked" in str(told))


def _says_no_table(error: OperationalError | ProgrammingError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _NO_TABLE or "no such table" in str(error.orig)
