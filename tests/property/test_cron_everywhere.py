"""The cron engine in every zone: random questions, and every jump of every clock from 2000 to 2040.

The ordinary run asks 5,000 random questions, the nightly one 200,000. A case is drawn from a seed of its own,
which a failure shows: `CRON_SEED=... pytest -k one_case` asks it again. Zones whose clocks jump alike from
2000 to 2040 are asked as one: with tzdata 2025b, 597 names share 162 histories, with 6,218 jumps.
"""

from __future__ import annotations

import os
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings

from cronledger.domain.cron import Cron, parse
from cronledger.domain.definition import DayMatch, Dst, Fold, Gap
from cronledger.domain.zone import Zone, zone
from cronledger.errors import UnknownZone
from tests.property.cron_oracle import DAY, EPOCH, SECOND, Oracle
from tests.property.cron_strategies import ZONES, Case
from tests.property.zone_files import EVERY_ZONE, NOT_ZONES, Jump, changes, histories, jumps

NIGHTLY = settings.get_current_profile_name() == "nightly"
PORTIONS = 20
"""So many parts has each of the two large tests: workers share them, and no part takes long."""
QUESTIONS = (200_000 if NIGHTLY else 5_000) // PORTIONS
RULES = [Dst(gap=gap, fold=fold) for gap, fold in product(Gap, Fold)]
AT_JUMPS = (
    RULES if NIGHTLY else [RULES[0], Dst(gap=Gap.SHIFT, fold=Fold.SECOND), Dst(gap=Gap.SKIP, fold=Fold.BOTH)]
)
"""A jump is a gap or a fold, so that three rules meet every choice for either."""
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)

portions = pytest.mark.parametrize("portion", range(PORTIONS))


# --- random questions -----------------------------------------------------------------------------------

BUSY = [
    "* * *",
    "*/7 * *",
    "0 * *",
    "*/20 */15 *",
    "0 0 *",
    "0 */5 *",
    "30 15,45 *",
    "0 0/20 0-23",
    "0 30 */2",
]
DAYS = [
    *["* * *"] * 12,
    *["* * 1-5", "1,15 * *", "L * 0", "*/2 3,10 *", "* * +7", "LW * *", "15W * ?", "? 3-4,9-11 *"],
    *["1-7 * +SUN", "* * 5L", "* * SUN#2,1#L", "29 2 *", "31 * MON-FRI", "L 1,12 +FRI-SUN"],
]


def drawn(seed: str) -> Case:
    """Return the case of a seed: mostly within 36 hours of a jump of its zone, at the hours of the jump."""
    random = Random(seed)
    place = random.choice(ZONES if random.random() < 0.25 else EVERY_ZONE)
    turns = changes(place, 2100)
    anywhere = EPOCH + timedelta(seconds=random.randrange(131 * 365 * 86400))
    turn = random.choice(turns) if turns and random.random() < 0.8 else anywhere
    near = random.choice([0, -1, 1, -1800, 1800, -3600, 3599, 3600, *[random.randint(-129_600, 129_600)] * 8])
    micros = random.choice([0, 0, 0, 1, 999_999])
    text = f"{_times(random, _hours_of(turn, place))} {random.choice(DAYS)}"
    at = max(turn + timedelta(seconds=near, microseconds=micros), EPOCH)
    case = Case(
        text, place, random.choice(RULES), at, random.choice([DayMatch.OR, DayMatch.OR, DayMatch.AND])
    )
    if random.random() < 0.25:
        return Case(case.text, place, case.rule, case.oracle.first_after(at), case.day_match)
    return case


def _hours_of(turn: datetime, place: str) -> list[int]:
    before, after = ((turn + delta).astimezone(ZoneInfo(place)).hour for delta in (-SECOND, 0 * SECOND))
    return [before, after, (before + 1) % 24, (after - 1) % 24, (after + 1) % 24]


def _times(random: Random, hours: list[int]) -> str:
    if random.random() < 0.2:
        return random.choice(BUSY)
    seconds = random.choice(["0", "0", str(random.randrange(60)), "0,59", "7/26"])
    minute, other = random.randrange(60), random.randrange(60)
    minutes = random.choice(["0", "30", f"{minute}", f"{minute},{other}", "*/30", "*/7", "59", f"{minute}/9"])
    hour = random.choice(hours + hours + [random.randrange(24)])
    several = sorted({random.choice(hours), random.choice(hours), random.randrange(24)})
    listed = ",".join(map(str, several))
    return f"{seconds} {minutes} {random.choice([hour, hour, listed, f'{several[0]}-{several[-1]}', '*/3'])}"


def check(case: Case, place: Zone) -> None:
    """Ask the engine and the oracle the three questions at the case's instant."""
    engine = parse(case.text, day_match=case.day_match)
    following, preceding = case.oracle.first_after(case.at), case.oracle.last_before(case.at)

    assert following == engine.next_after(case.at, place, case.rule)
    assert preceding == engine.previous_before(case.at, place, case.rule)
    assert case.oracle.is_fire(case.at) == engine.matches(case.at, place, case.rule)
    assert engine.matches(following, place, case.rule)


