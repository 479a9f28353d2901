"""Steps and pipelines on every database: what is recorded, what comes back, what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from cronledger import Job, JobContext, JobResult, Pipeline, PipelineStep, Scheduler, StepFailed
from cronledger.domain import events as e
from cronledger.domain import run as runs
from cronledger.domain.ids import JobName, RunId, run_stream
from cronledger.domain.run import Outcome, RunState
from cronledger.engine.steps import MOST_STEPS, RESULT_BYTES
from cronledger.errors import UsageError
from cronledger.ledger.api import START, Write
from cronledger.testing import Performed, perform_with_steps
from tests.checker import problems
from tests.conftest import lines_of, opened
from tests.waiting import eventually_within

ENOUGH_SECONDS = 0.75
"""So long a step goes on that is to be given up: it must have begun by then, also on a busy machine."""
RETRY = "retry: {max_attempts: 3, backoff_seconds: 0.01, jitter: false}"
Code = Callable[[JobContext], Awaitable[JobResult | None]]


class Coded(Job):
    """A job that does what it is made with."""

    name = "coded"
    extension = "tests"
    idempotent = True

    def __init__(self, code: Code) -> None:
        self.execute = code  # type: ignore[method-assign, assignment]


class Flaky(Exception):
    """Raised on purpose."""


def performed(job: Job | Code) -> Performed:
    """Perform a job once in memory."""
    return asyncio.run(perform_with_steps(job if isinstance(job, Job) else Coded(job)))


def outcomes(done: Performed) -> dict[str, str]:
    return {step.name: step.outcome.value for step in done.steps}


def performed_on(url: str, folder: Path, job: Job | Code, more: str = RETRY) -> RunState:
    """Perform a job that may be retried."""
    job = job if isinstance(job, Job) else Coded(job)
    (folder / "config.yaml").write_text(
        f"scheduler: {{jobs: [{{name: {job.name}, extension: tests, schedule: '', {more}}}]}}"
    )
    program = Scheduler(database_url=url, config=folder / "config.yaml", jobs=[job])
    (run,) = asyncio.run(program.run_manually([str(job.name)], actor="test", local=True, timeout=8))
    return run


def fine(ctx: JobContext | None = None) -> None:
    """Succeed."""


def fails(ctx: JobContext | None = None) -> None:
    """Fail."""
    raise Flaky("on purpose")


# --- results that come back -------------------------------------------------------------------------------


RESULTS = {
    "nothing": (None, None),
    "plain": ({"rows": [1, 2.5, "three", True, None]}, {"rows": [1, 2.5, "three", True, None]}),
    "tuple": ((1, date(2026, 1, 1)), [1, "2026-01-01"]),
    "set": ({3, 1, 2}, [1, 2, 3]),
    "result": (
        JobResult.success().with_stats(4, 1).with_message("four").with_duration(70),
        JobResult.success().with_stats(4, 1).with_message("four").with_duration(70),
    ),
    "order": ({"b": 1, "a": {"z": 1, "y": 2}}, {"a": {"y": 2, "z": 1}, "b": 1}),
    "largest": ("x" * (RESULT_BYTES - 2), "x" * (RESULT_BYTES - 2)),
}


def test_a_recorded_result_comes_back_as_what_was_given_at_first(ledger_url: str, tmp_path: Path) -> None:
    """A JobResult used to come back as None, a tuple as a list only at the second attempt."""
    given: list[dict[str, Any]] = []

    async def code(ctx: JobContext) -> None:
        given.append(
            {name: await ctx.step(name, lambda value=value: value) for name, (value, _) in RESULTS.items()}
        )
        given[-1]["sub job"] = await ctx.step("sub job", Coded(counts))
        if ctx.run.attempt == 1:
            raise Flaky

    async def counts(_ctx: JobContext) -> JobResult:
        return JobResult.success().with_stats(7, 2).with_message("seven" * 1000)

    state = performed_on(ledger_url, tmp_path, code)

    assert (Outcome.SUCCEEDED, 2) == (state.outcome, state.attempt)
    assert given[0] == given[1]
    assert f"{given[0]}" == f"{given[1]}"  # in the same order, too
    assert {name: kept for name, (_, kept) in RESULTS.items()} == {
        name: value for name, value in given[1].items() if name != "sub job"
    }
    sub_job = given[1]["sub job"]
    assert (True, 7, 2) == (sub_job.ok, sub_job.items_processed, sub_job.items_failed)
    assert str(sub_job.message).startswith("sevenseven")
    assert Counter(
        line["body"]["name"] for line in lines_of(ledger_url) if line["type"] == "step.started"
    ) == (Counter([*RESULTS, "sub job"]))


def test_a_failed_step_is_performed_again_and_those_before_it_are_not(
    ledger_url: str, tmp_path: Path
) -> None:
    calls: list[str] = []

    async def code(ctx: JobContext) -> None:
        await ctx.step("one", calls.append, "one")
        await ctx.step("two", two, ctx.run.attempt)

    def two(attempt: int) -> None:
        calls.append("two")
        if attempt < 3:
            raise Flaky

    state = performed_on(ledger_url, tmp_path, code)

    assert (Outcome.SUCCEEDED, 3) == (state.outcome, state.attempt)
    assert ["one", "two", "two", "two"] == calls


def test_a_block_is_performed_in_every_attempt_and_nothing_of_it_comes_back(
    ledger_url: str, tmp_path: Path
) -> None:
    calls: list[object] = []

    async def code(ctx: JobContext) -> None:
        if ctx.run.attempt < 3:
            async with ctx.step("part") as step:
                calls.append("block")
                step.report(result=object())
            raise Flaky
        calls.append(await ctx.step("part", lambda: 3))

    state = performed_on(ledger_url, tmp_path, code)

    assert Outcome.SUCCEEDED is state.outcome
    assert ["block", "block", 3] == calls


def test_a_long_or_strange_name_is_recalled_as_well(ledger_url: str, tmp_path: Path) -> None:
    """A name that the ledger shortens, or that is no text, was not found again: its step was repeated."""
    calls: list[int] = []

    async def code(ctx: JobContext) -> None:
        await ctx.step("x" * 10_000, calls.append, 1)
        await ctx.step(7, calls.append, 2)  # type: ignore[arg-type]
        await ctx.step("nul\0", calls.append, 3)
        if ctx.run.attempt == 1:
            raise Flaky

    state = performed_on(ledger_url, tmp_path, code)

    assert Outcome.SUCCEEDED is state.outcome
    assert [1, 2, 3] == calls


def test_a_retry_of_a_retry_takes_over_the_steps_of_both(ledger_url: str, tmp_path: Path) -> None:
    """Each run records only what it has performed; the steps of the first were repeated in the third."""
    calls: list[str] = []

    async def code(ctx: JobContext) -> None:
        await ctx.step("one", calls.append, "one")
        if not calls.count("again"):
            calls.append("again")
            raise Flaky
        await ctx.step("two", calls.append, "two")
        if calls.count("again") == 1:
            calls.append("again")
            raise Flaky

    of = None
    store = opened(ledger_url)
    for number in range(3):
        of = performed_of(ledger_url, tmp_path, code, of, number)
    store.close()

    assert ["one", "again", "two", "again"] == calls


def performed_of(url: str, folder: Path, code: Code, of: Any, number: int) -> Any:
    """Perform a job as the repetition of an earlier run; return the run's id."""
    if of is None:
        return performed_on(url, folder, code, "retry: {max_attempts: 1}").run_id
    store = opened(url)
    trigger = e.Event(
        body=e.RunTriggered(of=of), actor=e.Actor.operator("test"), job=JobName("coded"), cause=e.Cause.RETRY,
        run_id=(again := RunId(f"coded!again-{number}")),
    )  # fmt: skip
    store.ledger.append(Write(run_stream(again), (trigger,), expected=START))
    store.close()

    def has_ended() -> bool:
        ends = [line for line in lines_of(url) if line["run_id"] == again]
        return ends[-1]["type"] in {"run.succeeded", "run.failed"}

    async def program() -> None:
        scheduler = Scheduler(database_url=url, config=folder / "config.yaml", jobs=[Coded(code)])
        with anyio.fail_after(20):
            async with scheduler.running():
                assert await anyio.to_thread.run_sync(comes, has_ended)

    asyncio.run(program())
    return again


