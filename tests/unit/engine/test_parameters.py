"""Parameters of a run against those that its job declares."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Annotated, Any

import msgspec
import pytest

from cronledger import Job
from cronledger.errors import UsageError
from cronledger.jobs.parameters import fitted


class Kind(Enum):
    """A choice."""

    DUST = "dust"
    WEB = "web"


class Limits(msgspec.Struct):
    """One of each."""

    room: str
    days: int = 30
    part: float | None = None
    is_dry: bool = False
    rooms: list[str] = []
    since: date | None = None
    kind: Kind = Kind.DUST
    most: Annotated[int, msgspec.Meta(ge=1)] = 5


class Tidy(Job):
    """A job that declares its parameters."""

    name = "tidy"
    params = Limits


def given(**parameters: Any) -> dict[str, Any]:
    return fitted(Tidy(), "tidy", {"room": "attic", **parameters})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("room", "7", "7"),
        ("days", "7", 7),
        ("part", "0.5", 0.5),
        ("part", "null", None),
        ("is_dry", "true", True),
        ("rooms", '["hall", "attic"]', ["hall", "attic"]),
        ("since", "2026-01-01", "2026-01-01"),
        ("kind", "web", "web"),
        ("days", 7, 7),
        ("rooms", ["hall"], ["hall"]),
    ],
)
def test_a_text_is_read_as_what_is_declared(name: str, text: object, value: object) -> None:
    assert {"room": "attic", name: value} == given(**{name: text})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("days", "seven", "parameter 'days' of job 'tidy' cannot be 'seven': expected `int`, got `str`"),
        ("days", 1.5, "parameter 'days' of job 'tidy' cannot be 1.5: expected `int`, got `float`"),
        ("most", "0", "parameter 'most' of job 'tidy' cannot be '0': expected `int` >= 1"),
        ("rooms", "hall", "parameter 'rooms' of job 'tidy' cannot be 'hall': expected `array`, got `str`"),
        ("kind", "mud", "parameter 'kind' of job 'tidy' cannot be 'mud': invalid enum value 'mud'"),
        ("room", None, "parameter 'room' of job 'tidy' cannot be None: expected `str`, got `null`"),
        ("dais", "7", "job 'tidy' has no parameter 'dais'"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: object, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        given(**{name: value})

    assert words == refused.value.message
    assert "room: str, days: int = 30" in str(refused.value.hint)


def test_an_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(UsageError) as refused:
        given(dais="7")

    assert str(refused.value.hint).startswith("did you mean 'days'? declared: room: str")


def test_what_is_needed_may_stand_in_the_entry() -> None:
    with pytest.raises(UsageError, match="job 'tidy' needs the parameter 'room' of type str"):
        fitted(Tidy(), "tidy", {"days": "7"})

    assert {"days": 7} == fitted(Tidy(), "tidy", {"days": "7"}, {"room": "attic"})


def test_a_job_that_declares_nothing_takes_anything() -> None:
    assert {"days": "7", "x": [1]} == fitted(Job(), "any", {"days": "7", "x": [1]})
