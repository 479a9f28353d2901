"""Second and third opinions: where croniter, cronsim and APScheduler answer otherwise, and why.

The table (tests/golden/cron/disagreements.json) lists every known class of disagreement with cases. A class
of the kind `law` breaks a law of cron arithmetic under any rule for gaps and folds, a `policy` is a choice
that we do not share. The random part asks croniter and cronsim near the jumps of every zone: an answer that
differs from ours must fall into one of the classes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings

from cronledger.domain.cron import parse
from cronledger.domain.zone import zone
from tests.property.cron_oracle import DAY, EPOCH, Oracle
from tests.property.cron_strategies import ZONES
from tests.property.opinions import ENDLESS, ask, our_answer
from tests.property.zone_files import EVERY_ZONE, Jump, jumps

TABLE = json.loads((Path(__file__).parents[1] / "golden" / "cron" / "disagreements.json").read_text("utf-8"))
CLASSES = {row["class"]: row for row in TABLE}
CASES = [
    pytest.param(row, case, id=f"{row['class']}-{number}")
    for row in TABLE
    for number, case in enumerate(row["cases"], start=1)
]
PORTIONS = 5
NIGHTLY = settings.get_current_profile_name() == "nightly"
QUESTIONS = (40_000 if NIGHTLY else 2_000) // PORTIONS
FIRST, LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


# --- the table ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("row", "case"), CASES)
def test_a_library_and_we_answer_as_the_table_says(row: dict[str, Any], case: dict[str, Any]) -> None:
    many = max(len(case["theirs"]), len(case["ours"]))

    assert case["ours"] == our_answer(case, many)
    assert case["theirs"] == ask(row["library"], case, many), (
        f"{row['library']} has changed; where it now answers as we do, the row of {row['class']} can go"
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["class"])
def test_every_class_has_a_case_of_disagreement_or_says_why_not(row: dict[str, Any]) -> None:
    differing = [case for case in row["cases"] if case["theirs"] != case["ours"]]

    assert row["kind"] in ("law", "policy")
    assert row["why"].strip()
    assert bool(differing) != bool(row.get("skip"))


def test_the_classes_of_the_table_are_complete_and_in_order() -> None:
    numbers = {"C": range(1, 21), "S": range(1, 11), "A": range(1, 10)}

    assert [f"{letter}{number}" for letter, all_of_it in numbers.items() for number in all_of_it] == list(
        CLASSES
    )


# --- classes, as far as random questions meet them ------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What a library answered otherwise than we did: None if it looks for ever."""

    library: str
    text: str
    place: str
    at: datetime
    forward: bool
    theirs: datetime | None

    @cached_property
    def is_interval(self) -> bool:
        return Oracle(self.text).is_interval

    def by(self, gap: str = "shift", fold: str = "first") -> datetime | None:
        """Return the right answer under a rule for gaps and folds."""
        oracle = Oracle(self.text, self.place, gap, fold)
        return oracle.first_after(self.at) if self.forward else oracle.last_before(self.at)

    @cached_property
    def wanted(self) -> datetime:
        """The right answer under the rule that the library follows here."""
        rules = {"croniter": ("shift", "both"), "cronsim": ("skip", "both"), "five-field cronsim": ()}
        found = self.by(*rules[self.library])
        assert found
        return found

    @cached_property
    def matches(self) -> bool:
        """Whether the clock reads a matching time at their answer."""
        return bool(self.theirs) and Oracle(self.text, self.place, "skip", "both").is_fire(self.theirs)

    @cached_property
    def passes_over(self) -> bool:
        """Whether they answer a matching time, but there is one nearer."""
        if not self.theirs or not self.matches or not self.near(self.wanted):
            return False
        return self.theirs > self.wanted if self.forward else self.theirs < self.wanted

    @property
    def is_on_the_wrong_side(self) -> bool:
        """Whether what should come later is not later, or what should be earlier is not earlier."""
        return bool(self.theirs) and (self.theirs <= self.at if self.forward else self.theirs >= self.at)

    def near(self, at: datetime) -> list[Jump]:
        """Return the jumps within a day and a half of an instant."""
        return list(jumps(self.place, at - 1.5 * DAY, at + 1.5 * DAY))

    def behind_gap(self, within: timedelta | None = None) -> bool:
        """Whether their answer lies in the stretch behind a gap, as long as the gap or as given."""
        return bool(self.theirs) and any(
            timedelta(0) <= self.theirs - _turn(jump) < (within or _length(jump))
            for jump in self.near(self.theirs)
            if jump.after > jump.before
        )

    def behind_skipped_date(self) -> bool:
        return (
            bool(self.theirs) and self.behind_gap(MINUTE) and _length(self.near(self.theirs)[0]) > DAY * 0.9
        )


def _turn(jump: Jump) -> datetime:
    return EPOCH + timedelta(seconds=jump.at)


def _length(jump: Jump) -> timedelta:
    return timedelta(seconds=abs(jump.after - jump.before))