# --- results that cannot be kept --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (object(), "holds a value of type object, which the ledger cannot keep"),
        ([{"deep": Flaky()}], "holds a value of type Flaky, which the ledger cannot keep"),
        (float("nan"), "holds the float nan"),
        (2**70, "holds an int of 71 bits"),
        ({1: "a", "1": "b"}, "holds keys that are one as texts"),
        ("half\ud800", "holds a text with NUL or half a character"),
        ("x" * RESULT_BYTES, f"result of {RESULT_BYTES + 2} bytes is larger than the {RESULT_BYTES}"),
        ("postgresql://ann:s3cret@db/x", "holds a secret"),
    ],
)
def test_a_result_that_cannot_be_kept_fails_its_step_and_says_why(result: object, why: str) -> None:
    async def code(ctx: JobContext) -> None:
        await ctx.step("look", lambda: result)

    done = performed(code)
    (step,) = done.steps

    assert Outcome.FAILED is done.run.outcome
    assert why in str(step.error)
    assert why in str(done.run.error)
    assert step.result is None


# --- on_error ---------------------------------------------------------------------------------------------


def test_a_failure_that_may_be_left_behind_is_returned_and_the_run_is_partial() -> None:
    returned: list[JobResult] = []

    async def code(ctx: JobContext) -> None:
        returned.append(await ctx.step("raises", fails, on_error="continue"))
        returned.append(await ctx.step("says no", no, on_error="continue"))
        returned.append(await ctx.step("sub job", Coded(sub_job), on_error="continue"))
        async with ctx.step("block", on_error="continue"):
            fails()
        await ctx.step("last", fine)

    def no() -> JobResult:
        return JobResult.failure("not today").with_stats(2, 3)

    async def sub_job(_ctx: JobContext) -> None:
        raise SystemExit("no sub job")

    done = performed(code)

    assert (Outcome.PARTIAL, "4 steps failed") == (done.run.outcome, done.run.error)
    assert [
        (False, "Flaky: on purpose"),
        (False, "not today"),
        (False, "SystemExit: no sub job"),
    ] == [(each.ok, each.message) for each in returned]
    assert [*(each.message for each in returned), "Flaky: on purpose", None] == [
        step.error for step in done.steps
    ]
    assert (2, 3) == (returned[1].items_processed, returned[1].items_failed)
    assert ["failed"] * 4 + ["succeeded"] == list(outcomes(done).values())


