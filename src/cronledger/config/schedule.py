"""Schedules and zones as they stand in files, read with the engine's own parser."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from cronledger.config.model import Fields, KnownCalendar
from cronledger.config.pairing import Pair
from cronledger.domain.definition import Dst
from cronledger.domain.schedule import Schedule, describe, schedule_of
from cronledger.domain.zone import zone
from cronledger.errors import InvalidCron, InvalidSchedule, UnknownZone
from cronledger.strict_yaml.problem import Place, Problems, quoted

_BEFORE_ANY = datetime(2026, 1, 1, tzinfo=UTC)
"""No ledger is older, so no job has fired before."""
_BLANKS = re.compile("[ \t]+")


def check_written(fields: Fields, title: str, problems: Problems) -> None:
    """Note a schedule or a zone that cannot be read, in whatever layer it stands."""
    timezone, schedule = fields.get("timezone"), fields.get("schedule")
    if timezone is not None and timezone.place is not None:
        _check_zone(timezone.value, timezone.place, title, problems)
    if schedule is not None and schedule.place is not None and schedule.value:
        _check_schedule(schedule.value, {}, schedule.place, title=title, problems=problems)


def check_effective(
    fields: Fields, pair: Pair, problems: Problems, *, calendars: Mapping[str, KnownCalendar]
) -> None:
    """Note what shows only with all layers: the code's own schedule, the rule for days, the calendar."""
    schedule, timezone = fields.get("schedule"), fields.get("timezone")
    if pair.entry is None or schedule is None or not schedule.value:
        return
    title, place = pair.entry.title, schedule.place
    if place is None:
        title += f"the default of {pair.code.extension}:{pair.code.name}: "
        place = pair.entry.place_of("job", "name")
    if timezone is not None and not _check_zone(timezone.value, timezone.place or place, title, problems):
        return
    found = _check_schedule(schedule.value, fields, place, title=title, problems=problems)
    named = fields.get("calendar")
    if found is None or named is None or named.value is None:
        return
    kept = msgspec.structs.replace(found, calendar=calendars[named.value].calendar)
    if found.next_after(_BEFORE_ANY) is not None and kept.next_after(_BEFORE_ANY) is None:
        what = f"calendar: '{named.value}' takes away every fire time of {quoted(schedule.value)}"
        problems.add(named.place or place, pair.entry.title + what)


def _check_zone(name: str, place: Place, title: str, problems: Problems) -> bool:
    try:
        zone(name)
    except UnknownZone as error:
        problems.add(place, f"{title}timezone: {error.message}", error.hint)
        return False
    return True


def _check_schedule(
    text: str, fields: Fields, place: Place, *, title: str, problems: Problems
) -> Schedule | None:
    """Return the schedule; note a text that is none under the settings that stand beside it."""
    settings = {key: fields[key].value for key in ("timezone", "day_match") if key in fields}
    dst = {part: fields[key].value for part in ("gap", "fold") if (key := f"dst.{part}") in fields}
    try:
        return schedule_of(text, **settings, dst=Dst(**dst))
    except InvalidCron as error:
        if error.reason.endswith("instead of six"):
            count = len(_BLANKS.split(text))
            message = f"schedule has {count} field{'' if count == 1 else 's'}, 6 are needed (seconds first)"
            problems.add(place, title + message, _with_seconds(text) if count == 5 else error.hint)
        else:
            field = f"{error.field}: " if error.field else ""
            problems.add(place, f"{title}schedule: {field}{error.reason}", error.hint)
    except InvalidSchedule as error:
        problems.add(place, f"{title}schedule: {error.reason}", error.hint)
    return None


def _with_seconds(text: str) -> str | None:
    """Suggest the six fields that a crontab's five stand for."""
    candidate = f"0 {text}"
    try:
        return f'try "{candidate}"   ({describe(candidate)})'
    except InvalidCron:
        return None
