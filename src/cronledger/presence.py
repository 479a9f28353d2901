"""Being there: a row, a lock and a beat that tell the others that this process lives, and a goodbye."""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread

from cronledger import process_identity, tz_database
from cronledger.domain import events as e
from cronledger.domain.ids import CONFIG, JobName, instance_stream
from cronledger.domain.job import FILES
from cronledger.domain.zone_rules import rules_for
from cronledger.engine import own_log
from cronledger.engine.definitions import Configuration
from cronledger.engine.executor import Provision
from cronledger.engine.farewell import Farewell
from cronledger.engine.plan import Kind, Plan
from cronledger.errors import LedgerUnreachable, Outdated
from cronledger.jobs.together import kept
from cronledger.ledger import instances
from cronledger.ledger.api import Write
from cronledger.ledger.database import InstanceLock
from cronledger.world import ProcessWorld

log = logging.getLogger("cronledger.instance")
ACTOR = e.Actor.engine("instance")


@asynccontextmanager
async def announced(
    world: ProcessWorld,
    label: str,
    farewell: Farewell,
    *,
    plan: Plan,
    configuration: Configuration,
    provision: Provision,
) -> AsyncIterator[None]:
    """Be known to the others while the block lasts; end the world's threads afterwards."""

    async def go(lock: InstanceLock) -> None:
        with farewell.words():
            await anyio.to_thread.run_sync(_sign_off, world, lock, abandon_on_cancel=True)

    async with kept(lambda: anyio.to_thread.run_sync(_locked, world), go) as lock:
        await world.learn_clock()
        row = instances.Instance(
            id=world.instance,
            name=label,
            kind="oneshot" if plan.kind is Kind.ONESHOT else "service",
            host=socket.gethostname(),
            pid=os.getpid(),
            build=world.build,
            started_at=world.now(),
            beat_at=world.now(),
            jobs=provided(plan, configuration, provision),
            config_revision=configuration.revision,
            features=tuple(sorted(plan.features)),
            process=process_identity.own(),
        )
        await world.read(_sign_on, world, row, configuration)
        world.beats.take(row, lock)
        world.beats.start()
        with own_log.kept(world, provision.hide):
            yield


def provided(plan: Plan, configuration: Configuration, provision: Provision) -> tuple[JobName, ...]:
    """Return the jobs whose runs this instance takes: those whose code it has, while it is enabled."""
    return tuple(
        name
        for name, each in sorted(configuration.every.items())
        if plan.enabled and provision.find(each.extension, each.code) is not None
    )


def _locked(world: ProcessWorld) -> InstanceLock:
    """Take the lock that shows that this process lives; without it the world is left at once."""
    try:
        return world.store.instance_lock(world.instance)
    except BaseException:
        world.close()
        raise


def _sign_on(world: ProcessWorld, row: instances.Instance, configuration: Configuration) -> None:
    """Give the instance its row and its first event."""
    with world.store.writing() as connection:
        instances.register(connection, row)
    rules = rules_for(configuration.definitions.values(), row.started_at)
    body = e.InstanceStarted(
        kind=row.kind,
        host=row.host,
        pid=row.pid,
        build=row.build,
        python=platform.python_version(),
        tzdata=str(tz_database.in_use()),
        zones=dict(rules.zones),
        zones_until=rules.until,
    )
    writes = [Write(instance_stream(row.id), (e.Event(body=body, actor=ACTOR),))]
    if row.kind == "service":
        loaded = e.Event(body=e.ConfigLoaded(revision=configuration.revision), actor=FILES)
        writes.append(Write(CONFIG, (loaded,), expected=None))
    world.store.ledger.append(*writes)


def _sign_off(world: ProcessWorld, lock: InstanceLock) -> None:
    """Say goodbye as far as the ledger still listens, and let go of everything."""
    world.beats.stop()
    try:
        event = e.Event(body=e.InstanceStopped(reason="drain"), actor=ACTOR)
        with suppress(Outdated):  # then only newer versions may append
            world.store.ledger.append(Write(instance_stream(world.instance), (event,), expected=None))
        with world.store.writing() as connection:
            instances.retire(connection, world.instance)
    except LedgerUnreachable as error:
        log.warning("the ledger did not hear this instance's goodbye: %s", error)
    finally:
        world.close()
        lock.release()
