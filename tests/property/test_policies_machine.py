"""All policies and verbs together: whatever is done in whatever order, the promises hold after each step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cronledger import backfill, manual
from cronledger.domain import events as e
from cronledger.domain import job as verbs
from cronledger.domain import run
from cronledger.domain.backfill import Only
from cronledger.domain.catchup import CatchUp
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, run_stream
from cronledger.domain.overlap import Overlap
from cronledger.domain.requests import Requested
from cronledger.domain.retry import Retry, RetryOn
from cronledger.domain.run import Ended, Outcome, Phase
from cronledger.engine.attempt import Attempt
from cronledger.errors import Conflict, UsageError
from cronledger.errors import Overlap as Refused
from cronledger.ledger.api import Write
from cronledger.projections import fold
from tests.checker import ENDS, Line, problems
from tests.property.policy_cluster import Node, PolicyCluster
from tests.redefinitions import fired_while_disabled, fired_while_paused
from tests.simulation.cluster import refold

ANN = e.Actor.operator("ann")
NAMES = st.sampled_from([JobName("tidy"), JobName("sync")])
SCHEDULES = ["*/20 * * * * *", "0 * * * * *", "0 */2 * * * *", "30 */3 * * * *", ""]
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "schedule": st.sampled_from(SCHEDULES),
    "overlap": st.sampled_from(Overlap),
    "max_concurrent": st.none() | st.integers(1, 2),
    "catch_up": st.sampled_from(CatchUp),
    "catch_up_limit": st.integers(1, 4),
    "grace_seconds": st.none() | st.integers(0, 200),
    "idempotent": st.booleans(),
    "recovery_attempts": st.integers(0, 2),
    "retry": st.builds(Retry, max_attempts=st.integers(1, 3), backoff_seconds=st.just(5.0)),
    "jitter_seconds": st.sampled_from([0, 0, 30]),
    "claim_timeout_seconds": st.sampled_from([120, 3600]),
}
ENDINGS = (
    Ended(outcome=Outcome.SUCCEEDED),
    Ended(outcome=Outcome.FAILED, retry_on=RetryOn.ERROR, error="raised"),
    Ended(outcome=Outcome.FAILED, retry_on=RetryOn.FAILURE, error="reported"),
    Ended(outcome=Outcome.TIMED_OUT, retry_on=RetryOn.TIMEOUT, error="took too long"),
)
DECIDING: dict[str, Callable[..., list[e.Event]]] = {
    "enable": verbs.enable,
    "disable": verbs.disable,
    "reset": verbs.reset,
    "pause": verbs.pause,
}
ANY = st.integers(0, 10**6)
"""One of those that there are, whoever they are by then."""


class PolicyMachine(RuleBasedStateMachine):
    """Two jobs, two living instances, operators, applications, deaths and a clock that somebody sets."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = PolicyCluster()
        self.keys = 0
        self.seen = 0
        self.silent: list[tuple[Node, Attempt]] = []

    @initialize(fields=st.lists(st.fixed_dictionaries(FIELDS), min_size=2, max_size=2))
    def begin(self, fields: list[dict[str, Any]]) -> None:
        for name, each in zip(("tidy", "sync"), fields, strict=True):
            self.define(JobDefinition(name=JobName(name), **each))
        self.cluster.do(self.cluster.nodes[0].elect())

    # --- time and instances -----------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 10, 20, 60, 60, 150, 400]))
    def time_passes(self, seconds: int) -> None:
        self.cluster.clock.advance(seconds)

    @rule(seconds=st.sampled_from([1, 30, 200]))
    def somebody_sets_the_clock_back(self, seconds: int) -> None:
        self.cluster.clock.set_back(seconds)

    @rule(which=ANY, look=st.sampled_from([True, True, False]))
    def an_instance_makes_a_pass(self, which: int, look: bool) -> None:
        self.cluster.do(self.one_of(which).tick(look=look))

    @rule(seconds=st.sampled_from([20, 60, 150]))
    def time_passes_and_everybody_makes_a_pass(self, seconds: int) -> None:
        self.cluster.clock.advance(seconds)
        for node in self.cluster.living():
            self.cluster.do(node.tick(look=True))

    @rule(seconds=st.sampled_from([20, 60, 150]))
    def everybody_decides_on_the_same_knowledge(self, seconds: int) -> None:
        for node in self.cluster.living():
            self.cluster.do(node.look())
        self.cluster.clock.advance(seconds)
        for node in self.cluster.living():
            self.cluster.do(node.tick(look=False))

    @rule(which=ANY, name=NAMES, seconds=st.sampled_from([20, 60]))
    def a_run_comes_by_hand_and_one_instance_has_not_heard(
        self, which: int, name: JobName, seconds: int
    ) -> None:
        one, other = self.one_of(which), self.one_of(which + 1)
        self.cluster.do(one.look())
        self.an_operator_runs_a_job(name, again=False)
        self.cluster.do(other.tick(look=True))
        self.cluster.clock.advance(seconds)
        self.cluster.do(one.tick(look=False))

    @rule(which=ANY)
    def an_instance_is_elected(self, which: int) -> None:
        self.cluster.do(self.one_of(which).elect())

    @rule(which=ANY)
    def an_instance_falls_silent(self, which: int) -> None:
        node = self.one_of(which)
        self.silent += [(node, attempt) for attempt in node.attempts]
        self.cluster.kill(node)

    @precondition(lambda self: self.silent)
    @rule(which=ANY, ended=st.sampled_from(ENDINGS))
    def a_silent_instance_reports_after_all(self, which: int, ended: Ended) -> None:
        node, attempt = self.silent.pop(which % len(self.silent))
        self.cluster.do(node.tell(attempt, ended))

    # --- attempts ---------------------------------------------------------------------------------------

    @precondition(lambda self: self.at_work())
    @rule(which=ANY, ended=st.sampled_from(ENDINGS))
    def an_attempt_ends(self, which: int, ended: Ended) -> None:
        node, attempt = self.at_work()[which % len(self.at_work())]
        self.cluster.do(node.tell(attempt, ended))

    @precondition(lambda self: self.at_work())
    @rule(which=ANY)
    def an_attempt_is_interrupted(self, which: int) -> None:
        node, attempt = self.at_work()[which % len(self.at_work())]
        self.cluster.do(node.interrupt(attempt))

    @rule(which=ANY)
    def an_instance_obeys_what_was_asked(self, which: int) -> None:
        self.cluster.do(self.one_of(which).obey())

    # --- operators --------------------------------------------------------------------------------------

    @rule(name=NAMES, verb=st.sampled_from(sorted(DECIDING)))
    def an_operator_decides(self, name: JobName, verb: str) -> None:
        self.cluster.append_about(name, DECIDING[verb](self.cluster.folded().jobs[name], ANN, None))

    @rule(name=NAMES)
    def an_operator_resumes(self, name: JobName) -> None:
        state = self.cluster.folded().jobs[name]
        self.cluster.append_about(name, verbs.resume(state, ANN, None, now=self.cluster.clock.now()))

    @rule(name=NAMES, field=st.sampled_from(sorted(FIELDS)), data=st.data())
    def the_files_change(self, name: JobName, field: str, data: st.DataObject) -> None:
        known = self.cluster.folded().jobs[name].definition
        assert known is not None
        self.define(msgspec.structs.replace(known, **{field: data.draw(FIELDS[field])}))

    @rule(name=NAMES)
    def the_files_lose_a_job(self, name: JobName) -> None:
        self.cluster.append_about(name, verbs.retire(self.cluster.folded().jobs[name], "r"))

    @precondition(lambda self: self.cluster.unfinished())
    @rule(which=ANY)
    def an_operator_stops_a_run(self, which: int) -> None:
        runs = sorted(self.cluster.unfinished().items())
        run_id, state = runs[which % len(runs)]
        events = tuple(run.request_cancel(state, ANN, None))
        self.cluster.ledger.append(Write(run_stream(run_id), events, expected=state.version))

    # --- runs that nobody planned -----------------------------------------------------------------------

    @rule(name=NAMES, again=st.booleans())
    def an_operator_runs_a_job(self, name: JobName, again: bool) -> None:
        self.keys += not again
        self.ask(manual.Request(self.definition(name), {}, "ann", key=f"key {self.keys}"))

    @rule(name=NAMES, again=st.booleans())
    def an_application_asks_for_a_run(self, name: JobName, again: bool) -> None:
        self.keys += not again
        asked = len(self.cluster.inbox) + len(self.cluster.lines())
        request = Requested(id=f"{asked:032x}", job=name, actor="shop", key=f"key {self.keys}")
        self.cluster.inbox.append(request)

    @rule(which=ANY)
    def an_operator_repeats_a_run(self, which: int) -> None:
        ended = [state for state in self.cluster.folded().runs.values() if state.phase is Phase.ENDED]
        if not ended:
            return
        state = ended[which % len(ended)]
        self.ask(manual.Request(self.definition(state.job), state.parameters, "ann", of=state))

    @rule(name=NAMES, only=st.sampled_from(Only), minutes=st.integers(1, 20))
    def an_operator_fills_a_gap(self, name: JobName, only: Only, minutes: int) -> None:
        until = self.cluster.clock.now()
        asked = backfill.Range(self.definition(name), until - timedelta(minutes=minutes), until, only)
        try:
            proposed = backfill.plan(self.cluster.store, asked)
        except UsageError:
            return  # the job has no schedule now
        chosen = proposed.runs[:3]
        backfill.trigger(self.cluster.store, asked.definition, chosen, actor="ann", parameters={})

    # --- helpers ----------------------------------------------------------------------------------------

    def one_of(self, which: int) -> Node:
        living = self.cluster.living()
        return living[which % len(living)]

    def at_work(self) -> list[tuple[Node, Attempt]]:
        return [(node, attempt) for node in self.cluster.living() for attempt in node.attempts]

    def definition(self, name: JobName) -> JobDefinition:
        definition = self.cluster.folded().jobs[name].definition
        assert definition is not None
        return definition

    def define(self, definition: JobDefinition) -> None:
        """Register or redefine; instances see it before they claim again, as in the loop."""
        state = self.cluster.folded().jobs.get(definition.name)
        self.cluster.append_about(definition.name, verbs.define(state, definition, "r"))
        for node in self.cluster.living():
            self.cluster.do(node.look())

    def ask(self, request: manual.Request) -> None:
        cluster = self.cluster
        try:
            run_id = manual.trigger(cluster.store, request, cluster.clock, cluster.entropy)
        except (Refused, Conflict):
            return
        assert run_id in cluster.folded().runs

    # --- what holds -------------------------------------------------------------------------------------

    @invariant()
    def the_promises_hold(self) -> None:
        lines = self.cluster.lines()
        if self.seen != len(lines):
            self.seen = len(lines)
            assert [] == problems(lines, all_ended=False)
            assert [] == list(started_beside_others(lines))
            assert [] == list(went_on_after_a_stop(lines))
            assert [] == fired_while_disabled(lines)
            assert [] == fired_while_paused(lines)

    @invariant()
    def what_instances_know_is_what_the_ledger_says(self) -> None:
        known = self.cluster.folded()
        for node in self.cluster.living():
            if node.board.position == known.position:
                assert known.jobs == node.board.jobs
                assert self.cluster.unfinished() == node.board.runs

    def teardown(self) -> None:
        """Let everything come to its end, then fold the whole ledger anew."""
        cluster = self.cluster
        try:
            if not cluster.lines():
                return
            until = cluster.clock.now()
            for name in list(cluster.folded().jobs):  # what came due in a pause is decided at its end
                self.an_operator_resumes(name)
            cluster.do(cluster.living()[0].elect())
            cluster.do(cluster.living()[0].tick(look=True))
            for name in list(cluster.folded().jobs):
                cluster.append_about(name, verbs.disable(cluster.folded().jobs[name], ANN, None))
            cluster.settle()

            assert {} == cluster.unfinished()
            assert [] == problems(cluster.lines(), decided_until=until)
            assert (cluster.folded().jobs, cluster.folded().runs) == refold(cluster.ledger)
            assert cluster.ledger.head().position == fold.catch_up(cluster.store)
            assert [] == fold.check(cluster.store)
        finally:
            cluster.close()


