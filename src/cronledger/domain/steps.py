"""Which steps of a run need not be done again: those that it, or a run that it repeats, has finished.

A retry made by an operator takes over what the earlier run has finished, and what that run had taken over
itself. `from_step` in its trigger says from where on it does the steps anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from cronledger.domain import events as e
from cronledger.domain.ids import RunId

BLOCK = "block"
"""The form of a step whose code cannot be left out: nothing of it is recalled."""


def repeated_by(stream: Sequence[e.Recorded]) -> RunId | None:
    """Return the run whose finished steps the run of this stream takes over, None if there is none."""
    first = stream[0] if stream else None
    if first is None or first.cause is not e.Cause.RETRY or not isinstance(first.body, e.RunTriggered):
        return None
    return first.body.of


def recall(streams: Iterable[Sequence[e.Recorded]]) -> dict[str, e.StepSucceeded | None]:
    """Return the steps of runs of which each repeats the one before it, in the order in which they began.

    Each with the success that stands, or None: a step that has never succeeded, or a block, is done again.
    """
    steps: dict[str, e.StepSucceeded | None] = {}
    for stream in streams:
        for recorded in stream:
            body = recorded.body
            match body:
                case e.RunTriggered():
                    steps = _before(steps, body.from_step)
                case e.StepStarted():
                    steps.setdefault(body.name)
                case e.StepSucceeded() if body.form != BLOCK:
                    steps[body.name] = body
                case _:
                    continue
    return steps


def _before(
    steps: Mapping[str, e.StepSucceeded | None], name: str | None
) -> dict[str, e.StepSucceeded | None]:
    """Return the steps that began before one of them."""
    return dict(takewhile(lambda step: step[0] != name, steps.items()))
