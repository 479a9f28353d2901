"""What other libraries answer, and what we do, to one case of the table of disagreements, as texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from cronsim import CronSim, CronSimError

from cronledger.domain.cron import parse
from cronledger.domain.zone import zone
from cronledger.errors import InvalidCron

Case = dict[str, Any]
"""An expression, what is asked of it (next, previous, parse) and from when, in which zone."""

NOT_FOUND = "none"
ENDLESS = "endless"
STEPS = 20_000


class Endless(Exception):
    """The library is still looking, and always will be."""


class LimitedCronSim(CronSim):  # type: ignore[misc]
    """CronSim that gives up instead of looking for ever."""

    def __init__(self, text: str, start: datetime, *, reverse: bool = False) -> None:
        self._left = STEPS
        super().__init__(text, start, reverse)

    def tick(self, seconds: int = 1) -> None:
        self._left -= 1
        if self._left < 0:
            raise Endless
        super().tick(seconds)


def ask(library: str, case: Case, many: int) -> list[str]:
    """Return the answers of a library: fire times, or whether it accepts the text, or how it fails."""
    answers: list[str] = []
    try:
        found = LIBRARIES[library.partition(" ")[0]](case)
        if case["ask"] == "parse":
            return ["accepted"]
        answers.extend(shown(next(found), case["timezone"]) for _ in range(many))
    except Endless:
        answers.append(ENDLESS)
    except (ValueError, CronSimError) as refusal:
        answers.append(type(refusal).__name__)
    return answers


def our_answer(case: Case, many: int) -> list[str]:
    """Return our answers to the same case."""
    text = case.get("our_expression", case["expression"])
    if len(text.split()) == 5 and case["ask"] != "parse":
        text = f"0 {text}"
    try:
        cron = parse(text)
    except InvalidCron:
        return ["refused"]
    if case["ask"] == "parse":
        return ["accepted"]
    where, here, answers = zone(case["timezone"]), start_of(case), []
    for _ in range(many):
        step = cron.previous_before if case["ask"] == "previous" else cron.next_after
        found = step(here, where)
        if found is None:
            return [*answers, NOT_FOUND]
        here = found
        answers.append(shown(found, case["timezone"]))
    return answers


def start_of(case: Case) -> datetime:
    """Return the instant from which a case asks; a local time without offset is read in its zone."""
    found = datetime.fromisoformat(case["from"])
    place = ZoneInfo(case["timezone"])
    return found.astimezone(place) if found.tzinfo else found.replace(tzinfo=place)


def shown(at: datetime, place: str) -> str:
    """Return an instant as the zone's clock reads it then, whatever offset it came with."""
    return at.astimezone(UTC).astimezone(ZoneInfo(place)).isoformat()


def _croniter(case: Case) -> Iterator[datetime]:
    start = start_of(case) if "from" in case else None
    asked = croniter(case["expression"], start, ret_type=datetime, second_at_beginning=True)
    step = asked.get_prev if case["ask"] == "previous" else asked.get_next
    return (step() for _ in count())


def _cronsim(case: Case) -> Iterator[datetime]:
    start = start_of(case) if "from" in case else datetime(2024, 1, 1, tzinfo=UTC)
    return LimitedCronSim(case["expression"], start, reverse=case["ask"] == "previous")


def _apscheduler(case: Case) -> Iterator[datetime]:
    here = start_of(case)
    if isinstance(case["expression"], str):
        trigger = CronTrigger.from_crontab(case["expression"], timezone=here.tzinfo)
    else:
        trigger = CronTrigger(**case["expression"], timezone=here.tzinfo)
    fire = None
    for _ in count():
        fire = trigger.get_next_fire_time(fire, fire or here)
        yield fire


LIBRARIES: dict[str, Callable[[Case], Iterator[datetime]]] = {
    "croniter": _croniter,
    "cronsim": _cronsim,
    "APScheduler": _apscheduler,
}
