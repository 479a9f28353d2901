from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from cronledger.domain.progress import Progress, amount, percent, seconds_left
from tests.events import NOON, RUN


def progress(done: float, total: float | None) -> Progress:
    return Progress(run_id=RUN, attempt=1, done=done, total=total, message=None, at=NOON)


@pytest.mark.parametrize(
    ("value", "kept"),
    [(0, 0.0), (7, 7.0), (0.25, 0.25), (Decimal("1.5"), 1.5), (2**60, float(2**60))],
)
def test_numbers_from_zero_on_are_amounts(value: object, kept: float) -> None:
    assert kept == amount(value)


@pytest.mark.parametrize(
    "value", [-1, float("nan"), float("inf"), 10**400, True, "3", b"3", None, [], object(), 1j]
)
def test_what_cannot_be_counted_is_no_amount(value: object) -> None:
    assert amount(value) is None


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (0, 3, 0.0),
        (1, 3, 33.3),
        (2, 3, 66.6),
        (2999, 3000, 99.9),
        (3, 3, 100.0),
        (3, None, None),
        (0, 0, None),
    ],
)
def test_percent_is_rounded_down_so_that_a_hundred_means_all(
    done: float, total: float | None, expected: float | None
) -> None:
    assert expected == percent(progress(done, total))


def test_the_rest_takes_as_long_as_the_same_amount_took() -> None:
    began = NOON - timedelta(seconds=30)

    assert 90 == seconds_left(progress(1, 4), began)
    assert 0 == seconds_left(progress(4, 4), began)


@pytest.mark.parametrize(("done", "total"), [(0, 4), (3, None)])
def test_without_a_total_or_a_beginning_nobody_knows_how_long_it_takes(
    done: float, total: float | None
) -> None:
    assert seconds_left(progress(done, total), NOON - timedelta(seconds=30)) is None
    assert seconds_left(progress(1, 4), None) is None


def test_a_clock_that_went_back_makes_no_estimate_below_zero() -> None:
    assert 0 == seconds_left(progress(1, 4), NOON + timedelta(seconds=30))


@pytest.mark.parametrize(("done", "total"), [(1e-300, 1e300), (5e-324, 1.0), (1e-9, 1e30)])
def test_what_takes_longer_than_there_are_dates_is_not_estimated(done: float, total: float) -> None:
    """Such a word of a running job ended `jobs status` and `runs show`."""
    report = progress(done, total)

    assert seconds_left(report, NOON - timedelta(seconds=5)) is None
    assert 0 == seconds_left(report, NOON + timedelta(seconds=5))
    assert 0 == percent(report)


def test_so_much_of_so_little_is_no_percentage() -> None:
    assert percent(progress(1e300, 1e-300)) is None
