"""The simulator and its checks find what they are for: each guarantee, broken on purpose, shows."""

from __future__ import annotations

import pytest

from tests.simulation.mutants import MUTANTS, SEEDS, Mutant, hunt

QUICKEST = {
    "no unique name": 17,
    "no fence": 3,
    "effect before its start is durable": 1,
    "next run in memory": 1,
    "local clock, no early guard": 2,
    "no recovery": 1,
    "positions by identity column": 1,
    "fresh ids on retry": 60,
}
"""From which world on each mutant is hunted: it shows there, or in one of the worlds after it."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_guarantee_is_caught(mutant: Mutant) -> None:
    first = QUICKEST[mutant.name]
    caught = hunt(mutant, range(first, first + SEEDS // 3))

    assert caught is not None, f"{mutant.name} survives: {mutant.what}"
    assert caught.problem.split(":")[0] in mutant.checks


def test_a_mutant_leaves_no_trace_behind() -> None:
    """The hunts above patch what the engine looks up; without them the same world holds."""
    nothing = Mutant(
        "nothing", "Nothing is broken.", ("T1a", "T1b", "F2", "X2", "R2", "L4"), lambda _stack: None
    )

    assert None is hunt(nothing, [13])
