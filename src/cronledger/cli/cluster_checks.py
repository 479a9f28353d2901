"""What the ledger tells `doctor` about the cluster: who leads, who is up, and whether they agree."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from cronledger import tz_database
from cronledger.cli.cluster import services, shown, up_and_silent
from cronledger.cli.context import Application
from cronledger.cli.finding import Finding, counted
from cronledger.cli.known_jobs import current_revision, other_files
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import FeatureEnabled, InstanceStarted
from cronledger.domain.ids import CONFIG, instance_stream
from cronledger.domain.schedule import unreadable
from cronledger.domain.zone_rules import Comparison, Difference, Party, Rules, compare, rules_for
from cronledger.errors import CronledgerError
from cronledger.ledger import inbox
from cronledger.ledger.api import require_current
from cronledger.ledger.database import Store
from cronledger.ledger.instances import Instance
from cronledger.projections import job_status, unrecognized
from cronledger.projections.moments import fire_time, moment
from cronledger.projections.replay import current as current_views

HERE = "here"
"""What this process is called beside the names of instances."""
MOST_SECONDS_OFF = 1.0
REQUEST_PATIENCE = timedelta(seconds=5)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def database(opened: Application, store: Store) -> Finding:
    """Say what about the database endangers the ledger."""
    del opened
    found = store.concerns()
    details = {"concerns": [{"concern": each.what, "hint": each.todo} for each in found]}
    if not found:
        message = "nothing about the database endangers the ledger"
        return Finding(check="database", status="ok", message=message, details=details)
    return Finding(
        check="database",
        status="warn",
        message=counted(len(found), "concern"),
        details=details,
        lines=tuple(f"{each.what}: {each.todo}" for each in found),
    )


def leader(opened: Application, store: Store) -> Finding:
    """Say who leads, in which term, and for how long the lease still runs."""
    del opened
    head = store.ledger.head()
    details = {"leader": head.leader, "term": head.term, "lease_until": moment(head.lease_until)}
    if head.is_vacant:
        message = "no instance leads: nothing is planned until one is up"
        hint = "start one with `cronledger up`"
        return Finding(check="leader", status="warn", message=message, hint=hint, details=details)
    message = f"{head.leader} leads in term {head.term}, with a lease until {fire_time(head.lease_until)}"
    return Finding(check="leader", status="ok", message=message, details=details)


def requests(opened: Application, store: Store) -> Finding:
    """Say whether what applications ask for in their own transactions becomes runs."""
    del opened
    with store.reading() as connection:
        count, oldest = inbox.backlog(connection)
    details = {"requests": count, "oldest_at": moment(oldest)}
    if oldest is None or store.ledger.head().clock - oldest < REQUEST_PATIENCE:
        message = "no request of an application waits for long"
        return Finding(check="inbox", status="ok", message=message, details=details)
    message = f"{counted(count, 'request')} in the inbox, the oldest since {moment(oldest)}"
    hint = "the leader makes runs of them within two seconds: see the check `leader`"
    return Finding(check="inbox", status="warn", message=message, hint=hint, details=details)


def up(opened: Application, store: Store) -> Finding:
    """Say which instances are up, and which have fallen silent without a goodbye."""
    del opened
    living, silent = up_and_silent(store)
    details = {
        "instances": [shown(each) for each in living],
        "silent": [shown(each) for each in silent],
    }
    names = ", ".join(each.id for each in living)
    message = f"{counted(len(living), 'instance')} up: {names}" if living else "no instance is up"
    hint = None if living else "start one with `cronledger up`"
    if silent:
        message += f"; fallen silent: {', '.join(each.id for each in silent)}"
        hint = "look whether their processes and machines are up; the leader recovers their runs"
    return Finding(
        check="instances", status="warn" if hint else "ok", message=message, hint=hint, details=details
    )


def revisions(opened: Application, store: Store) -> Finding:
    """Compare the configuration of each instance, and of the files here, with the ledger's current one."""
    current = current_revision(store.ledger)
    differing = [
        {"instance": each.id, "revision": each.config_revision}
        for each in services(store)
        if current and each.config_revision not in (None, current)
    ]
    details = {"current": current, "here": _revision_here(opened), "differing": differing}
    message = f"configuration {current} is current" if current else "no configuration is current yet"
    hint = None
    if other := _other_files(opened, current):
        message += f", and the files here are another one, {other}"
        hint = (
            "`cronledger config apply --dry-run` says what they would change, if they are meant to be current"
        )
    if differing:
        message += f", and {counted(len(differing), 'instance')} up with another one"
        hint = (
            "give all instances the same files and the same code; changed files are read again by themselves"
        )
    return Finding(
        check="revisions",
        status="warn" if hint else "ok",
        message=message,
        hint=hint,
        details=details,
        lines=tuple(f"{each['instance']} has {each['revision']}" for each in differing),
    )


