"""Calling code that may not want to stop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from functools import partial, wraps
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from cronledger.jobs.calling import PATIENCE_SECONDS, Stoppable, call, kept_of, said
from tests.simulation.loop import run


class Wordless(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise SystemExit


async def tidy() -> str:
    """Take a second to tidy up."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
    return "never"


async def insistent() -> str:
    """Answer all the same."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(10)
    return "all the same"


async def stubborn() -> str:
    """Go on for half a minute."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(30)
    return "at last"


class Watched:
    """Code in a block that may be stopped: its answer, when it was left behind, and how long it took."""

    def __init__(self) -> None:
        self.block = Stoppable()
        self.answer: Any = None
        self.left_at: float | None = None
        self.took = 0.0

    async def of(self, function: Any, *, seconds: float | None = 1, is_patient: bool = False) -> Watched:
        with self.block:
            self.block.begin(seconds, None if is_patient else self.leave)
            self.answer = await function()
        self.took = anyio.current_time()
        return self

    def leave(self) -> None:
        self.left_at = anyio.current_time()


def test_code_that_ends_in_time_is_not_disturbed() -> None:
    async def answer() -> int:
        return 7

    watched = run(lambda: Watched().of(answer))

    assert (7, None, False) == (watched.answer, watched.left_at, watched.block.is_told_to_stop)


def test_code_that_tidies_up_is_waited_for() -> None:
    watched = run(lambda: Watched().of(tidy))

    assert (None, None, True) == (watched.answer, watched.left_at, 2 <= watched.took < 2.1)
    assert watched.block.has_timed_out


def test_code_that_answers_all_the_same_is_heard() -> None:
    assert "all the same" == run(lambda: Watched().of(insistent)).answer


def test_code_that_goes_on_is_left_behind() -> None:
    watched = run(lambda: Watched().of(stubborn))

    assert watched.left_at is not None
    assert (1 + PATIENCE_SECONDS, 30) == (round(watched.left_at, 1), round(watched.took))
    assert watched.block.is_left


def test_code_that_is_waited_for_as_long_as_it_takes_is_never_left_behind() -> None:
    watched = run(lambda: Watched().of(stubborn, is_patient=True))

    assert (None, False, 30) == (watched.left_at, watched.block.is_left, round(watched.took))


def test_who_is_told_to_stop_before_it_begins_has_its_moment_all_the_same() -> None:
    async def program() -> Watched:
        watched = Watched()
        watched.block.stop()
        return await watched.of(stubborn, seconds=None)

    watched = run(program)

    assert watched.left_at is not None
    assert (PATIENCE_SECONDS, False) == (round(watched.left_at, 1), watched.block.has_timed_out)


def test_nobody_is_left_behind_after_the_end() -> None:
    async def program() -> Watched:
        watched = await Watched().of(anyio.lowlevel.checkpoint, seconds=None)
        watched.block.stop()
        await anyio.sleep(10)
        return watched

    assert run(program).left_at is None


def test_an_error_that_cannot_speak_is_named() -> None:
    assert ["Wordless", "ValueError", "why"] == [
        said(Wordless()),
        said(ValueError()),
        said(ValueError("why")),
    ]


class Proxied(Exception):
    """An error that wraps something which answers nothing."""

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise LookupError


def test_an_error_that_hides_what_it_is_made_of_is_told_all_the_same() -> None:
    assert "why" == kept_of(Proxied("why"))


def test_of_a_statement_that_fails_only_what_the_database_says_is_kept() -> None:
    """Not the statement, nor the values it was given: nobody could erase them from the history."""
    with create_engine("sqlite://", poolclass=NullPool).connect() as connection:
        connection.execute(text("CREATE TABLE person (name TEXT UNIQUE)"))
        insert = text("INSERT INTO person VALUES (:name)")
        connection.execute(insert, {"name": "Ann"})
        with pytest.raises(IntegrityError, match="Ann") as caught:
            connection.execute(insert, {"name": "Ann"})

    assert "UNIQUE constraint failed: person.name" == kept_of(caught.value)


def numbers() -> Any:
    yield 1


async def later_numbers() -> Any:
    yield 1


async def numbers_after_all() -> Any:
    return numbers()


@wraps(numbers)
def wrapped_numbers() -> Any:
    return numbers()


@pytest.mark.parametrize("function", [numbers, later_numbers, wrapped_numbers])
def test_what_only_makes_a_generator_has_not_done_its_work(function: Any) -> None:
    """The run or step was recorded as succeeded, and not a line was performed."""
    with pytest.raises(TypeError, match="numbers has a `yield`: none of it was performed"):
        asyncio.run(call(function))


def names_of(people: list[str]) -> Any:
    return (each.title() for each in people)


@pytest.mark.parametrize("function", [numbers_after_all, partial(names_of, ["ann"])])
def test_what_returns_a_generator_has_done_its_work(function: Any) -> None:
    assert inspect.isgenerator(asyncio.run(call(function)))


class Unbound:
    """Answers nothing unless there is a request going on, as proxies of web frameworks do."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"outside of a request: {name}")


def test_what_is_returned_is_asked_for_nothing() -> None:
    found = Unbound()

    assert asyncio.run(call(lambda: found)) is found
