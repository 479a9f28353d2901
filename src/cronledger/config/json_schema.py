"""The configuration as a JSON Schema, for editors: made from the checks that the program itself makes.

It accepts whatever `config check` accepts. What only the program can know (whether a job exists, whether a
schedule can be read, how YAML spells a text) is left to `config check`.
"""

from __future__ import annotations

from cronledger.config import check, fields
from cronledger.domain.ids import NAME
from cronledger.strict_yaml import check as plain
from cronledger.strict_yaml.check import Check, Schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"

DESCRIPTIONS = {
    "enabled": "false: the job is not due; for the scheduler: this instance neither plans nor claims",
    "timezone": "IANA name, such as Europe/Berlin",
    "extensions": "code with jobs: MODULE or MODULE:OBJECT",
    "bootstrap_jobs": "jobs that run at start whatever their code says",
    "database_url": "the application's database, as jobs reach it: an SQLAlchemy URL, or ${env:NAME}",
    "root": "the application's folder; default: the one that holds services/",
    "startup_wait_seconds": "how long readiness waits for the startup runs",
    "drain_seconds": "how long a stopping instance waits for its runs",
    "max_runs": "how many runs one instance performs at once",
    "defaults": "fields for every job, weaker than its entry",
    "name": "the label: identity in ledger and history; default: job",
    "extension": "who provides the code; default: core",
    "job": "what the code is called there; default: name",
    "schedule": 'six cron fields (seconds first), "every ...", "at ...", or "" for manual only',
    "every": "instead of schedule: a fixed interval, such as 90s",
    "at": "instead of schedule: once, such as 2026-12-24T18:00:00",
    "startup": "never: keeps a job that runs at start from doing so",
    "startup_scope": "once per boot of the cluster, or once in every process",
    "queue": "the runs of all jobs in it count together where scheduler.queues limits it",
    "max_concurrent": "how many runs at once, on all instances together",
    "parameters": "what ctx.params holds",
    "enforce": "false: destructive jobs count and report, and change nothing",
    "overlap": "what a fire time does while another run is in flight",
    "catch_up": "which misfires run after all",
    "grace_seconds": "how late still counts as on time",
    "idempotent": "may be started again when its instance was lost",
    "isolation": "process: the code gets a process of its own, which can be killed",
    "jitter_seconds": "delays the claim by a stable fraction of it",
    "calendar": "takes fire times away: one of scheduler.calendars",
    "extend": "calendars that take away as well",
    "exclude": "dates, ranges of dates and yearly dates on which nothing fires",
    "only": "the only dates on which anything fires",
    "weekdays": "the only days of the week on which anything fires",
    "blackout": "hours of the day, in the job's zone, in which nothing fires",
    "dst": "what a fixed local time does that the clock skips or shows twice",
}


def schema() -> Schema:
    """Return the schema of a configuration file and, as `$defs/profile`, of a profile.

    >>> schema()["properties"]["scheduler"]["properties"]["max_runs"]["maximum"]
    10000
    """
    job = _mapping({**fields.IDENTITY, **fields.JOB}, **_nested())
    entry = job | {"type": "object", "anyOf": [{"required": ["name"]}, {"required": ["job"]}]}
    override = job | {"type": "object", "required": ["job"]}
    defaults = _mapping(fields.JOB, **_nested())
    scalars = {key: _described(key, kind) for key, kind in fields.SCALARS.items()}
    scheduler = _closed(
        scalars
        | {
            "extensions": _named("extensions", plain.schema_of(plain.several(check.module))),
            "bootstrap_jobs": _named("bootstrap_jobs", plain.schema_of(plain.several(check.bootstrap))),
            "calendars": _by_name({"$ref": "#/$defs/calendar"}),
            "queues": _by_name(_mapping(fields.QUEUE) | {"type": "object", "required": ["max_concurrent"]}),
            "defaults": {"$ref": "#/$defs/defaults"},
            "jobs": _list("entry"),
        }
    )
    application = {
        "type": ["object", "null"],
        "properties": {key: _described(key, kind) for key, kind in fields.APPLICATION.items()},
    }
    includes = {"type": ["array", "string", "null"], "items": {"type": "string", "minLength": 1}}
    profile = _closed(
        {"application": application, "scheduler": _closed(scalars | {"jobs": _list("override")})}
    )
    top = _closed({"includes": includes, "application": application, "scheduler": scheduler})
    return {
        "$schema": DRAFT,
        "title": "cronledger configuration",
        **top,
        "$defs": {
            "calendar": _mapping(fields.CALENDAR),
            "entry": _named("entry", entry),
            "override": override,
            "defaults": _named("defaults", defaults),
            "profile": profile,
        },
    }


def _nested() -> dict[str, Schema]:
    return {
        key: _named(key, {"type": ["object", "null"]} if kinds is None else _mapping(kinds))
        for key, kinds in fields.NESTED.items()
    }


def _mapping(kinds: dict[str, Check], **more: Schema) -> Schema:
    return _closed({key: _described(key, kind) for key, kind in kinds.items()} | more)


def _closed(properties: dict[str, Schema]) -> Schema:
    """Return a mapping of known keys; an empty one may be left without a word."""
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _by_name(kind: Schema) -> Schema:
    patterns = {f"^{NAME.pattern}$": kind}
    return {"type": ["object", "null"], "patternProperties": patterns, "additionalProperties": False}


def _list(definition: str) -> Schema:
    return {"type": ["array", "null"], "items": {"$ref": f"#/$defs/{definition}"}}


def _described(key: str, kind: Check) -> Schema:
    return _named(key, plain.schema_of(kind))


def _named(key: str, schema: Schema) -> Schema:
    return {"description": DESCRIPTIONS[key], **schema} if key in DESCRIPTIONS else dict(schema)