def events(opened: Application, store: Store) -> Finding:
    """Say whether this version knows every type of event, and may append. Raises an `Outdated` if not."""
    del opened
    require_current(store.ledger)
    with current_views(store) as views, views.reading() as connection:
        unknown_types = unrecognized.seen(connection)
    features = [
        recorded.body.name
        for recorded in store.ledger.read_stream(CONFIG)
        if isinstance(recorded.body, FeatureEnabled)
    ]
    details = {"unknown_types": msgspec.to_builtins(unknown_types), "features": features}
    if not unknown_types:
        message = "this version knows the type of every event"
        return Finding(check="events", status="ok", message=message, details=details)
    return Finding(
        check="events",
        status="warn",
        message=unrecognized.in_words(unknown_types),
        hint="a newer version of cronledger wrote them: bring this one to it",
        details=details,
    )


def clock(opened: Application, store: Store) -> Finding:
    """Compare this machine's clock with the ledger's, which decides what is due."""
    if store.kind != "postgres":
        message = "the ledger's clock is this machine's"
        return Finding(check="clock", status="ok", message=message, details={"offset_seconds": 0.0})
    before = opened.now()
    ledgers = store.ledger.head().clock
    after = opened.now()
    return clock_off(before + (after - before) / 2 - ledgers, (after - before) / 2)


def clock_off(offset: timedelta, uncertain: timedelta) -> Finding:
    """Say by how much this machine is ahead of the ledger; `uncertain`: by how much that may be wrong."""
    seconds = round(offset.total_seconds(), 3)
    details = {"offset_seconds": seconds}
    if abs(offset) - uncertain <= timedelta(seconds=MOST_SECONDS_OFF):
        message = "this machine's clock and the ledger's agree"
        return Finding(check="clock", status="ok", message=message, details=details)
    word = "ahead of" if seconds > 0 else "behind"
    return Finding(
        check="clock",
        status="warn",
        message=f"this machine's clock is {abs(seconds):.1f} s {word} the ledger's",
        hint="fire times follow the ledger's clock, log lines this one: keep both right with NTP",
        details=details,
    )


def schedules(opened: Application, store: Store) -> Finding:
    """Name the jobs for which nothing would be planned here, because their schedule cannot be read."""
    del opened
    found = {each.name: why for each in _active(store) if (why := unreadable(each))}
    details = {"unreadable": [{"name": name, "reason": why} for name, why in sorted(found.items())]}
    if not found:
        message = "the schedule of every job can be read here"
        return Finding(check="schedules", status="ok", message=message, details=details)
    return Finding(
        check="schedules",
        status="warn",
        message=f"{counted(len(found), 'schedule')} cannot be read here: nothing is planned for them by a "
        "leader like this",
        hint="bring this version and its time-zone data to those of the other instances",
        details=details,
        lines=tuple(f"{name}: {why}" for name, why in sorted(found.items())),
    )


def fire_times(opened: Application, store: Store) -> Finding:
    """Compare when jobs fire next under the time-zone rules that each instance recorded at its start."""
    del opened
    now = store.ledger.head().clock
    parties = [_party(store, each) for each in services(store)]
    if not parties:
        message = "no instance is up whose time zones could be compared"
        return Finding(check="fire_times", status="ok", message=message)
    active = _active(store)
    parties.append(Party(HERE, str(tz_database.in_use()), rules_for(active, now)))
    return _compared(active, parties, now)


