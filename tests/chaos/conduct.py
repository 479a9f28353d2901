"""One run from the first process to the last check."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.chaos.cluster import CONFIG, Cluster, Line, parsed, wait_until
from tests.chaos.effects import Evidence, lateness, verdict
from tests.chaos.nemesis import DRAIN_LIMIT, Nemesis
from tests.chaos.operators import Operators
from tests.checker import ENDS
from tests.postgres import OwnServer

CALM_SECONDS = 8.0
END_SECONDS = 60.0
"""How long runs that were under way when the faults ended may take to end."""

Say = Callable[[str], None]


class Wanted(msgspec.Struct, kw_only=True):
    """What a run is to be like."""

    seconds: float
    seed: int = 1
    instances: int = 3
    faults: Sequence[str] = ()
    """Only these; all that make sense if there are none."""
    in_turn: bool = False
    """Whether each of them comes in its turn, instead of by chance."""
    pause: tuple[float, float] = (1.5, 6.0)
    slack: float = 3.0
    operators: bool = True
    proxies: bool = True
    shim: Path | None = None
    config: str = CONFIG


class Outcome(msgspec.Struct, kw_only=True):
    """What came of it."""

    problems: dict[str, list[str]]
    figures: dict[str, object]
    injected: list[str]
    folder: Path

    @property
    def lines(self) -> list[Line]:
        """The ledger at the end."""
        return parsed((self.folder / "export.jsonl").read_bytes())

    @property
    def violations(self) -> list[str]:
        """Everything that does not hold, each with the name of its check."""
        return [f"{name}: {each}" for name, found in self.problems.items() for each in found]


def conduct(
    folder: Path,
    url: str,
    wanted: Wanted,
    *,
    act: Callable[[Nemesis, Cluster], object] | None = None,
    server: OwnServer | None = None,
    say: Say = lambda text: None,
) -> Outcome:
    """Let instances run under faults for a time, let them calm down and end, and judge what they leave.

    `act` takes the place of the faults drawn from the seed.
    """
    proxies = wanted.proxies and not url.startswith("sqlite")
    shim = None if url.startswith("sqlite") else wanted.shim
    cluster = Cluster(folder, url, config=wanted.config, proxies=proxies, shim=shim)
    chance = random.Random(wanted.seed)
    operators = Operators(cluster, random.Random(wanted.seed + 1))
    nemesis = Nemesis(
        cluster, chance, instances=wanted.instances, server=server, say=_timed(say, time.monotonic())
    )
    try:
        for number in range(wanted.instances):
            nemesis.begin(f"up{number}")
        cluster.wait_for_leader()
        nemesis.attend(3.0)
        if wanted.operators:
            operators.start()
        if act is not None:
            act(nemesis, cluster)
            nemesis.relent()
        else:
            nemesis.rage(wanted.seconds, wanted.faults, in_turn=wanted.in_turn, pause=wanted.pause)
        if wanted.operators:
            operators.stop()
        calm = _calm_down(cluster, nemesis, wanted.instances)
        for instance in cluster.up():
            if complaint := cluster.terminate(instance, DRAIN_LIMIT):
                nemesis.drains.append(complaint)
        return _judge(cluster, nemesis, operators, calm=calm, slack=wanted.slack)
    finally:
        cluster.close()


def _calm_down(cluster: Cluster, nemesis: Nemesis, instances: int) -> int:
    """Have everybody up again, and give the runs under way time to end; return up to where they must."""
    labels = Counter(each.label for each in cluster.up())
    for number in range(instances):
        if not labels[f"up{number}"]:
            nemesis.begin(f"up{number}")
    nemesis.attend(CALM_SECONDS)
    position = len(parsed(cluster.export()))

    def have_ended() -> bool:
        lines = parsed(cluster.export())
        ended = {line["run_id"] for line in lines if line["type"] in ENDS}
        begun = {line["run_id"] for line in lines[:position] if line["type"] == "run.triggered"}
        nemesis.attend(1.0)
        return begun <= ended

    with suppress(TimeoutError):  # the check R2 names those that have not
        wait_until(have_ended, END_SECONDS, "every run to end")
    return position


def _judge(cluster: Cluster, nemesis: Nemesis, operators: Operators, *, calm: int, slack: float) -> Outcome:
    final = cluster.export()
    (cluster.folder / "export.jsonl").write_bytes(final)
    evidence = Evidence(
        lines=parsed(final),
        effects=parsed(cluster.effects.read_bytes()),
        exports=operators.exports,
        final=final,
        acknowledged=operators.acknowledged,
        disturbances=nemesis.disturbances,
        calm_position=calm,
        drains=nemesis.drains,
        boot_at=time.time() - time.clock_gettime(time.CLOCK_BOOTTIME),
        slack=slack,
    )
    problems = verdict(evidence)
    problems["V1"] = cluster.complaint("ledger", "verify")
    problems["P1"] = cluster.complaint("projections", "check")
    return Outcome(
        problems=problems,
        figures=_figures(evidence, operators),
        injected=nemesis.injected,
        folder=cluster.folder,
    )


def _figures(evidence: Evidence, operators: Operators) -> dict[str, object]:
    late = lateness(evidence.lines)
    kinds = Counter(line["type"] for line in evidence.lines)
    return {
        "events": len(evidence.lines),
        "effects": len(evidence.effects),
        "scheduled runs": len(late),
        "lateness p50": round(late[len(late) // 2], 3) if late else None,
        "lateness p99": round(late[int(len(late) * 0.99)], 3) if late else None,
        "lateness max": round(late[-1], 3) if late else None,
        "terms": kinds["leader.elected"],
        "lost runs": kinds["run.lost"],
        "lost attempts": kinds["attempt.lost"],
        "late results": kinds["run.late_result"],
        "skipped ranges": kinds["job.fire_times_skipped"],
        "manual runs acknowledged": len(evidence.acknowledged),
        "exports on the way": len(evidence.exports),
        "commands refused": len(operators.refused),
    }


def _timed(say: Say, began: float) -> Say:
    def timed(text: str) -> None:
        clock = f"{datetime.now(UTC):%H:%M:%S}"
        say(f"{clock} {time.monotonic() - began:7.1f} s  {text}")

    return timed