@pytest.mark.parametrize("in_block", [False, True], ids=["call", "block"])
def test_a_step_and_its_run_tell_what_was_raised_in_the_same_words(in_block: bool) -> None:
    """A step said `'port'`, and its run `KeyError: 'port'`."""

    def look_up() -> None:
        raise KeyError("port")

    async def code(ctx: JobContext) -> None:
        if in_block:
            async with ctx.step("look up"):
                look_up()
        else:
            await ctx.step("look up", look_up)

    done = performed(code)

    assert "KeyError: 'port'" == done.steps[0].error
    assert str(done.run.error).endswith("KeyError: 'port'")


@pytest.mark.parametrize(("more", "level"), [(fine, "WARNING"), (None, "ERROR")])
def test_the_log_of_the_program_has_an_error_for_what_failed_as_a_whole(
    caplog: pytest.LogCaptureFixture, more: Callable[[], None] | None, level: str
) -> None:
    """A partial run was an error there and a warning in `logs view`."""

    async def code(ctx: JobContext) -> None:
        await ctx.step("one", fails, on_error="continue")
        if more is not None:
            await ctx.step("two", more)

    performed(code)

    assert [level] == [each.levelname for each in caplog.records if each.name == "cronledger.run"]


def test_a_run_all_of_whose_steps_failed_has_failed() -> None:
    async def code(ctx: JobContext) -> None:
        await ctx.step("one", fails, on_error="continue")

    run = performed(code).run

    assert (Outcome.FAILED, "1 step failed") == (run.outcome, run.error)


