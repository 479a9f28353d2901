"""The scheduler inside an application: real threads, real databases, the host's own loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from sqlalchemy import text

from cronledger import Job, JobContext, JobResult, Scheduler, job
from cronledger.clock import SystemClock
from cronledger.domain.ids import InstanceId, Position
from cronledger.domain.run import Outcome, RunState
from cronledger.engine.plan import Plan
from cronledger.entropy import SeededEntropy
from cronledger.errors import LedgerGap
from cronledger.ledger.memory import MemoryLedger, MemoryLog
from cronledger.projections import fold, run_history
from cronledger.projections.replay import replay
from tests.checker import problems, triggered
from tests.cli_runner import run_cli
from tests.conftest import lines_of, opened
from tests.waiting import eventually, eventually_within

Left = Callable[[Coroutine[Any, Any, None], asyncio.Event], Coroutine[Any, Any, None]]
LIMIT_SECONDS = 30.0
CONFIG = """
scheduler:
  drain_seconds: 5
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
    - {name: blocking, extension: tests, schedule: "* * * * * *"}
    - {name: broken, extension: tests, schedule: "*/2 * * * * *"}
"""


@job(extension="tests")
async def quick() -> None:
    """Take no time."""


@job(extension="tests")
def blocking() -> None:
    """Block a thread for most of a second."""
    time.sleep(0.8)  # noqa: TID251 - blocking is what is tested


@job(extension="tests")
async def broken() -> None:
    """Fail."""
    raise SystemExit("broken on purpose")


def scheduler(url: str, folder: Path, **more: object) -> Scheduler:
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    return Scheduler(database_url=url, config=config, jobs=[quick, blocking, broken], **more)  # type: ignore[arg-type]


async def cadence(until: asyncio.Event) -> float:
    """Return the longest pause of a loop that wants to tick every 10 ms."""
    longest = 0.0
    before = time.monotonic()
    while not until.is_set():
        await asyncio.sleep(0.01)
        now = time.monotonic()
        longest = max(longest, now - before)
        before = now
    return longest


async def until(url: str, happened: str) -> None:
    """Wait until there is an event of a type."""

    def holds() -> bool:
        return happened in {line["type"] for line in lines_of(url)}

    assert await asyncio.to_thread(eventually_within, LIMIT_SECONDS, holds)


async def until_triggered(url: str, times: int, *names: str) -> None:
    """Wait until the schedule has triggered each of these jobs so many times."""

    def holds() -> bool:
        lines = lines_of(url)
        return all(len(triggered(lines, name)) >= times for name in names)

    assert await asyncio.to_thread(eventually_within, LIMIT_SECONDS, holds)


def test_two_programs_share_a_ledger_and_their_loops_keep_their_cadence(
    ledger_url: str, tmp_path: Path
) -> None:
    async def program(label: str, enough: asyncio.Event) -> float:
        async with scheduler(ledger_url, tmp_path, instance=label).running():
            return await cadence(enough)

    async def watched(enough: asyncio.Event) -> None:
        await until_triggered(ledger_url, 4, "quick", "blocking")
        enough.set()

    async def both() -> list[float]:
        enough = asyncio.Event()
        *longest, _ = await asyncio.gather(program("one", enough), program("two", enough), watched(enough))
        return longest

    longest = asyncio.run(both())
    lines = lines_of(ledger_url)

    assert [] == problems(lines)
    for name in ("quick", "blocking"):
        times = triggered(lines, name)
        assert 4 <= len(set(times)) == len(times)
    assert max(longest) < 0.75, "a loop that waited for the blocking job would have paused for 0.8 s"


def test_a_job_that_raises_system_exit_fails_alone_and_its_text_stays(sql_url: str, tmp_path: Path) -> None:
    async def program() -> None:
        async with scheduler(sql_url, tmp_path).running():
            await until_triggered(sql_url, 2, "quick", "broken")

    asyncio.run(program())
    lines = lines_of(sql_url)
    errors = {line["body"]["error"] for line in lines if line["type"] == "run.failed"}  # type: ignore[index]

    assert {"SystemExit: broken on purpose"} == errors
    assert len(triggered(lines, "quick")) >= 2


def test_the_views_equal_a_fresh_fold_a_rebuild_and_a_ledger_that_was_cut(
    sql_url: str, tmp_path: Path
) -> None:
    async def program() -> None:
        async with scheduler(sql_url, tmp_path).running():
            await asyncio.sleep(2)

    asyncio.run(program())
    store = opened(sql_url)
    fold.catch_up(store)
    differences = fold.check(store)
    fold.rebuild(store)
    after = fold.check(store)
    half = Position(store.ledger.head().position // 2)
    log = MemoryLog()
    log.events = store.ledger.read_stored(Position(0), half)
    log.head = msgspec.structs.replace(log.head, position=half)
    cut = MemoryLedger(InstanceId("cut.1.0"), SystemClock(), SeededEntropy(), log)
    as_of_then = replay(store.ledger, half)
    store.close()

    assert [] == differences
    assert [] == after
    assert replay(cut) == as_of_then


def test_one_session_holds_the_advisory_lock_and_killing_it_elects_another(
    postgres_url: str, tmp_path: Path
) -> None:
    def holder() -> tuple[int, int]:
        """Return the session that the last election names, and its term."""
        elected = [line for line in lines_of(postgres_url) if line["type"] == "leader.elected"]
        return elected[-1]["body"]["session"], elected[-1]["term"]  # type: ignore[index, return-value]

    def sessions(connection: psycopg.Connection[tuple[int, ...]], pid: int) -> list[int]:
        return [
            row[0]
            for row in connection.execute(
                "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND (classid, objid) IN (SELECT classid, objid FROM pg_locks"
                " WHERE locktype = 'advisory' AND granted AND pid = %s)",
                (pid,),
            )
        ]

    async def cluster() -> None:
        async with anyio.create_task_group() as tasks:
            stop = anyio.Event()

            async def instance(label: str) -> None:
                async with scheduler(postgres_url, tmp_path, instance=label).running():
                    await stop.wait()

            for label in ("one", "two", "three"):
                tasks.start_soon(instance, label)
            await until_triggered(postgres_url, 2, "quick")
            await anyio.to_thread.run_sync(kill_the_holder)
            with anyio.fail_after(LIMIT_SECONDS):
                while (await anyio.to_thread.run_sync(holder))[1] == 1:
                    await anyio.sleep(0.1)
            await anyio.to_thread.run_sync(one_holder)
            stop.set()

    def one_holder() -> int:
        pid, _ = holder()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            assert [pid] == sessions(connection, pid)
        return pid

    def kill_the_holder() -> None:
        pid = one_holder()
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))

    asyncio.run(cluster())

    assert [] == problems(lines_of(postgres_url))


class Stepped(Job):
    """Two steps, the second of which fails the first time."""

    name = "stepped"
    extension = "tests"
    idempotent = True
    performed: list[str]

    async def execute(self, ctx: JobContext) -> JobResult:
        await ctx.step("first", self.first)
        await ctx.step("second", self.second, ctx.run.attempt)
        return JobResult.success()

    def first(self) -> dict[str, int]:
        self.performed.append("first")
        return {"rows": 3}

    async def second(self, attempt: int) -> None:
        self.performed.append("second")
        if attempt == 1:
            raise OSError("the network was away")


def test_a_step_that_succeeded_is_not_repeated_when_its_run_is_tried_again(
    ledger_url: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(
        "scheduler: {jobs: [{name: stepped, extension: tests, schedule: '', "
        "retry: {max_attempts: 2, backoff_seconds: 0.05, jitter: false}}]}"
    )
    stepped = Stepped()
    stepped.performed = []
    program = Scheduler(database_url=ledger_url, config=tmp_path / "config.yaml", jobs=[stepped])
    (run,) = asyncio.run(program.run_manually(["stepped"], actor="test"))

    assert (Outcome.SUCCEEDED, 2) == (run.outcome, run.attempt)
    assert ["first", "second", "second"] == stepped.performed


def test_what_a_job_changes_in_its_parameters_is_nobody_elses(sql_url: str, tmp_path: Path) -> None:
    """The next attempt began with what the first had added, and so did the history that people read."""
    seen: list[str] = []

    @job(extension="tests", idempotent=True)
    def greedy(ctx: JobContext) -> None:
        """Take one order more each time."""
        seen.append(f"{ctx.params}")
        for orders in (ctx.params["orders"], ctx.params["standing"]):
            orders.append(len(seen))
        if len(seen) == 1:
            raise OSError("the network was away")

    (tmp_path / "config.yaml").write_text(
        "scheduler: {jobs: [{name: greedy, extension: tests, parameters: {standing: [0]}, "
        "retry: {max_attempts: 2, backoff_seconds: 0.05, jitter: false}}]}"
    )

    async def program() -> None:
        instance = Scheduler(database_url=sql_url, config=tmp_path / "config.yaml", jobs=[greedy])
        async with instance.running() as running:
            await running.trigger("greedy", {"orders": [7]}, actor="test")
            await until(sql_url, "run.succeeded")

    asyncio.run(program())
    store = opened(sql_url)
    with store.reading() as connection:
        (run,) = run_history.newest(connection)
    differences = fold.check(store)
    store.close()

    assert ["{'standing': [0], 'orders': [7]}"] * 2 == seen
    assert ({"orders": [7]}, []) == (run.parameters, differences)


@pytest.mark.parametrize(
    ("jobs", "last"),
    [([], "leader.elected"), (["quick"], "run.succeeded"), (["blocking"], "run.started")],
)
def test_an_instance_that_ends_leaves_the_views_where_it_has_resigned(
    sql_url: str, tmp_path: Path, jobs: list[str], last: str
) -> None:
    entries = "".join(f"    - {{name: {name}, extension: tests}}\n" for name in ("quick", "blocking"))
    config = tmp_path / "config.yaml"
    config.write_text(f"scheduler:\n  jobs:\n{entries}")

    async def program() -> None:
        instance = Scheduler(database_url=sql_url, config=config, jobs=[quick, blocking])
        async with instance.running() as running:
            for name in jobs:
                await running.trigger(name, actor="test")
            await until(sql_url, last)

    asyncio.run(program())
    (resigned,) = [line["position"] for line in lines_of(sql_url) if line["type"] == "leader.resigned"]
    store = opened(sql_url)
    with store.reading() as connection:
        marks = fold.checkpoints(connection)
        runs = run_history.newest(connection)
    store.close()

    assert all(resigned <= mark.position for mark in marks.values())
    assert [Outcome.SUCCEEDED for _ in jobs] == [run.outcome for run in runs]


def test_the_same_key_triggers_one_run(ledger_url: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "scheduler: {jobs: [{name: quick, extension: tests}]}"
    )  # no scheduled run is in the way

    async def program() -> set[str]:
        async with Scheduler(database_url=ledger_url, config=config, jobs=[quick]).running() as running:
            return {str(await running.trigger("quick", key="order-7", actor="shop")) for _ in range(3)}

    assert 1 == len(asyncio.run(program()))


def test_a_job_is_told_on_whose_behalf_it_runs(memory_url: str, tmp_path: Path) -> None:
    @job(extension="tests")
    def audit(ctx: JobContext) -> JobResult:
        """Tell the owner."""
        return JobResult.success().with_message(f"for {ctx.run.owner}")

    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: audit, extension: tests, owner: trade}]}")
    program = Scheduler(database_url=memory_url, config=config, jobs=[audit])
    (run,) = asyncio.run(program.run_manually(["audit"], actor="test"))

    assert "for trade" == run.message


# --- how an instance ends that cannot go on ---------------------------------------------------------------


def lose_events(url: str) -> None:
    """Have the head say that there are more events than there are."""
    store = opened(url)
    with store.writing() as connection:
        connection.execute(text("UPDATE head SET position = position + 3"))
    store.close()


def test_what_ends_an_instance_reaches_the_application_as_itself(sqlite_url: str, tmp_path: Path) -> None:
    """It used to come out as groups of groups of one, which nobody catches."""

    async def program() -> None:
        async with scheduler(sqlite_url, tmp_path).running():
            await anyio.to_thread.run_sync(lose_events, sqlite_url)
            await anyio.sleep_forever()

    with pytest.raises(LedgerGap):
        asyncio.run(program())


def test_what_the_applications_own_block_raises_leaves_it_as_it_is(memory_url: str, tmp_path: Path) -> None:
    own = ExceptionGroup("the application's own", [ValueError("one")])

    async def program() -> None:
        async with scheduler(memory_url, tmp_path).running():
            raise own

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(program())

    assert own is caught.value


def test_an_instance_that_finds_events_missing_ends_with_the_documented_exit_code(sqlite_url: str) -> None:
    """It used to be 1, with a traceback."""
    lose_events(sqlite_url)

    assert 7 == run_cli("--database-url", sqlite_url, "up", "--for", "20s").exit_code


def test_a_scheduler_in_the_background_that_ends_says_so_at_once_and_raises_it_afterwards(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It used to be dead in silence."""

    def program() -> None:
        with scheduler(sqlite_url, tmp_path).background():
            lose_events(sqlite_url)
            said.append(eventually(lambda: any("has ended" in each.getMessage() for each in caplog.records)))

    said: list[bool] = []
    with pytest.raises(LedgerGap):
        program()

    assert [True] == said