CRONITER: dict[str, Callable[[Answer], bool]] = {
    "C8": lambda it: not it.is_interval and it.theirs == it.by(fold="both"),
    "C15": lambda it: not it.is_interval and not it.matches and it.behind_skipped_date(),
    "C9": lambda it: it.is_interval and it.forward and not it.matches and it.behind_gap(MINUTE),
    "C10": lambda it: not it.is_interval and not it.matches and it.behind_gap(MINUTE),
    "C11": lambda it: (
        not it.is_interval
        and it.passes_over
        and any(_turn(jump) == it.wanted and it.at - it.wanted < MINUTE for jump in it.near(it.wanted))
    ),
    "C12": lambda it: it.passes_over and any(jump.after < jump.before for jump in it.near(it.wanted)),
    "C13": lambda it: it.is_interval and not it.forward and not it.matches and it.behind_gap(MINUTE),
}
CRONSIM: dict[str, Callable[[Answer], bool]] = {
    "S1": lambda it: it.theirs is None and bool(it.near(it.at)),
    "S2": lambda it: it.matches and it.is_on_the_wrong_side and bool(it.near(it.at)),
    "S8": lambda it: it.library == "cronsim" and not it.is_interval and it.theirs == it.wanted,
    "S7": lambda it: not it.is_interval and not it.matches and it.behind_skipped_date(),
    "S10": lambda it: (
        not it.is_interval and it.behind_gap(MINUTE) and any(jump.at % 60 for jump in it.near(it.at))
    ),
    "S3": lambda it: it.forward and it.passes_over,
    "S5": lambda it: it.is_interval and not it.matches and it.behind_gap(),
    "S6": lambda it: not it.forward and it.passes_over,
}
EXPLAINED_BY = {"croniter": CRONITER, "cronsim": CRONSIM, "five-field cronsim": CRONSIM}


def explained(answer: Answer) -> str | None:
    """Return the class of a disagreement."""
    return next((name for name, holds in EXPLAINED_BY[answer.library].items() if holds(answer)), None)


def test_every_class_that_explains_is_in_the_table() -> None:
    assert set() == {*CRONITER, *CRONSIM} - CLASSES.keys()
    assert not [name for name in (*CRONITER, *CRONSIM) if CLASSES[name].get("skip")]


# --- random questions near jumps ------------------------------------------------------------------------

MOVED = [name for name in EVERY_ZONE if jumps(name, FIRST, LAST)]


def question(random: Random) -> tuple[str, str, datetime]:
    """Return an expression that the libraries read as we do, a zone, and an instant near one of its jumps."""
    place = random.choice([name for name in ZONES if name in MOVED] if random.random() < 0.25 else MOVED)
    jump = random.choice(jumps(place, FIRST, LAST))
    shifts = [0, -1, 1, -1800, 1800, -3600, 3599, 3600, *[random.randint(-129_600, 129_600)] * 8]
    at = _turn(jump) + timedelta(seconds=random.choice(shifts))
    near = [
        (at + timedelta(hours=n)).astimezone(ZoneInfo(place)).hour
        for at in (_turn(jump),)
        for n in (-2, -1, 0, 1)
    ]
    several = sorted({random.choice(near), random.choice(near), random.randrange(24)})
    hour, listed = str(random.choice([*near, random.randrange(24)])), ",".join(map(str, several))
    one, other = random.randrange(60), random.randrange(60)
    minutes = random.choice(["0", "30", f"{one}", f"{one},{other}", "*/30", "*/7", "59", "*"])
    seconds = random.choice(["0", "0", str(random.randrange(60)), "0,59"])
    hours = random.choice([hour, hour, listed, "*", "*/2", "*/3"])
    days = random.choice(["* * *", "* * *", "* * 1-5", "1,15 * *"])
    return f"{seconds} {minutes} {hours} {days}", place, at


def compare(library: str, seed: str) -> str | None:
    """Ask a library and us; return the class of the disagreement, if there is one."""
    random = Random(f"{library} {seed}")
    text, place, at = question(random)
    forward = random.random() < 0.5
    if library == "five-field cronsim":
        text = f"0 {text.partition(' ')[2]}"
    cron, where = parse(text), zone.__wrapped__(place)
    ours = cron.next_after(at, where) if forward else cron.previous_before(at, where)
    case = {
        "ask": "next" if forward else "previous",
        "expression": text.partition(" ")[2] if library == "five-field cronsim" else text,
        "timezone": place,
        "from": at.isoformat(),
    }
    (said,) = ask(library.rpartition(" ")[2], case, 1)
    theirs = None if said == ENDLESS else datetime.fromisoformat(said)
    if theirs == ours:
        return None
    found = explained(Answer(library, text, place, at, forward, theirs))
    assert found, f"{library} answers {said}, we {ours and ours.astimezone(ZoneInfo(place))}: {case} ({seed})"
    return found


@pytest.mark.parametrize("portion", range(PORTIONS))
@pytest.mark.parametrize("library", EXPLAINED_BY)
def test_every_disagreement_near_a_jump_is_of_a_known_class(library: str, portion: int) -> None:
    base = f"{secrets.token_hex(4)}-{portion}" if NIGHTLY else f"{portion}"
    found = {compare(library, f"{base}-{number}") for number in range(QUESTIONS)}

    assert None in found
    assert len(found) > 1