def test_a_run_all_of_whose_steps_failed_is_tried_again(ledger_url: str, tmp_path: Path) -> None:
    async def code(ctx: JobContext) -> None:
        await ctx.step("one", fails if ctx.run.attempt == 1 else fine, on_error="continue")

    run = performed_on(ledger_url, tmp_path, code)

    assert (Outcome.SUCCEEDED, 2) == (run.outcome, run.attempt)


def test_nothing_is_recorded_of_an_attempt_after_its_end(ledger_url: str, tmp_path: Path) -> None:
    """What it has left behind may go on: a step beside the one that failed, or a task that nobody awaits."""
    goes_on: list[asyncio.Task[Any]] = []

    async def beside(ctx: JobContext) -> None:
        await ctx.step("slow", anyio.sleep, 0.2)

    async def code(ctx: JobContext) -> None:
        goes_on.append(asyncio.create_task(beside(ctx)))
        await asyncio.sleep(0)
        goes_on.append(asyncio.create_task(later(ctx)))
        await ctx.step("fails", fails)

    async def later(ctx: JobContext) -> None:
        await anyio.sleep(0.3)
        await ctx.step("later", fine)

    async def program() -> RunState:
        config = tmp_path / "config.yaml"
        config.write_text("scheduler: {jobs: [{name: coded, extension: tests, schedule: ''}]}")
        instance = Scheduler(database_url=ledger_url, config=config, jobs=[Coded(code)])
        async with instance.running():
            (run,) = await instance.run_manually(["coded"], actor="test", timeout=8)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.gather(*goes_on, return_exceptions=True), 8)
        return run

    run = asyncio.run(program())
    told = [line["type"] for line in lines_of(ledger_url) if line["run_id"] == run.run_id]

    assert all(each.done() for each in goes_on)
    assert ("run.failed", Outcome.FAILED) == (told[-1], run.outcome)
    assert [] == problems(lines_of(ledger_url))


def test_a_failing_sub_job_stops_its_parent() -> None:
    async def sub_job(_ctx: JobContext) -> JobResult:
        return JobResult.failure("nothing to ingest")

    async def code(ctx: JobContext) -> None:
        await ctx.step("ingest", Coded(sub_job))
        await ctx.step("never", fine)

    done = performed(code)

    assert {"ingest": "failed"} == outcomes(done)
    assert (Outcome.FAILED, "StepFailed: step 'ingest' failed: nothing to ingest") == (
        done.run.outcome, done.run.error
    )  # fmt: skip


def test_what_is_no_step_is_refused_before_anything_is_recorded() -> None:
    async def unknown_choice(ctx: JobContext) -> None:
        await ctx.step("one", fine, on_error="ignore")

    async def a_class(ctx: JobContext) -> None:
        await ctx.step("one", Coded)

    async def a_number(ctx: JobContext) -> None:
        await ctx.step("one", 5)  # type: ignore[arg-type]

    errors = [performed(code) for code in (unknown_choice, a_class, a_number)]

    assert [
        "UsageError: on_error is 'ignore', which is not a choice",
        "UsageError: step 'one' is given the class Coded",
        "UsageError: step 'one' is given a value of type int",
    ] == [done.run.error for done in errors]
    assert [[], [], []] == [done.steps for done in errors]


# --- names that are used twice ----------------------------------------------------------------------------


def test_a_name_that_is_used_twice_fails_the_run() -> None:
    """The second call used to be performed at first, and given the first one's result at a retry."""
    calls: list[int] = []

    async def calls_twice(ctx: JobContext) -> None:
        for number in range(2):
            await ctx.step("send", calls.append, number)

    async def block_and_call(ctx: JobContext) -> None:
        async with ctx.step("send"):
            pass
        await ctx.step("send", fine)

    async def two_blocks(ctx: JobContext) -> None:
        for _ in range(2):
            async with ctx.step("send"):
                pass

    async def in_silence(ctx: JobContext) -> None:
        await ctx.step("send", fine)
        with suppress(Exception):
            await ctx.step("send", fine, on_error="continue")

    done = [performed(code) for code in (calls_twice, block_and_call, two_blocks, in_silence)]

    assert [0] == calls
    assert [Outcome.FAILED] * 4 == [each.run.outcome for each in done]
    assert [["send"]] * 4 == [[step.name for step in each.steps] for each in done]
    assert all("DuplicateStep: this run already has a step 'send'" in str(each.run.error) for each in done)


