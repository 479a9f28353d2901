"""Break each guarantee on purpose and show what catches it: `python -m tests.simulation.mutants`.

A mutant is applied from outside, while the block lasts, to the names that the engine or the memory ledger
look up. Where two defences hide one another, the mutant takes both away and says so. It prints for each
mutant which check caught it at which seed, and ends with 1 if one survives.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import count
from typing import Any

import msgspec

from cronledger.domain import events as e
from cronledger.domain import job
from cronledger.domain.ids import JobName, Position, RunId
from cronledger.engine import claims, dispatcher, loop, planner, recovery
from cronledger.engine.world import World
from cronledger.entropy import Entropy
from cronledger.ledger import admission
from cronledger.ledger.api import Answer, Appended, Prepared
from tests.simulation.cluster import Cluster
from tests.simulation.judge import judge
from tests.simulation.loop import elapsed
from tests.simulation.simulator import FAULTS, Scenario, Simulation
from tests.simulation.world import SimulatedLedger, SimulatedWorld

SEEDS = 60
"""How many worlds a mutant may survive before it counts as not caught."""


class Mutant(msgspec.Struct, frozen=True):
    """What is broken, how, which of these checks must catch it, and which faults help it along."""

    name: str
    what: str
    checks: tuple[str, ...]
    apply: Callable[[ExitStack], None]
    faults: tuple[str, ...] = FAULTS
    cluster: type[Cluster] = Cluster


class Caught(msgspec.Struct, frozen=True):
    """The first world in which a mutant showed."""

    seed: int
    problem: str


def put(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Give a name another value while the block lasts."""
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def hunt(mutant: Mutant, seeds: Sequence[int]) -> Caught | None:
    """Run worlds with the mutant until one of its checks catches it."""
    with ExitStack() as stack:
        mutant.apply(stack)
        for seed in seeds:
            scenario = Scenario(seed=seed, faults=mutant.faults)
            wrong = judge(Simulation(scenario, make_cluster=mutant.cluster).run())
            for problem in wrong:
                if problem.split(":")[0] in mutant.checks:
                    return Caught(seed, problem)
    return None


# --- the mutants ----------------------------------------------------------------------------------------


def _no_fence(stack: ExitStack) -> None:
    """The ledger takes the appends of a leader whose term is over."""
    original = admission._Admission.answer

    def answer(self: Any, prepared: Prepared) -> Answer:
        item = prepared.item
        if item.fence is None or item.takeover is not None or item.fence == self._term:
            return original(self, prepared)
        unfenced = msgspec.structs.replace(item, fence=self._term)
        before = len(self.rows)
        given = original(self, msgspec.structs.replace(prepared, item=unfenced))
        # What it appends keeps the term that it claims, as a ledger that does not look would write it.
        self.rows[before:] = [(*row[:8], item.fence, *row[9:]) for row in self.rows[before:]]
        return given

    put(stack, admission._Admission, "answer", answer)


def _no_unique_name(stack: ExitStack) -> None:
    """A scheduled run gets a name of its own each time; and without the fence and the guards of version and
    quiet, each of which would stop most second triggers by itself."""
    numbers = count()
    original = job.scheduled_run

    def scheduled_run(name: JobName, fire_at: datetime) -> RunId:
        return RunId(f"{original(name, fire_at)}!m-{next(numbers)}")

    put(stack, job, "scheduled_run", scheduled_run)
    put(stack, admission._Admission, "_conflict", lambda _self, _item: None)
    _no_fence(stack)


def _effect_first(stack: ExitStack) -> None:
    """A waiting run is performed while its claim is still on the way to the ledger."""

    class Hasty(dispatcher.Dispatcher):
        async def tick(self, now: datetime, perform: Callable[..., None]) -> bool:
            chosen = self._claimable(now)[: max(0, self._room())]
            for state in chosen:
                perform(state, Appended(Position(0), Position(0), now))
            if chosen:
                await self._world.submit([self._claim(state) for state in chosen])
            return False

    put(stack, loop, "Dispatcher", Hasty)


