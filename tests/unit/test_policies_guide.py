"""The cases of the guide to policies, each lived through by the engine's own parts on a ledger in memory.

`tests/golden/policies` holds the cases, `docs/generate.py` makes the tables of the guide of them, and here
each story is played and the ledger compared with what the table says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cronledger import manual
from cronledger.domain import events as e
from cronledger.domain import job as verbs
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition, Startup
from cronledger.domain.ids import JobName, run_stream
from cronledger.domain.retry import RetryOn
from cronledger.domain.run import Ended, Outcome
from cronledger.engine import startup
from cronledger.engine.attempt import Attempt
from cronledger.errors import Overlap
from cronledger.ledger.api import Write
from tests.checker import Line, problems
from tests.property.policy_cluster import Node, PolicyCluster

CASES = Path(__file__).parents[1] / "golden" / "policies"
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "policies.md"
TIDY = JobName("tidy")
ANN = e.Actor.operator("ann")
ENDINGS = {
    "succeed": Ended(outcome=Outcome.SUCCEEDED),
    "raise": Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="raised"),
    "report a failure": Ended(outcome=Outcome.FAILED, retry_on=RetryOn.FAILURE, error="reported"),
    "take too long": Ended(outcome=Outcome.TIMED_OUT, retry_on=RetryOn.TIMEOUT, error="took too long"),
}
TOLD = ("run.", "attempt.", "job.fire_times_skipped", "job.paused", "job.resumed", "job.disabled")


class Player:
    """Two instances and one job; each step of a story is a method's name, in words."""

    def __init__(self, case: dict[str, Any]) -> None:
        start = datetime.fromisoformat(case["from"])
        self.cluster = PolicyCluster(start=start)
        self.silent: list[tuple[Node, Attempt]] = []
        self.refused = False
        self.define(case["settings"])
        self.lead()
        self.begun = len(self.cluster.lines())

    def play(self, step: str) -> None:
        """Do one step: `until TIME`, an ending of the oldest attempt, or a method."""
        verb, _, rest = step.partition(" ")
        if verb == "until":
            instant = datetime.fromisoformat(f"{self.cluster.clock.now():%Y-%m-%d}T{rest}Z")
            self.cluster.clock.advance((instant - self.cluster.clock.now()).total_seconds())
        elif verb == "set":
            self.define(json.loads(rest))
        elif step in ENDINGS:
            node, attempt = self.attempts()[0]
            self.cluster.do(node.tell(attempt, ENDINGS[step]))
        else:
            getattr(self, step.replace(" ", "_"))()

    def define(self, settings: dict[str, Any]) -> None:
        definition = msgspec.convert({"name": TIDY, "schedule": "0 * * * * *", **settings}, JobDefinition)
        known = self.cluster.folded().jobs.get(TIDY)
        self.cluster.append_about(TIDY, verbs.define(known, definition, "r"))

    def attempts(self) -> list[tuple[Node, Attempt]]:
        return [(node, attempt) for node in self.cluster.living() for attempt in node.attempts]

    def lead(self) -> None:
        self.cluster.do(self.cluster.living()[0].elect())

    def look(self) -> None:
        """Let every instance make a pass, and stop what it was asked to stop."""
        for _ in range(2):
            for node in self.cluster.living():
                self.cluster.do(node.tick(look=True))
                self.cluster.do(node.obey())

    def leave_the_job_unprovided(self) -> None:
        """No instance has the code of the job, as after a deployment without it."""
        for node in self.cluster.living():
            node.provides = False

    def boot(self) -> None:
        """A cluster starts: startup runs come before anything is planned."""
        self.lead()
        self.ask_again()

    def ask_again(self) -> None:
        (node,) = [node for node in self.cluster.living() if node.term is not None]
        assert node.term is not None
        self.cluster.do(startup.trigger(node, node.board, Startup.CLUSTER, node.term))  # type: ignore[arg-type]
        self.cluster.do(startup.trigger(node, node.board, Startup.INSTANCE, None))  # type: ignore[arg-type]

    def fall_silent(self) -> None:
        """Whoever performs the oldest attempt dies; the others lead on."""
        node, attempt = self.attempts()[0]
        self.silent.append((node, attempt))
        self.cluster.kill(node)
        self.lead()

    def report_late(self) -> None:
        node, attempt = self.silent.pop()
        self.cluster.do(node.tell(attempt, ENDINGS["succeed"]))

    def drain(self) -> None:
        node, attempt = self.attempts()[0]
        self.cluster.do(node.interrupt(attempt))

    def cancel(self) -> None:
        run_id, state = max(self.cluster.unfinished().items())
        events = tuple(run.request_cancel(state, ANN, None))
        self.cluster.ledger.append(Write(run_stream(run_id), events, expected=state.version))

    def run_by_hand(self) -> None:
        cluster = self.cluster
        definition = cluster.folded().jobs[TIDY].definition
        assert definition is not None
        try:
            manual.trigger(
                cluster.store, manual.Request(definition, {}, "ann"), cluster.clock, cluster.entropy
            )
        except Overlap:
            self.refused = True

    def pause(self) -> None:
        self.cluster.append_about(TIDY, verbs.pause(self.cluster.folded().jobs[TIDY], ANN, None))

    def resume(self) -> None:
        state = self.cluster.folded().jobs[TIDY]
        self.cluster.append_about(TIDY, verbs.resume(state, ANN, None, now=self.cluster.clock.now()))

    def disable(self) -> None:
        self.cluster.append_about(TIDY, verbs.disable(self.cluster.folded().jobs[TIDY], ANN, None))


def played(case: dict[str, Any]) -> list[str]:
    """Live through a story; return what the ledger says of it."""
    player = Player(case)
    try:
        for step in case["story"]:
            player.play(step)
        lines = player.cluster.lines()
        assert [] == problems(lines, all_ended=False)
        assert player.refused == case.get("refused", False)
        return list(told(lines[player.begun :]))
    finally:
        player.cluster.close()


def told(lines: list[Line]) -> Iterator[str]:
    """Say in short what events say: times are those of the clock in UTC."""
    for line in lines:
        kind, body = line["type"], line["body"]
        if not kind.startswith(TOLD):
            continue
        if kind == "job.fire_times_skipped":
            first, last = clock(body["first_at"]), clock(body["last_at"])
            times = first if first == last else f"{first} to {last}"
            yield f"{kind} {times}: {body['count']}, {body['reason']}"
            continue
        said = [kind]
        if line["run_id"]:
            said.append(clock(line["fire_at"]) if line["fire_at"] else line["cause"])
        if kind == "run.started" or kind.startswith("attempt."):
            said.append(f"attempt {line['attempt']}")
        if body.get("claim_from"):
            said.append(f"not before {clock(body['claim_from'])}")
        yield ", ".join(said).replace(",", "", 1)


def clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%H:%M:%S}"


def test_the_guide_shows_every_file_of_cases() -> None:
    """That the page is up to date is checked by `docs/generate.py --check`."""
    guide = GUIDE.read_text(encoding="utf-8")
    titles = [json.loads(path.read_text(encoding="utf-8"))["title"] for path in CASES.glob("*.json")]

    assert 9 == len(titles)
    assert [] == [title for title in titles if f"## {title}\n" not in guide]


def cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            yield pytest.param(case, id=f"{path.stem}: {case['situation']}")


@pytest.mark.parametrize("case", list(cases()))
def test_a_case_of_the_guide_is_what_the_ledger_says(case: dict[str, Any]) -> None:
    assert case["ledger"] == played(case)