def test_a_name_is_free_again_in_the_next_attempt(ledger_url: str, tmp_path: Path) -> None:
    async def code(ctx: JobContext) -> None:
        await ctx.step("one", fine)
        await ctx.skip_step("two", "not yet") if ctx.run.attempt == 1 else await ctx.step("two", fine)
        if ctx.run.attempt == 1:
            raise Flaky

    assert Outcome.SUCCEEDED is performed_on(ledger_url, tmp_path, code).outcome


# --- pipelines --------------------------------------------------------------------------------------------


def test_a_step_whose_need_failed_is_skipped_with_the_reason(ledger_url: str, tmp_path: Path) -> None:
    pipeline = Pipeline(
        [
            PipelineStep("ingest", fails),
            PipelineStep("render", fine, needs=["ingest"]),
            PipelineStep("feed", fine),
            PipelineStep("upload", fine, needs=["render", "feed"]),
        ],
        name="publish",
    )
    pipeline.extension = "tests"

    state = performed_on(ledger_url, tmp_path, pipeline)
    skipped = {
        line["body"]["name"]: line["body"]["reason"]
        for line in lines_of(ledger_url)
        if line["type"] == "step.skipped"
    }

    assert Outcome.PARTIAL is state.outcome
    assert {
        "render": "needs 'ingest', which failed",
        "upload": "needs 'render', which was skipped",
    } == skipped
    assert "1 steps succeeded, 1 failed: ingest; 2 skipped: render, upload" == state.message
    assert (1, 1) == (state.items_processed, state.items_failed)


def test_a_step_waits_for_a_later_one_that_it_needs() -> None:
    done = performed(Pipeline([PipelineStep("last", fine, needs=("first",)), ("first", fine)], name="turned"))

    assert ["first", "last"] == [step.name for step in done.steps]


def test_what_was_skipped_says_why_where_steps_are_shown() -> None:
    done = performed(Pipeline([("a", fails), PipelineStep("b", fine, needs=("a",))], name="shown"))

    assert Outcome.FAILED is done.run.outcome
    assert [("failed", "Flaky: on purpose"), ("skipped", "needs 'a', which failed")] == [
        (step.outcome.value, step.error or step.message) for step in done.steps
    ]


def together(count: int) -> Callable[[JobContext], Awaitable[None]]:
    """Return a function that ends only when so many calls of it are at work."""
    here: list[None] = []
    all_here = anyio.Event()

    async def meet(_ctx: JobContext) -> None:
        here.append(None)
        if len(here) == count:
            all_here.set()
        with anyio.fail_after(10):
            await all_here.wait()

    return meet


def test_independent_steps_are_performed_side_by_side(ledger_url: str, tmp_path: Path) -> None:
    at_work: list[int] = [0, 0]
    is_full = anyio.Event()

    async def counting(_ctx: JobContext) -> None:
        at_work[0] += 1
        at_work[1] = max(at_work)
        if at_work[0] == 3:
            is_full.set()
        with anyio.fail_after(10):
            await is_full.wait()
        at_work[0] -= 1

    meet = together(3)
    steps = [
        *[PipelineStep(f"meet {number}", meet) for number in range(3)],
        *[PipelineStep(f"then {number}", counting, needs=["meet 0", "meet 2"]) for number in range(20)],
    ]
    pipeline = Pipeline(steps, max_parallel=3, name="wide")
    pipeline.extension = "tests"

    state = performed_on(ledger_url, tmp_path, pipeline)
    lines = [line for line in lines_of(ledger_url) if line["run_id"] == state.run_id]

    assert (Outcome.SUCCEEDED, 23, 0) == (state.outcome, state.items_processed, state.items_failed)
    assert 3 == at_work[1]
    assert list(range(1, len(lines) + 1)) == [line["version"] for line in lines]
    assert {1} == set(Counter((line["type"], (line["body"] or {}).get("name")) for line in lines).values())


def test_plain_functions_are_performed_side_by_side_in_threads() -> None:
    """A manual run in its own process has room for one run, and yet threads for its steps."""

    def meet(_ctx: JobContext) -> None:
        anyio.from_thread.run(met, _ctx)

    async def code(ctx: JobContext) -> JobResult:
        return await Pipeline([("a", meet), ("b", meet)], parallel=True).execute(ctx)

    met = together(2)

    assert Outcome.SUCCEEDED is performed(code).run.outcome