def test_a_manual_run_performed_here_goes_on_while_its_ledger_is_away(
    sqlite_url: str, tmp_path: Path
) -> None:
    """It used to be cancelled when the ledger did not answer for a moment."""
    file, elsewhere = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "elsewhere.db"

    @job(extension="tests")
    def outlast() -> None:
        """Perform while nobody can read the ledger."""
        file.rename(elsewhere)
        time.sleep(0.7)  # noqa: TID251 - a job on a thread
        elsewhere.rename(file)

    program = Scheduler(database_url=sqlite_url, jobs=[outlast])
    (run,) = asyncio.run(program.run_manually(["outlast"], actor="test"))

    assert Outcome.SUCCEEDED == run.outcome


def test_a_thread_that_goes_on_after_its_run_keeps_its_place(memory_url: str, tmp_path: Path) -> None:
    """Nothing can stop a thread: as long as it goes on, no other run is begun in its stead."""
    may_end = threading.Event()

    @job(extension="tests")
    def hangs() -> None:
        """Wait for somebody who comes later."""
        may_end.wait(LIMIT_SECONDS)

    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: hangs, extension: tests, timeout_seconds: 0.2}]}")

    async def program() -> tuple[RunState, int, bool]:
        instance = Scheduler(database_url=memory_url, config=config, jobs=[hangs])
        with closing(instance.open()) as store:
            async with instance.instance_at_work(store, Plan()) as engine:
                with anyio.fail_after(LIMIT_SECONDS):
                    await engine.ready.wait()
                (run,) = await instance.run_manually(["hangs"], actor="test", timeout=LIMIT_SECONDS)
                left = engine.executor.left_behind
                may_end.set()
                is_free = await asyncio.to_thread(
                    eventually_within, LIMIT_SECONDS, lambda: engine.executor.left_behind == 0
                )
        return run, left, is_free

    run, left, is_free = asyncio.run(program())

    assert (Outcome.TIMED_OUT, 1, True) == (run.outcome, left, is_free)