def _memory_only(stack: ExitStack) -> None:
    """A new leader plans from now on instead of from the ledger's planned-until."""

    class Forgetful(planner.Planner):
        def __init__(self, world: World, board: Any, **limits: Any) -> None:
            super().__init__(world, board, **limits)
            self._term: int | None = None

        async def tick(self, now: datetime, term: Any, **claims: Any) -> bool:
            if term != self._term:
                self._term = term
                for name, state in self._board.jobs.items():
                    self._board.jobs[name] = msgspec.structs.replace(state, planned_until=now, undecided=())
            return await super().tick(now, term, **claims)

    put(stack, loop, "Planner", Forgetful)


def _local_clock(stack: ExitStack) -> None:
    """The engine plans by the clock of its own machine; and the ledger does not refuse what is early."""
    put(stack, SimulatedWorld, "now", lambda self: self.clock.now())
    put(stack, admission._Admission, "_early", lambda _self, _item: None)


def _no_recovery(stack: ExitStack) -> None:
    """Nobody looks for runs whose instance fell silent."""

    async def tick(*_arguments: Any) -> None:
        return

    put(stack, recovery.Recovery, "tick", tick)


def _fresh_ids(stack: ExitStack) -> None:
    """A retry is a new intention: every event gets a new id and salt each time it is sent. And nobody looks
    for claims without an answer, which makes good what the new ids break."""
    original = SimulatedWorld._send

    async def send(self: SimulatedWorld, batch: list[Prepared], fault: str | None) -> list[Answer]:
        return await original(self, [self.ledger.prepare(one.item) for one in batch], fault)

    async def none(*_: object) -> list[object]:
        return []

    put(stack, SimulatedWorld, "_send", send)
    put(stack, claims, "unperformed", none)


class _LateVisible(Cluster):
    """Positions are drawn from a sequence, and an append can be seen only when its own commit is done: out of
    the order of positions. Readers go on from the last position they saw; and nobody minds a hole."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.visible_at: list[float] = []
        self.shown: list[bytes] = []

    def ledger_of(self, instance: Any, entropy: Entropy) -> SimulatedLedger:
        return _SequenceLedger(self, instance, entropy)

    def appended(self) -> None:
        known = len(self.visible_at)
        super().appended()
        commits = elapsed() + self.random.choice([0.0, 0.0, 0.0, 0.02, 0.3])
        self.visible_at += [commits] * (len(self.log.events) - known)

    def visible(self, after: int, limit: int) -> list[int]:
        now = elapsed()
        return [n for n in range(after, len(self.visible_at)) if self.visible_at[n] <= now][:limit]

    def exported(self) -> list[bytes]:
        every = super().exported()
        try:
            return [every[n] for n in self.visible(0, len(every))]
        except RuntimeError:  # the world has ended, and everything is visible
            return every


class _SequenceLedger(SimulatedLedger):
    def read_all(self, after: Position, limit: int) -> list[e.Recorded]:
        cluster = self._cluster
        assert isinstance(cluster, _LateVisible)
        decoded = cluster.decoded(0, 10**9)
        return [decoded[n] for n in cluster.visible(after, limit)]


MUTANTS = (
    Mutant("no unique name", _no_unique_name.__doc__ or "", ("T1a",), _no_unique_name),
    Mutant("no fence", _no_fence.__doc__ or "", ("F2",), _no_fence),
    Mutant("effect before its start is durable", _effect_first.__doc__ or "", ("X1", "X2"), _effect_first),
    Mutant("next run in memory", _memory_only.__doc__ or "", ("T1b",), _memory_only),
    Mutant("local clock, no early guard", _local_clock.__doc__ or "", ("T3",), _local_clock),
    Mutant("no recovery", _no_recovery.__doc__ or "", ("R2",), _no_recovery),
    Mutant(
        "positions by identity column",
        _LateVisible.__doc__ or "",
        ("L4", "P1"),
        lambda _stack: None,
        cluster=_LateVisible,
    ),
    Mutant("fresh ids on retry", _fresh_ids.__doc__ or "", ("R1", "R2", "T1a"), _fresh_ids),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt every mutant; return 1 if one survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many worlds each mutant may survive")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    survivors = 0
    for mutant in (each for each in MUTANTS if options.only in each.name):
        caught = hunt(mutant, range(1, options.seeds + 1))
        survivors += caught is None
        verdict = "SURVIVES" if caught is None else f"caught at seed {caught.seed} by {caught.problem}"
        sys.stdout.write(f"{mutant.name}: {verdict}\n    {' '.join(mutant.what.split())}\n")
        sys.stdout.flush()
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
