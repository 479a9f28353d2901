"""Which steps of a run need not be done again: those that it, or a run that it repeats, has finished.

A retry made by an operator takes over what the earlier run has finished, and what that run had taken over
itself. `from_step` in its trigger says from where on it does the steps anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import msgspec

from cronledger.domain import events as e
from cronledger.domain.ids import RunId


class Step(msgspec.Struct, frozen=True):
    """What is known of a step: whether it has ever succeeded, and the result of the last time that it did."""

    is_finished: bool = False
    result: Any = None


def repeated_by(stream: Sequence[e.Recorded]) -> RunId | None:
    """Return the run whose finished steps the run of this stream takes over, None if there is none."""
    first = stream[0] if stream else None
    if first is None or first.cause is not e.Cause.RETRY or not isinstance(first.body, e.RunTriggered):
        return None
    return first.body.of


def recall(streams: Iterable[Sequence[e.Recorded]]) -> dict[str, Step]:
    """Return the steps of runs of which each repeats the one before it, in the order in which they began."""
    steps: dict[str, Step] = {}
    for stream in streams:
        for recorded in stream:
            body = recorded.body
            match body:
                case e.RunTriggered():
                    steps = _before(steps, body.from_step)
                case e.StepStarted():
                    steps.setdefault(body.name, Step())
                case e.StepSucceeded():
                    steps[body.name] = Step(is_finished=True, result=body.result)
                case _:
                    continue
    return steps


def _before(steps: Mapping[str, Step], name: str | None) -> dict[str, Step]:
    """Return the steps that began before one of them."""
    return dict(takewhile(lambda step: step[0] != name, steps.items()))
