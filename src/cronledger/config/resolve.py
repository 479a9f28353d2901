"""Files and code to definitions. Pure: the same settings and the same registry give the same revision.

For every field the strongest layer that says something wins: code < `scheduler.defaults` < entry < profile.
Mappings (`retry`, `dst`, `parameters`) are merged key by key. Every registered job gets a definition; one
without an entry only runs by hand, or at start if `bootstrap_jobs` names it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from cronledger.config.model import Fields, KnownCalendar, Override, Settings, Written
from cronledger.config.pairing import Pair, bootstrap, overrides, pairs, somewhere
from cronledger.config.parameters import check_parameters
from cronledger.config.schedule import check_effective
from cronledger.domain.definition import DEFAULT_QUEUE, Dst, Isolation, JobDefinition, Startup
from cronledger.domain.ids import JobName
from cronledger.domain.overlap import Overlap
from cronledger.domain.retry import Retry
from cronledger.domain.schedule import advice_on, schedule_for
from cronledger.jobs.isolation import IMPORTABLE, obstacle
from cronledger.jobs.registry import Registered, Registry, is_built_in
from cronledger.strict_yaml.problem import Place, Problems, nearest


class Origins(Mapping[JobName, dict[str, str]]):
    """For each job, where each field comes from. Kept is only what was said; the rest is `default`."""

    def __init__(self, said: dict[JobName, dict[str, str]]) -> None:
        self._said = said

    def __getitem__(self, name: JobName) -> dict[str, str]:
        """Return where each field of a job comes from."""
        said = self._said[name]
        return dict.fromkeys(JobDefinition.__struct_fields__, "default") | said

    def __iter__(self) -> Iterator[JobName]:
        """Yield the names of the jobs."""
        return iter(self._said)

    def __len__(self) -> int:
        """Count the jobs."""
        return len(self._said)

    def __eq__(self, other: object) -> bool:
        """Whether everything comes from the same places."""
        return self._said == other._said if isinstance(other, Origins) else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment] # as of any mapping


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The definitions as configured here.

    Attributes:
        definitions: Entries in the order of the files, then the other registered jobs.
        spare: Built-in jobs that no entry lists. They can be run by hand; the ledger and the revision do not
            know of them, so that a release with one more changes nobody's configuration.
        origins: For each job, where each field comes from: `code`, `default`, or a file and line.
        warnings: What is allowed and probably not meant.
        revision: Names this set of definitions: 12 hexadecimal digits of their SHA-256.
        has_files: Whether there are files that could list jobs.
    """

    definitions: tuple[JobDefinition, ...]
    origins: Origins
    warnings: tuple[str, ...]
    revision: str
    spare: tuple[JobDefinition, ...] = ()
    has_files: bool = True

    @property
    def every(self) -> tuple[JobDefinition, ...]:
        """All jobs that can be run here."""
        return self.definitions + self.spare


