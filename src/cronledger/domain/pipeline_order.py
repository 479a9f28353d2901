"""Which steps of a pipeline may begin, given what has become of the others.

A step begins when every step that it needs has succeeded. One that needs a step which failed or was skipped
is skipped, and so is whatever needs it: nothing waits for what will not come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum

import msgspec

from cronledger.errors import UsageError


class Standing(StrEnum):
    """What has become of a step so far."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class Needs(msgspec.Struct, frozen=True):
    """A step and the names of those that must have succeeded before it begins."""

    name: str
    needs: tuple[str, ...] = ()


class Moves(msgspec.Struct, frozen=True):
    """What is to be done next: steps to begin, in order, and steps to skip, each with the reason."""

    begin: list[str]
    skip: list[tuple[str, str]]


def next_moves(order: Sequence[Needs], standing: Mapping[str, Standing], *, limit: int) -> Moves:
    """Decide what is begun and what is skipped, with at most `limit` steps at work at once.

    >>> order = [Needs("load"), Needs("index", ("load",)), Needs("report", ("index",))]
    >>> known = {"load": Standing.FAILED, "index": Standing.WAITING, "report": Standing.WAITING}
    >>> next_moves(order, known, limit=1).skip
    [('index', "needs 'load', which failed"), ('report', "needs 'index', which was skipped")]
    """
    now = dict(standing)
    skip: list[tuple[str, str]] = []
    before = -1
    while before < len(skip):
        before = len(skip)
        for step in order:
            if now[step.name] is Standing.WAITING and (why := _in_the_way(step, now)):
                now[step.name] = Standing.SKIPPED
                skip.append((step.name, why))
    room = max(0, limit - sum(each is Standing.RUNNING for each in now.values()))
    ready = [
        step.name
        for step in order
        if now[step.name] is Standing.WAITING and all(now[need] is Standing.SUCCEEDED for need in step.needs)
    ]
    return Moves(ready[:room], skip)


def check_order(order: Sequence[Needs]) -> None:
    """Refuse steps that can never all be done.

    Raises UsageError for names that are used twice, needs that are unknown, and circles of needs.
    """
    names = Counter(step.name for step in order)
    for name, count in names.items():
        if count > 1:
            raise UsageError(
                f"two steps of the pipeline are called '{name}'", hint="give each step a name of its own"
            )
    for step in order:
        for need in step.needs:
            if need not in names:
                raise UsageError(
                    f"step '{step.name}' needs '{need}', which is no step of the pipeline",
                    hint=_meant(need, list(names)),
                )
    if circle := _circle(order):
        raise UsageError(
            f"steps of the pipeline need each other in a circle: {' -> '.join(circle)}",
            hint="take one of these needs away, or make one step of them",
        )


def _in_the_way(step: Needs, standing: Mapping[str, Standing]) -> str | None:
    for need in step.needs:
        if standing[need] is Standing.FAILED:
            return f"needs '{need}', which failed"
        if standing[need] is Standing.SKIPPED:
            return f"needs '{need}', which was skipped"
    return None


def _meant(name: str, names: list[str]) -> str:
    near = get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"its steps are {', '.join(names)}"


def _circle(order: Sequence[Needs]) -> list[str]:
    """Return the names along a circle, the first one again at its end; nothing if there is none."""
    left = {step.name: step.needs for step in order}
    while free := [name for name, needs in left.items() if not any(need in left for need in needs)]:
        for name in free:
            del left[name]
    if not left:
        return []
    path = [next(iter(left))]
    while (following := next(need for need in left[path[-1]] if need in left)) not in path:
        path.append(following)
    circle = path[path.index(following) :]
    first = min(circle, key=list(left).index)
    start = circle.index(first)
    return [*circle[start:], *circle[:start], first]