CHECKS: dict[str, Callable[[Application, Store], Finding]] = {
    "database": database,
    "leader": leader,
    "inbox": requests,
    "instances": up,
    "revisions": revisions,
    "events": events,
    "clock": clock,
    "schedules": schedules,
    "fire_times": fire_times,
}
"""Every check that needs a ledger at the schema of this version, in the order in which they are told."""


# --- revisions ------------------------------------------------------------------------------------------


def _revision_here(opened: Application) -> str | None:
    try:
        return opened.resolution.revision
    except CronledgerError:
        return None


def _other_files(opened: Application, current: str | None) -> str | None:
    try:
        return other_files(opened, current)
    except CronledgerError:
        return None


# --- fire times -----------------------------------------------------------------------------------------


def _active(store: Store) -> list[JobDefinition]:
    with current_views(store) as views, views.reading() as connection:
        states = job_status.all_jobs(connection).values()
    return [state.definition for state in states if state.definition and state.is_active]


def _party(store: Store, instance: Instance) -> Party:
    """Return what an instance recorded of its rules; an earlier version recorded none."""
    for recorded in store.ledger.read_stream(instance_stream(instance.id)):
        if isinstance(recorded.body, InstanceStarted):
            body = recorded.body
            return Party(instance.id, body.tzdata, Rules(body.zones, body.zones_until or _LONG_AGO))
    return Party(instance.id, "", Rules({}, _LONG_AGO))


def _compared(active: list[JobDefinition], parties: list[Party], now: datetime) -> Finding:
    found = compare(active, parties, now)
    missing: dict[str, list[str]] = {}
    for party, zone in found.missing:
        missing.setdefault(party.name, []).append(zone)
    details = {
        "versions": {party.name: party.tzdata for party in parties},
        "until": fire_time(found.until),
        "jobs": [_job(each) for each in found.differences],
        "not_compared": [{"instance": name, "timezones": zones} for name, zones in missing.items()],
    }
    lines = [_line(each) for each in found.differences]
    lines += [f"{name} recorded no rules for {', '.join(zones)}" for name, zones in missing.items()]
    return Finding(
        check="fire_times",
        status="warn" if lines else "ok",
        message=_says(found, {party.tzdata for party in parties}),
        hint=_advice(found),
        details=details,
        lines=tuple(lines),
    )


def _says(found: Comparison, versions: set[str]) -> str:
    until = found.until.date().isoformat()
    if found.differences:
        count = counted(len(found.differences), "job")
        return f"{count} would fire at other times by other time-zone data; the leader's decides"
    if found.missing:
        return "not every instance recorded the rules of its time zones"
    if len(versions) > 1:
        listed = ", ".join(sorted(versions))
        return f"time-zone data differs ({listed}), and no job's fire times do before {until}"
    return f"time-zone data {versions.pop()} everywhere; no job's fire times differ before {until}"


def _advice(found: Comparison) -> str | None:
    if found.differences:
        return "bring all of them to the same time-zone data, and restart the instances"
    if found.missing:
        return "restart them with this version and the current configuration: rules are recorded at the start"
    return None


def _job(difference: Difference) -> dict[str, object]:
    return {
        "name": difference.job,
        "timezone": difference.zone,
        "fire_times": [
            {"instance": party.name, "tzdata": party.tzdata, "fire_at": fire_time(at)}
            for party, at in difference.fire_times
        ],
    }


def _line(difference: Difference) -> str:
    """Say on one line when a job fires for whom, those who agree together."""
    groups: dict[str, list[str]] = {}
    for party, at in difference.fire_times:
        groups.setdefault(fire_time(at) or "not before the end", []).append(f"{party.name} {party.tzdata}")
    said = "; ".join(f"{at} by {', '.join(names)}" for at, names in groups.items())
    return f"{difference.job} ({difference.zone}): {said}"
