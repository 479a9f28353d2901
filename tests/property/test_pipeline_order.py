"""Any pipeline without circles comes to an end, each step once, in an order that its needs allow."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain.pipeline_order import Needs, Standing, check_order, next_moves
from cronledger.errors import UsageError

ENDED = (Standing.SUCCEEDED, Standing.FAILED, Standing.SKIPPED)


@st.composite
def pipelines(draw: st.DrawFn) -> list[Needs]:
    """Steps that need any of those before them, in any order."""
    names = [f"s{number}" for number in range(draw(st.integers(0, 8)))]
    steps = [
        Needs(name, tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3))))
        if place
        else Needs(name)
        for place, name in enumerate(names)
    ]
    return draw(st.permutations(steps))


@given(pipelines(), st.integers(1, 4), st.data())
def test_a_pipeline_comes_to_an_end_whatever_fails(
    order: list[Needs], limit: int, data: st.DataObject
) -> None:
    check_order(order)
    needs = {step.name: step.needs for step in order}
    standing = dict.fromkeys(needs, Standing.WAITING)
    begun: list[str] = []
    while not all(each in ENDED for each in standing.values()):
        moves = next_moves(order, standing, limit=limit)
        for name, reason in moves.skip:
            assert Standing.WAITING is standing[name]
            assert any(f"'{need}'" in reason for need in needs[name])
            standing[name] = Standing.SKIPPED
        for name in moves.begin:
            assert all(Standing.SUCCEEDED is standing[need] for need in needs[name])
            standing[name] = Standing.RUNNING
        begun += moves.begin
        running = [name for name, each in standing.items() if each is Standing.RUNNING]
        assert len(running) <= limit
        if running:
            ends = data.draw(st.sampled_from(running))
            standing[ends] = data.draw(st.sampled_from([Standing.SUCCEEDED, Standing.FAILED]))

    assert sorted(set(begun)) == sorted(begun)
    assert set(begun) == {name for name, each in standing.items() if each is not Standing.SKIPPED}
    for name, each in standing.items():
        unmet = [need for need in needs[name] if standing[need] is not Standing.SUCCEEDED]
        assert (each is Standing.SKIPPED) == bool(unmet)


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=6))
def test_needs_are_refused_if_and_only_if_some_step_could_never_begin(needs: list[list[int]]) -> None:
    known = [[need for need in each if need < len(needs)] for each in needs]
    order = [Needs(str(number), tuple(map(str, each))) for number, each in enumerate(known)]

    try:
        check_order(order)
    except UsageError as error:
        assert can_begin(known) != set(range(len(known)))
        chain = error.message.rpartition(": ")[2].split(" -> ")
        assert chain[0] == chain[-1]
        assert all(int(b) in known[int(a)] for a, b in pairwise(chain))
    else:
        assert can_begin(known) == set(range(len(known)))


def can_begin(needs: list[list[int]]) -> set[int]:
    """Return the steps that begin if none fails."""
    done: set[int] = set()
    while more := set(_ready(needs, done)):
        done |= more
    return done


def _ready(needs: list[list[int]], done: set[int]) -> Iterable[int]:
    return (number for number, each in enumerate(needs) if number not in done and done.issuperset(each))
