"""Fixed intervals and single moments against what they mean; and what clock changes leave out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from cronledger.domain.clock_changes import clock_changes
from cronledger.domain.definition import Dst, Fold, Gap
from cronledger.domain.schedule import Schedule, schedule_of
from cronledger.errors import InvalidSchedule
from tests.property.cron_oracle import Oracle
from tests.property.cron_strategies import ZONES, Case, sparse_cases

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 100 * 365 * 86_400).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
DAYS = timedelta(days=3)
RULES = st.builds(Dst, gap=st.sampled_from(Gap), fold=st.sampled_from(Fold))


@given(st.integers(1, 40 * 86_400), INSTANTS, INSTANTS)
def test_an_interval_fires_at_exact_multiples_from_its_anchor(
    period: int, anchor: datetime, at: datetime
) -> None:
    schedule = schedule_of(f"every {period}s from {anchor.isoformat()}")

    assert schedule
    following = schedule.next_after(at)
    previous = schedule.previous_before(at)

    assert following is not None
    assert timedelta(0) == (following - anchor) % timedelta(seconds=period)
    assert at < following <= at + timedelta(seconds=period)
    if previous is not None:
        assert timedelta(0) == (previous - anchor) % timedelta(seconds=period)
        assert at - timedelta(seconds=period) <= previous < at


@given(sparse_cases(), RULES)
def test_a_moment_is_the_nominal_time_of_one_date(case: Case, rule: Dst) -> None:
    local = case.at.astimezone(Oracle("* * * * * *", case.place).tz).replace(tzinfo=None, microsecond=0)
    cron = f"{local.second} {local.minute} {local.hour} {local.day} {local.month} *"
    oracle = Oracle(cron, case.place, rule.gap.value, rule.fold.value)
    expected = oracle.fires(case.at - DAYS, case.at + DAYS)

    assert expected == found(f"at {local.isoformat()}", case.place, rule, case.at)


@given(st.sampled_from(ZONES), st.integers(-5400, 5400), st.integers(0, 50), RULES)
def test_a_moment_near_a_jump_is_the_nominal_time_of_one_date(
    name: str, shift: int, choice: int, rule: Dst
) -> None:
    schedule = schedule_of("* * * * * *", timezone=name)
    assert schedule
    spans = schedule.zone.around(1_000_000_000) and schedule.zone.around(1_700_000_000)
    index = choice % len(spans.starts)
    assume(index > 0 and spans.starts[index] > 86_400)
    local = datetime(1970, 1, 1) + timedelta(seconds=spans.floors[index] + shift)  # noqa: DTZ001 - a reading
    at = EPOCH + timedelta(seconds=spans.starts[index])
    cron = f"{local.second} {local.minute} {local.hour} {local.day} {local.month} *"
    oracle = Oracle(cron, name, rule.gap.value, rule.fold.value)

    assert oracle.fires(at - DAYS, at + DAYS) == found(f"at {local.isoformat()}", name, rule, at)


@given(sparse_cases())
def test_where_no_change_is_told_every_rule_fires_alike(case: Case) -> None:
    def fires(rule: Dst) -> list[datetime]:
        schedule = schedule_of(case.text, timezone=case.place, dst=rule)
        assert schedule
        return list(schedule.fire_times(start, start + 2 * DAYS, 10_000))

    start = case.at - DAYS
    usual = schedule_of(case.text, timezone=case.place)
    assert usual
    every = [fires(Dst(gap=gap, fold=fold)) for gap in Gap for fold in Fold]
    told = clock_changes(usual, start - DAYS, 4 * DAYS)

    if not told:
        assert all(one == other for one, other in pairwise(every))
    elif not usual.rule.spec.interval:
        assert len(told) == len({change.at for change in told})


def found(text: str, name: str, rule: Dst, at: datetime) -> list[datetime]:
    try:
        schedule: Schedule | None = schedule_of(text, timezone=name, dst=rule)
    except InvalidSchedule:
        return []
    assert schedule
    return list(schedule.fire_times(at - DAYS - timedelta(seconds=1), at + DAYS, 10))
