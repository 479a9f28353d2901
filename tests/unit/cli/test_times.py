"""Durations and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronledger.cli.times import Moment, duration, moment, position_or_moment, seconds_of
from cronledger.domain.ids import Position
from cronledger.errors import UsageError

NOW = datetime(2026, 3, 15, 12, 30, 45, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h", 3600), ("2d", 172_800), ("1w", 604_800), ("90", 90), ("0.5", 0.5)],
)
def test_a_duration_is_a_number_with_a_unit(text: str, seconds: float) -> None:
    assert timedelta(seconds=seconds) == duration(text)


@pytest.mark.parametrize(
    "text",
    ["", "s", "1x", "-1s", "1 h", "1h30m", "0", "0s", "\u0661h", "9999999w", "1e3s", "inf", "nan", "1H"],
)
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        duration(text)

    assert 2 == caught.value.exit_code
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", datetime(2026, 3, 15, 12, 29, 15, tzinfo=UTC)),
        ("1w", datetime(2026, 3, 8, 12, 30, 45, tzinfo=UTC)),
        ("today", datetime(2026, 3, 15, tzinfo=UTC)),
        ("yesterday", datetime(2026, 3, 14, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T03:00:00Z", datetime(2026, 1, 31, 3, tzinfo=UTC)),
        ("2026-01-31t03:00:00.5z", datetime(2026, 1, 31, 3, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-31T03:00:00+02:00", datetime(2026, 1, 31, 1, tzinfo=UTC)),
        ("2026-01-31 03:00:00Z", datetime(2026, 1, 31, 3, tzinfo=UTC)),
        ("1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_instant(text: str, expected: datetime) -> None:
    assert Moment(at=expected) == moment(text, NOW)


def test_a_moment_may_be_a_position() -> None:
    assert Moment(position=Position(42)) == moment("position:42", NOW)


@pytest.mark.parametrize(
    "text",
    [
        "", "42", "1x", "tomorrow", "2026-02-30", "2026-1-1", "2026-01-31T03:00:00", "2026-01-31T25:00:00Z",
        "2026-01-31T03:00Z", "20260131", "2026-W05", "position:", "position:-1", "position:x", "TODAY",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59",
    ],
)  # fmt: skip
def test_anything_else_is_no_moment_and_the_error_says_what_is(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment(text, NOW)

    assert "position:N" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31T23:59:59Z", "99w"])
def test_the_time_of_the_ledger_begins_in_1970(text: str) -> None:
    """What looked just before the year 1 ended in a traceback."""
    with pytest.raises(UsageError, match="lies before 1970"):
        moment(text, datetime(1971, 1, 1, tzinfo=UTC))


def test_an_empty_duration_is_none_and_one_that_is_not_given_has_no_end() -> None:
    """An empty one had no end either."""
    assert seconds_of(None) is None
    with pytest.raises(UsageError, match="is not a duration"):
        seconds_of("")


def test_where_positions_are_usual_a_bare_number_is_one() -> None:
    assert Moment(position=Position(42)) == position_or_moment("42", NOW)
    assert Moment(position=Position(42)) == position_or_moment("position:42", NOW)


@given(st.text(max_size=40))
def test_no_text_is_anything_but_a_moment_or_a_usage_error(text: str) -> None:
    try:
        found = moment(text, NOW)
    except UsageError:
        return

    assert (found.at is None) != (found.position is None)