def test_a_failure_that_stops_the_pipeline_lets_those_at_work_end_and_no_other_begin() -> None:
    failed = anyio.Event()

    async def slow(_ctx: JobContext) -> None:
        with anyio.fail_after(10):
            await failed.wait()

    async def quick(_ctx: JobContext) -> None:
        failed.set()
        raise Flaky("stop here")

    done = performed(
        Pipeline(
            [("slow", slow), ("quick", quick), ("never", fine)],
            max_parallel=2,
            on_error="stop",
            name="halted",
        )
    )

    assert {"slow": "succeeded", "quick": "failed"} == outcomes(done)
    assert "StepFailed: step 'quick' failed: Flaky: stop here" == done.run.error


@pytest.mark.parametrize("parallel", [False, True])
def test_a_pipeline_of_too_many_steps_ends_with_the_error_itself(parallel: bool) -> None:
    async def quick(_ctx: JobContext) -> None:
        pass

    steps = [(f"step {number}", quick) for number in range(MOST_STEPS + 1)]
    done = performed(Pipeline(steps, max_parallel=5 if parallel else None, name="long"))

    assert Outcome.FAILED is done.run.outcome
    assert "TooManySteps: a run records at most 1000 steps" == done.run.error


@pytest.mark.parametrize(
    "error", [SystemExit("out"), asyncio.CancelledError("by itself"), StepFailed("x", "y")]
)
def test_whatever_a_step_raises_side_by_side_is_its_own_failure(error: BaseException) -> None:
    async def raises(_ctx: JobContext) -> None:
        raise error

    pipeline = Pipeline(
        [("raises", raises), ("fine", fine), PipelineStep("after", fine, needs=["raises"])],
        parallel=True,
        name="odd",
    )

    assert {"raises": "failed", "fine": "succeeded", "after": "skipped"} == outcomes(performed(pipeline))


def test_a_step_that_the_job_itself_gives_up_is_no_failure_of_the_step() -> None:
    """The job's own time limit is what ends it, and comes out as such."""

    async def code(ctx: JobContext) -> JobResult:
        with suppress(TimeoutError):
            await asyncio.wait_for(ctx.step("native", anyio.sleep_forever), ENOUGH_SECONDS)
            return JobResult.failure("never given up")
        with anyio.move_on_after(ENOUGH_SECONDS):
            await ctx.step("scope", anyio.sleep_forever)
            return JobResult.failure("never given up")
        await ctx.step("after", fine)
        return JobResult.success().with_message("went on")

    done = performed(code)

    assert (Outcome.SUCCEEDED, "went on") == (done.run.outcome, done.run.message)
    assert ["native", "scope", "after"] == [step.name for step in done.steps]


def test_a_time_out_ends_all_steps_that_are_at_work(ledger_url: str, tmp_path: Path) -> None:
    begun: list[str] = []
    ended: list[str] = []

    async def endless(ctx: JobContext) -> None:
        begun.append(ctx.run.id)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(ctx.run.id)

    pipeline = Pipeline([("a", endless), ("b", endless), ("c", fine)], parallel=True, name="endless")
    pipeline.extension = "tests"
    state = performed_on(ledger_url, tmp_path, pipeline, f"timeout_seconds: {ENOUGH_SECONDS}")

    assert Outcome.TIMED_OUT is state.outcome
    assert [state.run_id] * 2 == begun
    assert begun == ended


def test_a_run_that_was_given_away_stops_all_steps_and_no_group_leaks_out(
    ledger_url: str, tmp_path: Path
) -> None:
    async def given_away(ctx: JobContext) -> None:
        await anyio.to_thread.run_sync(give_away, ledger_url, ctx)

    async def endless(_ctx: JobContext) -> None:
        await anyio.sleep_forever()

    pipeline = Pipeline([("lost", given_away), ("endless", endless)], parallel=True, name="given")
    pipeline.extension = "tests"
    state = performed_on(ledger_url, tmp_path, pipeline)
    (late,) = [line["body"] for line in lines_of(ledger_url) if line["type"] == "run.late_result"]

    assert Outcome.LOST is state.outcome
    assert f"ClaimLost: {state.run_id}" == late["error"]


