"""The configuration as this instance reads it: `config check` and `config show`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from cronledger.cli.context import application
from cronledger.cli.render import emit
from cronledger.clock import SystemClock
from cronledger.config.model import Settings
from cronledger.config.resolve import Resolution
from cronledger.domain.definition import JobDefinition

app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)

FIRE_TIMES_COMPARED = 100
JOB_COLUMNS = ("name", "extension", "job", "schedule", "timezone", "enabled", "startup")
FIELD_COLUMNS = ("name", "field", "value", "origin")


@app.command()
def check(ctx: typer.Context) -> None:
    """Check all files: exit code 5 and every problem with its place, or 0 and what is worth a second look."""
    opened = application(ctx)
    document = checked(opened.settings, opened.resolution, SystemClock().now())
    count = document["jobs"]
    summary = f"{count} job{'' if count == 1 else 's'}, no problems"
    emit(ctx, document, text="\n".join([*(f"warning: {each}" for each in document["warnings"]), summary]))


@app.command()
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Say for each field where it comes from.")] = False,
) -> None:
    """Show the effective definitions, after code, defaults, entries and profile."""
    opened = application(ctx)
    document = shown(opened.settings, opened.resolution)
    if origin:
        emit(ctx, document, columns=FIELD_COLUMNS, rows=list(_by_field(document["jobs"])))
    else:
        emit(ctx, document, columns=JOB_COLUMNS, rows=document["jobs"])


def checked(settings: Settings, resolution: Resolution, now: datetime) -> dict[str, Any]:
    """Return what a configuration without problems amounts to, and what is worth a second look."""
    return {
        "ok": True,
        "jobs": sum(definition.scheduled for definition in resolution.definitions),
        "revision": resolution.revision,
        "warnings": [*resolution.warnings, *_second_opinions(resolution.definitions, now)],
        "files": list(settings.files),
    }


def shown(settings: Settings, resolution: Resolution) -> dict[str, Any]:
    """Return the configuration as one document; the application's part, which may hold secrets, stays out."""
    scheduler = {
        field: msgspec.to_builtins(getattr(settings, field))
        for field in (
            "enabled", "timezone", "day_match", "extensions", "bootstrap_jobs",
            "startup_wait_seconds", "drain_seconds", "max_runs",
        )
    }  # fmt: skip
    jobs = [
        {**_fields(definition), "origin": resolution.origins[definition.name]}
        for definition in resolution.definitions
    ]
    return {
        "revision": resolution.revision,
        "scheduler": scheduler,
        "jobs": jobs,
        "files": list(settings.files),
    }


def _fields(definition: JobDefinition) -> dict[str, Any]:
    return {
        field: msgspec.to_builtins(getattr(definition, field)) for field in JobDefinition.__struct_fields__
    }


def _by_field(jobs: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for job in jobs:
        for field, source in job["origin"].items():
            outer, _, part = field.partition(".")
            value = job[outer][part] if part else job[outer]
            yield {"name": job["name"], "field": field, "value": value, "origin": source}


def _second_opinions(definitions: Iterable[JobDefinition], now: datetime) -> Iterable[str]:
    """Compare the coming fire times with an independent engine's."""
    from cronledger.config.second_opinion import croniter_disagreements  # noqa: PLC0415 - croniter is slow to import

    for definition in definitions:
        if definition.schedule:
            for difference in croniter_disagreements(
                definition.schedule,
                timezone=definition.timezone,
                after=now,
                count=FIRE_TIMES_COMPARED,
                day_match=definition.day_match,
            ):
                yield f"'{definition.name}': {difference}"
