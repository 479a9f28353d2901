"""Whatever a job returns, reports or raises, its run ends, within its bounds, and can be read again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronledger import Job, JobContext, JobResult
from cronledger.domain.run import Outcome, RunState
from cronledger.engine.steps import MOST_STEPS
from cronledger.ledger.normal import ERROR_BYTES, MESSAGE_BYTES
from cronledger.testing import perform, perform_with_steps

ENDS = {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.PARTIAL}


class Unfriendly:
    """A value that answers no question."""

    def __index__(self) -> int:
        raise OSError("no number")

    def __repr__(self) -> str:
        raise OSError("no words")


class Wordless(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise OSError("no words")


def recursive() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


def nested(depth: int) -> list[Any]:
    inside: list[Any] = []
    for _ in range(depth):
        inside = [inside]
    return inside


TEXTS = st.text(st.characters(), max_size=50) | st.sampled_from(["\0", "\ud800", "x" * 100_000, "é" * 50_000])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXTS,
    st.binary(max_size=20),
    st.sampled_from(
        [10**400, -(2**63), 2**63, float("nan"), float("-inf"), datetime(2026, 1, 1, tzinfo=UTC)]
    ),
    st.builds(Unfriendly),
    st.builds(object),
)
ANYTHING = st.recursive(
    SCALARS | st.builds(recursive) | st.just(nested(1000)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.integers(), inner, max_size=4),
    max_leaves=8,
)


class Reports(Job):
    """Reports what it was made with, in every place where something can be reported."""

    name = "reports"

    def __init__(self, value: Any, *, name: Any = "step") -> None:
        self.value = value
        self.step_name = name

    async def execute(self, ctx: JobContext) -> JobResult:
        value = self.value
        async with ctx.step(self.step_name) as step:
            step.report(message=value, result=value)
        return JobResult(ok=True, message=value)


class Returns(Job):
    """Has a step return what it was made with, and keeps what it is given."""

    name = "returns"

    def __init__(self, value: Any) -> None:
        self.value = value
        self.given: Any = None

    async def execute(self, ctx: JobContext) -> None:
        value = self.value
        self.given = await ctx.step("step", lambda: value)


class Counts(Job):
    """Counts with what it was made with."""

    name = "counts"

    def __init__(self, value: Any) -> None:
        self.value = value

    async def execute(self, ctx: JobContext) -> JobResult:
        try:
            async with ctx.step("block") as step:
                step.report(processed=self.value, failed=self.value)
        finally:
            return JobResult(  # noqa: B012 - the step's failure is not what is tested
                ok=True, items_processed=self.value, items_failed=self.value, duration_ms=self.value
            )


class Raises(Job):
    """Raises an error that says what it was made with."""

    name = "raises"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def execute(self, ctx: JobContext) -> None:
        del ctx
        raise self.error


class Many(Job):
    """Has more steps than a run may have."""

    name = "many"

    async def execute(self, ctx: JobContext) -> None:
        for number in range(MOST_STEPS + 1):
            await ctx.step(f"step {number}", lambda: None)


def outcome_of(job: Job) -> RunState:
    """Perform a job and read its run back from the ledger."""
    return asyncio.run(perform(job))


def is_bounded(state: RunState) -> bool:
    return (
        len((state.message or "").encode()) <= MESSAGE_BYTES
        and len((state.error or "").encode()) <= ERROR_BYTES
    )


FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(ANYTHING, SCALARS)
def test_a_run_that_reports_anything_succeeds(value: Any, name: Any) -> None:
    """Fault 71."""
    state = outcome_of(Reports(value, name=name))

    assert Outcome.SUCCEEDED is state.outcome
    assert is_bounded(state)


@FEW
@given(ANYTHING)
def test_a_step_returns_what_the_ledger_keeps_or_fails_and_says_why(value: Any) -> None:
    """Fault 71. A note that stood for what was not kept came back as the result at the next attempt."""
    job = Returns(value)
    done = asyncio.run(perform_with_steps(job))
    (step,) = done.steps

    assert is_bounded(done.run)
    if done.run.outcome is Outcome.SUCCEEDED:
        assert job.given == step.result
    else:
        assert Outcome.FAILED is done.run.outcome
        assert "the ledger" in str(done.run.error)
        assert "the ledger" in str(step.error)


@FEW
@given(ANYTHING)
def test_a_count_that_is_no_number_fails_the_run_and_nothing_else(value: Any) -> None:
    """Fault 71."""
    state = outcome_of(Counts(value))
    is_number = value is None or isinstance(value, int)

    assert is_number == (state.error is None or "unserialisable" not in state.error) or value is None
    assert state.outcome in ENDS
    assert is_bounded(state)


@FEW
@given(st.builds(ValueError, ANYTHING) | st.builds(Wordless) | st.builds(SystemExit, ANYTHING))
def test_an_error_that_says_anything_fails_the_run(error: BaseException) -> None:
    """Faults 71, 72."""
    state = outcome_of(Raises(error))

    assert Outcome.FAILED is state.outcome
    assert state.error is not None
    assert state.error.startswith(type(error).__name__)
    assert is_bounded(state)


@pytest.mark.parametrize("value", [1.5, "7", float("nan"), [1], Unfriendly()])
def test_a_count_of_another_type_is_refused_in_words(value: Any) -> None:
    state = outcome_of(Counts(value))

    assert Outcome.FAILED is state.outcome
    assert state.error


def test_fifty_megabytes_of_message_are_cut() -> None:
    state = outcome_of(Reports("x" * 50_000_000))

    assert Outcome.SUCCEEDED is state.outcome
    assert is_bounded(state)


def test_a_result_nested_a_hundred_thousand_deep_is_cut() -> None:
    assert Outcome.SUCCEEDED is outcome_of(Reports(nested(100_000))).outcome


def test_a_run_with_too_many_steps_fails_and_says_why() -> None:
    state = outcome_of(Many())

    assert Outcome.FAILED is state.outcome
    assert f"at most {MOST_STEPS} steps" in str(state.error)