def resolve(settings: Settings, registry: Registry) -> Resolution:
    """Combine settings and registered jobs; raises ConfigError with every problem.

    >>> resolve(Settings(), Registry()).definitions
    ()
    """
    problems = Problems()
    paired = pairs(settings, registry, problems)
    overridden = overrides(settings, problems)
    booted = bootstrap(settings, paired, problems)
    merged = [_merged(settings, pair, overridden[pair.code.extension, pair.code.name]) for pair in paired]
    merged = [fields | _limit(settings, fields) for fields in merged]
    startups = [
        _startup(pair, fields, booted.get(pair.name)) for pair, fields in zip(paired, merged, strict=True)
    ]
    warnings: list[str] = []
    for pair, fields, (startup, _) in zip(paired, merged, startups, strict=True):
        check_effective(fields, pair, problems, calendars=settings.calendars)
        _check_isolation(settings, pair, fields, problems)
        at = booted.get(pair.name)
        warnings += check_parameters(settings, pair, fields, problems, startup=startup, booted=at)
    problems.refuse()
    definitions: list[JobDefinition] = []
    spare: list[JobDefinition] = []
    origins: dict[JobName, dict[str, str]] = {}
    for pair, fields, (startup, origin) in zip(paired, merged, startups, strict=True):
        calendar = settings.calendars[said.value] if (said := fields.get("calendar")) and said.value else None
        definition = _definition(pair, fields, startup, calendar)
        is_spare = pair.entry is None and is_built_in(pair.code.job) and pair.name not in booted
        (spare if is_spare else definitions).append(definition)
        rules = _origins_of(calendar) if calendar else {}
        origins[pair.name] = {**_origins(fields), **rules, "startup": origin}
        warnings += _advice(pair, fields, definition, booted.get(pair.name))
        warnings += _advice_on_queue(settings, fields, definition)
    return Resolution(
        definitions=tuple(definitions),
        origins=Origins(origins),
        warnings=tuple(warnings),
        revision=revision_of(definitions),
        spare=tuple(spare),
        has_files=bool(settings.files),
    )


def revision_of(definitions: list[JobDefinition]) -> str:
    """Name a set of definitions by what they say, whatever their order."""
    ordered = sorted(definitions, key=lambda definition: definition.name)
    return hashlib.sha256(msgspec.json.encode(ordered, order="sorted")).hexdigest()[:12]


# --- values ---------------------------------------------------------------------------------------------


def _merged(settings: Settings, pair: Pair, overriding: list[Override]) -> Fields:
    """Lay what each layer says over what the weaker ones say."""
    fields = _said_by_code(pair.code) | _said_for_all(settings)
    if pair.entry is None:
        fields.pop("schedule", None)
        return fields
    fields |= pair.entry.fields
    for override in overriding:
        if override.name in (None, pair.name):
            fields |= override.fields
    return fields


def _limit(settings: Settings, fields: Fields) -> Fields:
    """Return the limit of a job's queue, where there is one."""
    queue = fields["queue"].value if "queue" in fields else DEFAULT_QUEUE
    return {"queue_limit": settings.queues[queue]} if queue in settings.queues else {}


def _said_by_code(code: Registered) -> Fields:
    said = {
        "description": code.description,
        "schedule": code.schedule.strip(" \t"),
        "tags": code.tags,
        "idempotent": code.idempotent,
        "isolation": code.isolation if code.isolation is not Isolation.THREAD else "",
    }
    return {key: Written(value) for key, value in said.items() if value}


def _said_for_all(settings: Settings) -> Fields:
    shared: Fields = {}
    for key in ("timezone", "day_match"):
        value, place = getattr(settings, key), settings.places.get(key)
        if place is not None or value != getattr(_UNSAID, key):
            shared[key] = Written(value, place)
    return shared | settings.defaults


_UNSAID = Settings()


def _definition(
    pair: Pair, fields: Fields, startup: Startup, calendar: KnownCalendar | None
) -> JobDefinition:
    values: dict[str, Any] = {"parameters": {}, "retry": {}, "dst": {}}
    for key, written in fields.items():
        field, _, part = key.partition(".")
        if part:
            values[field][part] = written.value
        elif field in _TAKEN:
            values[field] = written.value
    return JobDefinition(
        **{**values, "retry": Retry(**values["retry"]), "dst": Dst(**values["dst"])},
        name=pair.name,
        extension=pair.code.extension,
        job=pair.code.name,
        scheduled=pair.entry is not None,
        startup=startup,
        calendar=calendar.calendar if calendar else None,
    )


_FIELDS = frozenset(JobDefinition.__struct_fields__)
_TAKEN = _FIELDS - {
    "name", "extension", "job", "scheduled", "startup", "calendar",
}  # fmt: skip