@portions
def test_next_previous_and_matches_are_those_of_the_oracle(portion: int) -> None:
    base = f"{secrets.token_hex(4)}-{portion}" if NIGHTLY else f"{portion}"
    # A list grown over a century costs more than the few questions the ordinary run asks of it.
    place: Callable[[str], Zone] = zone if NIGHTLY else zone.__wrapped__
    for number in range(QUESTIONS):
        seed = f"{base}-{number}"
        case = drawn(seed)
        try:
            check(case, place(case.place))
        except AssertionError as failure:
            failure.add_note(f"CRON_SEED={seed}: {case}")
            raise


def test_one_case_can_be_asked_again_by_its_seed() -> None:
    case = drawn(os.environ.get("CRON_SEED", "0-0"))

    check(case, zone(case.place))


# --- every jump -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _histories() -> list[tuple[tuple[Jump, ...], list[str]]]:
    found = histories(FIRST, LAST)
    return sorted(found.items(), key=lambda item: item[1])


def portion_of(number: int) -> Iterable[tuple[str, tuple[Jump, ...]]]:
    """Yield one zone of each history, and the history's jumps."""
    return ((names[0], found) for found, names in _histories()[number::PORTIONS])


@portions
def test_around_every_jump_from_2000_to_2040_fire_times_are_those_of_the_oracle(portion: int) -> None:
    for place, found in portion_of(portion):
        for jump in found:
            for text in _texts_for(jump):
                check_around(jump, text, place)


def check_around(jump: Jump, text: str, place: str) -> None:
    """Compare the fire times of the two days round a jump: forward, backward, and asked from the jump."""
    turn = EPOCH + timedelta(seconds=jump.at)
    since, until, length = turn - DAY, turn + DAY, SECOND * (jump.high - jump.low)
    cron, where = parse(text), zone(place)
    for rule in [Dst()] if cron.spec.interval else AT_JUMPS:
        fires = Oracle(text, place, rule.gap, rule.fold).fires(since, until)
        forward = list(cron.fire_times(since - SECOND, until, zone=where, dst=rule, limit=1000))

        assert fires == forward, (text, place, rule)
        assert fires == backward(cron, since, until, (where, rule)), (text, place, rule)
        for at in (turn - SECOND, turn, turn + SECOND, turn - length / 2, turn + length / 2):
            before, after = fires[: bisect_left(fires, at)], fires[bisect_right(fires, at) :]

            assert cron.matches(at, where, rule) == (at in fires), (text, place, rule, at)
            assert not before or before[-1] == cron.previous_before(at, where, rule), (text, place, rule, at)
            assert not after or after[0] == cron.next_after(at, where, rule), (text, place, rule, at)


def backward(cron: Cron, since: datetime, until: datetime, place: tuple[Zone, Dst]) -> list[datetime]:
    """Return the fire times in [since, until] in order, found from the end."""
    found = []
    here = cron.previous_before(until + SECOND, *place)
    while here and here >= since:
        found.append(here)
        here = cron.previous_before(here, *place)
    return found[::-1]


def _texts_for(jump: Jump) -> list[str]:
    """Return two intervals, the time at which the jump ends, two times inside it, and many in one."""
    middle = (jump.low + jump.high) // 2
    edges = f"{jump.low // 60 % 60},{(jump.high - 1) // 60 % 60}"
    hours = ",".join(sorted({f"{jump.low // 3600 % 24}", f"{(jump.high - 1) // 3600 % 24}"}))
    at_the_edges = f"0,59 {edges} {hours} * * *"
    daily = [_daily(local) for local in (jump.high, middle, jump.high - 1)]
    return ["0 0 * * * *", "0 */15 * * * *", *daily, at_the_edges]


def _daily(local: int) -> str:
    return f"{local % 60} {local // 60 % 60} {local // 3600 % 24} * * *"


@portions
def test_the_engine_knows_every_jump_of_every_zone(portion: int) -> None:
    for place, found in portion_of(portion):
        where = zone(place)
        where.around(int(FIRST.timestamp()))
        spans = where.around(int(LAST.timestamp()))
        known = dict(spans.changes()[1:])

        assert {jump.at: jump.after for jump in found} == {
            at: after for at, after in known.items() if FIRST.timestamp() <= at < LAST.timestamp()
        }


def test_the_histories_are_those_of_all_zones() -> None:
    names = [name for _, alike in _histories() for name in alike]

    assert sorted(names) == sorted(EVERY_ZONE)
    assert 590 <= len(names)
    assert 6000 <= sum(len(found) for found, _ in _histories())
    assert jumps("America/New_York", FIRST, FIRST + 365 * DAY)[0] == Jump(954_658_800, -18_000, -14_400)


def test_every_zone_is_one_for_the_engine_and_nothing_else_is() -> None:
    for name in EVERY_ZONE:
        assert name == zone.__wrapped__(name).name
    for name in NOT_ZONES:
        with pytest.raises(UnknownZone):
            zone(name)
