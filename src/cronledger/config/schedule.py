"""Schedules and zones as they stand in files, read with the engine's own parser."""

from __future__ import annotations

import re

from cronledger.config.model import Fields, Written
from cronledger.config.pairing import Pair
from cronledger.config.problem import Place, Problems
from cronledger.domain.cron import parse
from cronledger.domain.definition import DayMatch
from cronledger.domain.schedule import describe
from cronledger.domain.zone import zone
from cronledger.errors import InvalidCron, UnknownZone

_BLANKS = re.compile("[ \t]+")


def check_written(fields: Fields, title: str, problems: Problems) -> None:
    """Note a schedule or a zone that cannot be read, in whatever layer it stands."""
    timezone, schedule = fields.get("timezone"), fields.get("schedule")
    if timezone is not None and timezone.place is not None:
        _check_zone(timezone.value, timezone.place, title, problems)
    if schedule is not None and schedule.place is not None and schedule.value:
        _check_schedule(schedule.value, DayMatch.OR, schedule.place, title=title, problems=problems)


def check_effective(fields: Fields, pair: Pair, problems: Problems) -> None:
    """Note what shows only now that the layers are one: the code's own schedule, and the rule for days."""
    schedule, timezone = fields.get("schedule"), fields.get("timezone")
    if pair.entry is None or schedule is None or not schedule.value:
        return
    title, place = pair.entry.title, schedule.place
    if place is None:
        title += f"the default of {pair.code.extension}:{pair.code.name}: "
        place = pair.entry.place_of("job", "name")
    day_match = fields.get("day_match", Written(DayMatch.OR)).value
    _check_schedule(schedule.value, day_match, place, title=title, problems=problems)
    if timezone is not None:
        _check_zone(timezone.value, timezone.place or place, title, problems)


def _check_zone(name: str, place: Place, title: str, problems: Problems) -> None:
    try:
        zone(name)
    except UnknownZone as error:
        problems.add(place, f"{title}timezone: {error.message}", error.hint)


def _check_schedule(text: str, day_match: DayMatch, place: Place, *, title: str, problems: Problems) -> None:
    try:
        parse(text, day_match=day_match)
    except InvalidCron as error:
        count = len(_BLANKS.split(text))
        if count == 6 or text.startswith("@"):
            field = f"{error.field}: " if error.field else ""
            problems.add(place, f"{title}schedule: {field}{error.reason}", error.hint)
        else:
            message = f"schedule has {count} field{'' if count == 1 else 's'}, 6 are needed (seconds first)"
            problems.add(place, title + message, _with_seconds(text) if count == 5 else None)


def _with_seconds(text: str) -> str | None:
    """Suggest the six fields that a crontab's five stand for."""
    candidate = f"0 {text}"
    try:
        return f'try "{candidate}"   ({describe(candidate)})'
    except InvalidCron:
        return None
