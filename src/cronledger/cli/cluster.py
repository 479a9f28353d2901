"""The instances as their rows and locks show them: who is up, and who went without a goodbye."""

from __future__ import annotations

from cronledger.ledger import instances
from cronledger.ledger.database import Store
from cronledger.ledger.instances import Instance
from cronledger.projections.moments import moment


def up_and_silent(store: Store) -> tuple[list[Instance], list[Instance]]:
    """Return those that are up, and those that went without a goodbye."""
    now = store.ledger.head().clock
    with store.reading() as connection:
        known, beating = instances.known(connection), instances.living(connection, now)
    dead = store.dead_instances(known, now)
    living = [each for each in beating if each.id not in dead]
    return living, [each for each in known if each not in living]


def services(store: Store) -> list[Instance]:
    """Return the instances that may lead: not those that only perform runs by hand."""
    return [each for each in up_and_silent(store)[0] if each.kind == "service"]


def shown(instance: Instance) -> dict[str, object]:
    """Return an instance as documents show it."""
    return {
        "instance": instance.id,
        "name": instance.name,
        "kind": instance.kind,
        "host": instance.host,
        "pid": instance.pid,
        "build": instance.build,
        "state": instance.state,
        "started_at": moment(instance.started_at),
        "beat_at": moment(instance.beat_at),
        "config_revision": instance.config_revision,
    }