def give_away(url: str, ctx: JobContext) -> None:
    """End a run behind the back of the instance that performs it."""
    store = opened(url)
    stream = run_stream(ctx.run.id)
    events = list(store.ledger.read_stream(stream))
    state: RunState | None = None
    for recorded in events:
        state = runs.evolve(state, recorded)
    assert state is not None
    lost = runs.about(state, e.RunLost(error="silent"), e.Actor.engine("recovery"))
    store.ledger.append(Write(stream, (lost,), expected=None))
    store.close()


def test_a_drain_hands_a_pipeline_back_and_its_finished_steps_stay_done(sql_url: str, tmp_path: Path) -> None:
    calls: list[str] = []

    async def quick(_ctx: JobContext) -> None:
        calls.append("quick")

    async def slow(ctx: JobContext) -> None:
        calls.append("slow")
        if ctx.run.attempt == 1:
            await anyio.sleep_forever()

    pipeline = Pipeline([("quick", quick), ("slow", slow), ("slower", slow)], parallel=True, name="drained")
    pipeline.extension, pipeline.idempotent = "tests", True
    (tmp_path / "config.yaml").write_text(
        "scheduler: {drain_seconds: 0, jobs: [{name: drained, extension: tests, schedule: ''}]}"
    )

    async def program() -> None:
        for what in ("step.succeeded", "run.succeeded"):
            scheduler = Scheduler(database_url=sql_url, config=tmp_path / "config.yaml", jobs=[pipeline])
            with anyio.fail_after(20):
                async with scheduler.running():
                    if what == "step.succeeded":
                        await scheduler.trigger("drained", actor="test")
                    assert await anyio.to_thread.run_sync(
                        comes, lambda what=what: len(calls) >= 3 and is_there(sql_url, what)
                    )

    asyncio.run(program())

    assert {"quick": 1, "slow": 4} == Counter(calls)


def comes(holds: Callable[[], bool]) -> bool:
    return eventually_within(15, holds, pause_seconds=0.05)


def is_there(url: str, what: str) -> bool:
    return any(line["type"] == what for line in lines_of(url))


# --- refused when they are made ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pipeline([PipelineStep("a", fine, needs=["a"])]), "in a circle: a -> a"),
        (lambda: Pipeline([("a", fine), ("a", fine)]), "two steps of the pipeline are called 'a'"),
        (lambda: Pipeline([PipelineStep("a", fine, needs=["b"])]), "needs 'b', which is no step"),
        (lambda: Pipeline([PipelineStep("a", fine, needs="b")]), "the needs of step 'a' are a text"),
        (lambda: Pipeline([("a", fine)], on_error="maybe"), "on_error is 'maybe'"),
        (lambda: Pipeline([PipelineStep("a", fine, on_error="maybe")]), "on_error is 'maybe'"),
        (lambda: Pipeline([("a", fine)], max_parallel=0), "max_parallel is 0"),
        (lambda: Pipeline([("a", fine)], max_parallel=1.5), "max_parallel is 1.5"),  # type: ignore[arg-type]
        (lambda: Pipeline([("a", fine)], max_parallel=True), "max_parallel is True"),
        (lambda: Pipeline([("a", Coded)]), "step 'a' is given the class Coded"),
        (lambda: Pipeline([("a", "fine")]), "step 'a' is given a value of type str"),
        (lambda: Pipeline([("", fine)]), "the name of a step is ''"),
        (lambda: Pipeline([(None, fine)]), "the name of a step is a value of type NoneType"),
        (lambda: Pipeline([("a\0b", fine)]), r"the name of a step is 'a\x00b'"),
        (lambda: Pipeline([PipelineStep(" ", fine)]), "the name of a step is ' '"),
        (lambda: Pipeline([partial(fine)]), "the name of a step is ''"),
    ],
)
def test_a_pipeline_that_can_never_be_done_is_refused(make: Callable[[], Pipeline], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()

    assert message in caught.value.message
    assert caught.value.hint
