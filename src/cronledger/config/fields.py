"""Every key a configuration may contain, and what it may hold."""

from __future__ import annotations

from collections.abc import Mapping

from cronledger.config import calendar_checks, check
from cronledger.config.model import Fields, NamedEntry, Written
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import DayMatch, Fold, Gap, Isolation
from cronledger.domain.ids import is_name
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import RetryOn
from cronledger.strict_yaml import check as plain
from cronledger.strict_yaml.check import Check, Wrong
from cronledger.strict_yaml.problem import Place, Problems, quoted
from cronledger.strict_yaml.text import Value

DAY = 86_400
YEAR = 366 * DAY

TOP = frozenset({"includes", "application", "scheduler"})
PROFILE_TOP = frozenset({"application", "scheduler"})

SCALARS: dict[str, Check] = {
    "enabled": plain.flag,
    "timezone": plain.filled,
    "day_match": plain.one_of(DayMatch),
    "startup_wait_seconds": plain.number(0, DAY),
    "drain_seconds": plain.number(0, DAY),
    "max_runs": plain.whole(1, 10_000),
}
SCHEDULER = frozenset({*SCALARS, "extensions", "bootstrap_jobs", "calendars", "queues", "defaults", "jobs"})
PROFILE_SCHEDULER = frozenset({*SCALARS, "jobs"})

RETRY: dict[str, Check] = {
    "max_attempts": plain.whole(1, 1000),
    "backoff_seconds": plain.number(0, YEAR),
    "backoff_factor": plain.number(1, 1000),
    "backoff_max_seconds": plain.number(0, YEAR),
    "jitter": plain.flag,
    "on": plain.several(plain.one_of(RetryOn)),
}
DST: dict[str, Check] = {"gap": plain.one_of(Gap), "fold": plain.one_of(Fold)}

IDENTITY: dict[str, Check] = {"name": check.name, "extension": check.name, "job": check.name}
JOB: dict[str, Check] = {
    "schedule": check.schedule,
    "every": check.every,
    "at": check.at,
    "timezone": plain.filled,
    "enabled": plain.flag,
    "startup": plain.one_of(["inherit", "never"]),
    "startup_scope": plain.one_of(["cluster", "instance"]),
    "enforce": plain.flag,
    "owner": plain.filled,
    "tags": plain.several(plain.filled),
    "overlap": plain.one_of(Overlap),
    "max_concurrent": plain.whole(1, 10_000, unset=True),
    "catch_up": plain.one_of(CatchUp),
    "catch_up_limit": plain.whole(1, 100_000),
    "grace_seconds": plain.whole(0, YEAR, unset=True),
    "timeout_seconds": plain.number(0.001, YEAR, unset=True),
    "idempotent": plain.flag,
    "isolation": plain.one_of(Isolation),
    "recovery_attempts": plain.whole(0, 1000),
    "claim_timeout_seconds": plain.whole(1, YEAR),
    "jitter_seconds": plain.whole(0, DAY),
    "priority": plain.whole(-1000, 1000),
    "queue": check.name,
    "calendar": check.name_or_none,
    "notify": check.undefined("notice"),
}
NESTED: dict[str, dict[str, Check] | None] = {"retry": RETRY, "dst": DST, "parameters": None}
"""Mappings whose parts are fields of their own, so that each layer may change one of them."""

APPLICATION: dict[str, Check] = {"database_url": check.secret, "root": plain.filled}
"""What `application:` may hold that this package reads itself; the rest is the application's own."""

CALENDAR: dict[str, Check] = {
    "extend": calendar_checks.names,
    "exclude": plain.several(calendar_checks.date),
    "only": plain.several(calendar_checks.date),
    "weekdays": plain.several(calendar_checks.weekdays),
    "blackout": calendar_checks.blackouts,
}
QUEUE: dict[str, Check] = {"max_concurrent": plain.whole(1, 10_000)}

DEFAULTS = frozenset({*JOB, *NESTED})
ENTRY = frozenset({*IDENTITY, *DEFAULTS})


def named(
    block: Value, key: str, kinds: Mapping[str, Check], problems: Problems, *, needed: str | None = None
) -> list[NamedEntry]:
    """Return what stands under its names in a mapping such as `calendars`; note what is wrong with it."""
    if block.data is not None and not isinstance(block.data, dict):
        what = f"{key}: must be a mapping of names to rules, not {plain.spelled(block)}"
        problems.add(block.place, what)
    found = []
    for name, value in (block.data if isinstance(block.data, dict) else {}).items():
        title, place = f"{key}.{name}: ", value.key or value.place
        if not is_name(name):
            title = f"{key}: {quoted(name)} "
            problems.add(place, f"{title}is not a name: {check.NAME_RULE}")
        said: Fields = {}
        for part, item in plain.known_entries(value, frozenset(kinds), title, problems).items():
            keep(said, part, item, kinds[part], title=title, problems=problems)
        written = value.data if isinstance(value.data, dict) else {}
        if needed and needed not in written and written.keys() <= kinds.keys():
            problems.add(place, f"{title}{needed} is missing")
        found.append(NamedEntry(name=name, title=title, place=place, fields=said))
    return found


def checked(entries: Mapping[str, Value], title: str, problems: Problems) -> Fields:
    """Return what passes its check, mappings taken apart; note what does not."""
    fields: Fields = {}
    for key, value in entries.items():
        if key not in NESTED:
            kind = IDENTITY.get(key) or JOB.get(key) or SCALARS[key]
            keep(fields, key, value, kind, title=title, problems=problems)
            continue
        kinds = NESTED[key]
        known = frozenset(kinds if kinds is not None else value.data if isinstance(value.data, dict) else ())
        for part, item in plain.known_entries(value, known, f"{title}{key}: ", problems).items():
            kind, at = (kinds[part], None) if kinds is not None else (check.free, item.key)
            keep(fields, f"{key}.{part}", item, kind, title=title, problems=problems, at=at)
    _one_schedule(fields, title, problems)
    return fields


def _one_schedule(fields: Fields, title: str, problems: Problems) -> None:
    """Make `every` and `at` the schedule that they are another way to write."""
    for key in ("every", "at"):
        written = fields.pop(key, None)
        if written is not None and fields.setdefault("schedule", written) is not written and written.place:
            first = fields["schedule"].origin
            problems.add(written.place, f"{title}{key}: the schedule is already set at {first}", _ONE_OF)


_ONE_OF = "a job has one of schedule, every and at"


def keep(
    fields: Fields,
    key: str,
    value: Value,
    kind: Check,
    *,
    title: str,
    problems: Problems,
    at: Place | None = None,
) -> None:
    """Add a field if its value passes the check; else note what was expected.

    The field is said to stand where its value does, unless `at` says where.
    """
    try:
        fields[key] = Written(kind(value), at or value.place)
    except Wrong as wrong:
        for each in (wrong, *wrong.others):
            place = (each.at or value).place
            if not problems.stand_at(place):
                problems.add(place, f"{title}{key}: {each.message}", each.hint)