def started_beside_others(lines: list[Line]) -> Iterator[str]:
    """Yield every start of a run beside more of the job's runs than its definition lets be performed."""
    definitions: dict[str, Line] = {}
    running: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        job, run_id, kind = line["job"], line["run_id"], line["type"]
        if kind in {"job.registered", "job.redefined"}:
            definitions[job] = line["body"]["definition"]
        elif kind == "run.started":
            definition = definitions[job]
            overlap, most = definition.get("overlap", "skip"), definition.get("max_concurrent")
            limit = (most or len(lines)) if overlap == "allow" else 1
            running[job].add(run_id)
            if len(running[job]) > limit:
                yield f"position {line['position']}: {sorted(running[job])} run at once, by {definition}"
        elif kind in ENDS or kind.startswith("attempt."):
            running[job].discard(run_id)


def went_on_after_a_stop(lines: list[Line]) -> Iterator[str]:
    """Yield every attempt that began, or was to be repeated, after somebody had asked the run to stop."""
    asked: set[str] = set()
    for line in lines:
        if line["type"] == "run.cancel_requested":
            asked.add(line["run_id"])
        elif line["run_id"] in asked and (
            line["type"] == "run.started" or line["type"].startswith("attempt.")
        ):
            yield f"position {line['position']}: {line['run_id']} has {line['type']} after it was stopped"