def _origins(fields: Fields) -> dict[str, str]:
    """Say for each field of a definition that is said, and each part of its mappings, where it comes from."""
    origins: dict[str, str] = {}
    for key, written in fields.items():
        field = key.partition(".")[0]
        if field in _FIELDS:
            origins[key] = origins[field] = sys.intern(written.origin)
    return origins


def _origins_of(calendar: KnownCalendar) -> dict[str, str]:
    return {f"calendar.{rule}": sys.intern(", ".join(places)) for rule, places in calendar.origins.items()}


def _check_isolation(settings: Settings, pair: Pair, fields: Fields, problems: Problems) -> None:
    """Note a job that wants a process of its own and cannot be found from there."""
    written = fields.get("isolation")
    if written is None or written.value is not Isolation.PROCESS:
        return
    why = obstacle(pair.code.job)
    if why is not None:
        title = pair.entry.title if pair.entry else f"job '{pair.name}': "
        place = written.place or (pair.entry.place_of("job", "name") if pair.entry else somewhere(settings))
        problems.add(place, f"{title}isolation: a process of its own cannot find this job: {why}", IMPORTABLE)


# --- startup --------------------------------------------------------------------------------------------


def _startup(pair: Pair, fields: Fields, booted: Place | None) -> tuple[Startup, str]:
    """Apply the startup rule: a listed job's code wants it, or `bootstrap_jobs`, and nothing forbids it."""
    wants = pair.code.run_on_startup and pair.entry is not None
    if forbidden := _forbidden(fields):
        return Startup.NEVER, forbidden.origin
    if not wants and booted is None:
        return Startup.NEVER, "default"
    if scope := fields.get("startup_scope"):
        return Startup(scope.value), scope.origin
    return Startup.CLUSTER, str(booted or "code")


def _forbidden(fields: Fields) -> Written | None:
    """Return what keeps a job from running at start."""
    for field, word in (("enabled", False), ("startup", "never")):
        written = fields.get(field)
        if written is not None and written.value == word:
            return written
    return None


# --- advice ---------------------------------------------------------------------------------------------


def _advice(pair: Pair, fields: Fields, definition: JobDefinition, booted: Place | None) -> list[str]:
    """Name what is allowed and probably not meant."""
    advice: list[str] = []
    if booted is not None and (forbidden := _forbidden(fields)):
        what = f"bootstrap_jobs names '{pair.name}', but {forbidden.origin} keeps it from running at start"
        advice.append(f"{booted}: {what}")
    if pair.entry is None:
        if (
            booted is None
            and not is_built_in(pair.code.job)
            and (pair.code.schedule or pair.code.run_on_startup)
        ):
            job = f"{definition.extension}:{definition.job}"
            advice.append(f"{job} is available but has no entry in scheduler.jobs: it runs only by hand")
        return advice
    if definition.max_concurrent is not None and definition.overlap is not Overlap.ALLOW:
        place = fields["max_concurrent"].origin
        advice.append(f"{place}: '{pair.name}': max_concurrent has no effect without `overlap: allow`")
    if definition.calendar is not None and not definition.schedule and "calendar" in pair.entry.fields:
        place = fields["calendar"].origin
        advice.append(f"{place}: '{pair.name}': calendar has no effect without a schedule")
    if definition.schedule:
        place = fields["schedule"].origin
        schedule = schedule_for(definition)
        remarks = advice_on(schedule, day_match=definition.day_match) if schedule else []
        advice += [f"{place}: '{pair.name}': {remark}" for remark in remarks]
    return advice


def _advice_on_queue(settings: Settings, fields: Fields, definition: JobDefinition) -> list[str]:
    """Ask whether a queue without a limit was meant to be one that has one."""
    said = fields.get("queue")
    near = nearest(definition.queue, settings.queues)
    if said is None or definition.queue in settings.queues or near is None:
        return []
    what = f"queue '{definition.queue}' has no limit: did you mean '{near}'?"
    return [f"{said.origin}: '{definition.name}': {what}"]
