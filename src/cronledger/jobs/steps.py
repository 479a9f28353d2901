"""What a step of a run may do to the others: stop them, let them go on, take their name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

from cronledger.errors import CronledgerError, UsageError

STEP: ContextVar[str | None] = ContextVar("cronledger_step", default=None)
"""The step that the code at hand belongs to: each task, and each thread of a plain step, has its own."""


class OnError(StrEnum):
    """What becomes of a run after one of its steps has failed."""

    CONTINUE = "continue"
    STOP = "stop"


class StepFailed(Exception):
    """A step of a run has failed; its error is recorded with the step."""

    def __init__(self, name: str, error: str) -> None:
        super().__init__(f"step '{name}' failed: {error}")
        self.name = name
        self.error = error


class DuplicateStep(CronledgerError):
    """A run has used the name of a step twice in one attempt."""

    code = "duplicate_step"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"this run already has a step '{name}': a step is recorded, and recalled when its run is tried "
            f"again, by its name; give each step a name of its own, for example '{name} 2'",
        )
        self.name = name


def on_error_of(value: str) -> OnError:
    """Return the choice that a text stands for. Raises UsageError for any other text."""
    try:
        return OnError(value)
    except ValueError:
        raise UsageError(
            f"on_error is {value!r}, which is not a choice", hint="use 'continue' or 'stop'"
        ) from None


@contextmanager
def named(name: str | None) -> Iterator[None]:
    """Let lines that are logged meanwhile say of which step they are; an outer step goes on afterwards."""
    outer = STEP.get()
    STEP.set(name)
    try:
        yield
    finally:
        STEP.set(outer)  # by its value: a block may be left in another context than it was entered in