async def left_by_a_scope(program: Coroutine[Any, Any, None], began: asyncio.Event) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: program)
        await began.wait()
        tasks.cancel_scope.cancel()


async def left_by_a_siblings_error(program: Coroutine[Any, Any, None], began: asyncio.Event) -> None:
    with suppress(ExceptionGroup):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: program)
            await began.wait()
            raise KeyError("sibling")


async def left_by_two_cancels(program: Coroutine[Any, Any, None], began: asyncio.Event) -> None:
    running = asyncio.create_task(program)
    await began.wait()
    running.cancel()
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("left", [left_by_a_scope, left_by_a_siblings_error, left_by_two_cancels])
def test_an_instance_drains_however_its_block_is_left(sqlite_url: str, tmp_path: Path, left: Left) -> None:
    """Its runs were cut off, and lost for good unless they may be repeated."""
    began = asyncio.Event()

    @job(extension="tests")
    async def lasting() -> None:
        """Take longer than it takes to leave."""
        began.set()
        await asyncio.sleep(0.5)

    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {jobs: [{name: lasting, extension: tests}]}")

    async def program() -> None:
        instance = Scheduler(database_url=sqlite_url, config=config, jobs=[lasting])
        async with instance.running() as running:
            await running.trigger("lasting", actor="test")
            await asyncio.sleep(LIMIT_SECONDS)

    async def main() -> None:
        await asyncio.wait_for(left(program(), began), LIMIT_SECONDS)

    asyncio.run(main())
    told = [line["type"] for line in lines_of(sqlite_url) if line["run_id"]]

    assert ["run.triggered", "run.started", "run.succeeded"] == told


def test_what_an_application_cuts_off_has_begun_and_is_not_handed_back(
    ledger_url: str, tmp_path: Path
) -> None:
    """Nobody may perform it a second time: it is lost, and its history says so.

    Every coroutine is cut off at once by `asyncio.run`, when it is interrupted a second time.
    """
    began = asyncio.Event()

    @job(extension="tests")
    async def once() -> None:
        """Go on until the application is gone."""
        began.set()
        await asyncio.sleep(LIMIT_SECONDS)

    config = tmp_path / "config.yaml"
    config.write_text("scheduler: {drain_seconds: 1, jobs: [{name: once, extension: tests}]}")

    async def program() -> None:
        async with Scheduler(database_url=ledger_url, config=config, jobs=[once]).running() as running:
            await running.trigger("once", actor="test")
            await asyncio.wait_for(began.wait(), LIMIT_SECONDS)
            for each in asyncio.all_tasks():
                each.cancel()
            await asyncio.sleep(LIMIT_SECONDS)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(program())
    told = [line["type"] for line in lines_of(ledger_url) if line["run_id"]]

    assert "attempt.interrupted" not in told
    assert ["run.triggered", "run.started"] == told[:2]
