"""The log that a job writes to."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from cronledger.engine.discretion import JobLog

SECRET = "s3cret-canary"


def written(caplog: pytest.LogCaptureFixture, act: Callable[[JobLog], None]) -> str:
    """Return what a handler writes that knows nothing of secrets."""
    caplog.clear()
    log = JobLog(logging.getLogger("cronledger.jobs.test"), {}, lambda text: text.replace(SECRET, "***"))
    act(log)
    (record,) = caplog.records
    return logging.Formatter("%(message)s").format(record)


def raised(error: Exception, cause: Exception | None = None, context: Exception | None = None) -> Exception:
    """Return an exception that has been raised, with what it came from."""
    try:
        raise error from cause
    except type(error):
        if context is not None:
            error.__context__, error.__suppress_context__ = context, False
        return error


def test_a_logged_exception_keeps_its_place_and_loses_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    error = raised(ValueError(f"no answer from {SECRET}"))

    def act(log: JobLog) -> None:
        log.warning("posting to %s", SECRET, exc_info=(ValueError, error, error.__traceback__))

    first, *middle, last = written(caplog, act).splitlines()

    assert "posting to ***" == first
    assert "ValueError: no answer from ***" == last
    assert any("in raised" in line for line in middle)


@pytest.mark.parametrize("how", ["cause", "context"])
def test_what_an_exception_came_from_is_told_without_secrets_too(
    caplog: pytest.LogCaptureFixture, how: str
) -> None:
    error = raised(ValueError("bad"), **{how: OSError(SECRET)})

    text = written(caplog, lambda log: log.warning("failed", exc_info=error))

    assert SECRET not in text
    assert "OSError: ***" in text
    assert ("direct cause" in text) is (how == "cause")


class Detached:
    """A row whose session is gone."""

    def __repr__(self) -> str:
        raise LookupError("no session")


@pytest.mark.parametrize("args", [({"name": 1},), (Detached(),), (1, 2)])
def test_a_line_that_cannot_be_formatted_is_no_failure(
    caplog: pytest.LogCaptureFixture, args: tuple[object, ...]
) -> None:
    assert written(caplog, lambda log: log.warning("%(nam)s", *args)).startswith("%(nam)s ")


def test_an_exception_that_is_its_own_cause_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError(SECRET)
    error.__cause__ = OSError("before")
    error.__cause__.__cause__ = error

    text = written(caplog, lambda log: log.warning("failed", exc_info=error))

    assert 1 == text.count("ValueError: ***")
    assert 1 == text.count("OSError: before")


def test_in_a_handler_true_stands_for_the_exception_at_hand(caplog: pytest.LogCaptureFixture) -> None:
    def act(log: JobLog) -> None:
        try:
            int(SECRET)
        except ValueError:
            log.exception("no number")

    assert "literal for int() with base 10: '***'" in written(caplog, act)


def test_without_an_exception_there_is_only_the_line(caplog: pytest.LogCaptureFixture) -> None:
    assert "fine" == written(caplog, lambda log: log.warning("fine", exc_info=False))
