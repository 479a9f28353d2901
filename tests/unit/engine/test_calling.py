"""Calling code that may not want to stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import pytest

from cronledger.jobs.calling import PATIENCE_SECONDS, call_apart, said
from tests.simulation.loop import run


class Wordless(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise SystemExit


def no_one(task: asyncio.Task[Any]) -> None:
    raise AssertionError(task)


async def tidy() -> None:
    """Take a second to tidy up."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)


async def insistent() -> str:
    """Answer all the same."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(10)
    return "all the same"


async def timed(function: Any, left: list[Any]) -> tuple[Any, float]:
    """Call with a limit of a second; return the answer and how long it took."""
    answer: Any = "cancelled"
    with anyio.move_on_after(1):
        answer = await call_apart(function, left_behind=left.append)
    return answer, anyio.current_time()


def test_what_returns_or_raises_does_so_for_the_caller() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise SystemExit(3)

    assert 7 == run(lambda: call_apart(answer, left_behind=no_one))
    with pytest.raises(SystemExit):
        run(lambda: call_apart(fail, left_behind=no_one))


def test_code_that_raises_a_cancellation_of_its_own_is_not_cancelled() -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError("mine")

    async def program() -> str:
        try:
            await call_apart(cancel, left_behind=no_one)
        except asyncio.CancelledError as error:
            return str(error)
        return "nothing"

    assert "mine" == run(program)


def test_code_that_tidies_up_is_waited_for() -> None:
    left: list[Any] = []
    answer, took = run(timed, tidy, left)

    assert ("cancelled", [], True) == (answer, left, 2 <= took < 2.1)


def test_code_that_answers_all_the_same_is_heard() -> None:
    assert "all the same" == run(timed, insistent, [])[0]


def test_code_that_goes_on_is_left_behind() -> None:
    async def program() -> tuple[float, int]:
        left: list[Any] = []
        scope = anyio.CancelScope()
        with scope:
            scope.deadline = anyio.current_time() + 1
            await call_apart(hang, left_behind=left.append)
        return anyio.current_time(), len(left)

    async def hang() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30)

    took, left = run(program)

    assert 1 == left
    assert 1 + PATIENCE_SECONDS <= took < 1.1 + PATIENCE_SECONDS


def test_an_error_that_cannot_speak_is_named() -> None:
    assert ["Wordless", "ValueError", "why"] == [
        said(Wordless()),
        said(ValueError()),
        said(ValueError("why")),
    ]