def test_whatever_is_done_in_whatever_order_the_promises_hold() -> None:
    quick = settings(
        max_examples=max(150, settings().max_examples),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(PolicyMachine, settings=quick)


def test_a_resume_may_come_before_what_the_pause_left_to_the_planner_is_decided() -> None:
    """The checker once took the skip of a pause for a decision about all that had come before the pause."""
    tidy = JobName("tidy")
    machine = PolicyMachine()
    machine.define(JobDefinition(name=tidy, schedule="*/20 * * * * *"))
    machine.cluster.clock.advance(59)
    machine.an_operator_decides(tidy, "pause")
    machine.cluster.clock.advance(1)
    machine.an_operator_resumes(tidy)
    machine.the_promises_hold()
    machine.teardown()

    assert 1 == sum(line["type"] == "run.triggered" for line in machine.cluster.lines())


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"overlap": Overlap.ALLOW, "max_concurrent": 1}, {}),
        ({"overlap": Overlap.SKIP}, {"overlap": Overlap.ALLOW, "max_concurrent": 1}),
    ],
)
def test_a_run_that_the_leader_has_not_heard_of_counts(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Two runs were performed at once under `max_concurrent: 1`, where a run by hand was claimed elsewhere
    between the leader's look and its append of a trigger with its claim; and a fire time that was left to a
    definition with `skip` was triggered beside a run, where the newer definition said `allow`."""
    tidy = JobName("tidy")
    definition = JobDefinition(name=tidy, schedule="0 * * * * *", **before)
    machine = PolicyMachine()
    cluster = machine.cluster
    machine.define(definition)
    leader, other = cluster.nodes
    cluster.do(leader.elect())
    cluster.clock.advance(60)
    machine.define(msgspec.structs.replace(definition, **now, priority=1))
    machine.an_operator_runs_a_job(tidy, again=False)
    cluster.do(other.tick(look=True))
    cluster.do(leader.tick(look=False))

    assert 1 == len(other.attempts)
    assert [] == leader.attempts
    machine.the_promises_hold()
    machine.teardown()
