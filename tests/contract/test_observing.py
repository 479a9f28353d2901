"""What people see of runs from elsewhere: their lines with the step, how far they are, what comes new."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread, current_thread
from threading import enumerate as threads
from time import monotonic
from typing import Any

import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest
from sqlalchemy import Connection

from cronledger import JobContext, JobResult, Scheduler, job
from cronledger.clock import SystemClock
from cronledger.domain import events as e
from cronledger.domain.ids import JobName, Position, RunId
from cronledger.domain.line import Line
from cronledger.engine.plan import Plan
from cronledger.errors import LedgerUnreachable
from cronledger.ledger import progress
from cronledger.ledger.database import Store
from cronledger.ledger.logs import Wanted, write_lines
from cronledger.projections import log_lines
from cronledger.projections.log_lines import LOOKS_BACK, Follower
from tests.cli_runner import Result, run_cli
from tests.conftest import opened
from tests.events import HERE, JOB, NOON, RUN, plain, trigger
from tests.waiting import eventually

CONFIG = """
scheduler:
  jobs:
    - {name: chatty, extension: tests, schedule: ""}
    - {name: long, extension: tests, schedule: ""}
    - {name: flood, extension: tests, schedule: ""}
"""
MANY = 10_000
FLOOD_SECONDS = 4.0
"""What so many lines may cost a job; on a quiet machine it is a tenth of that."""


@job(extension="tests")
async def chatty(ctx: JobContext) -> None:
    """Log from steps side by side, from a thread, and from steps in one another."""

    async def part(name: str) -> None:
        async with ctx.step(name):
            ctx.log.info("begin %s", name)
            await anyio.lowlevel.checkpoint()
            ctx.log.info("end %s", name)

    def counted() -> None:
        ctx.log.warning("counted in a thread")

    ctx.log.info("no step yet")
    await asyncio.gather(part("left"), part("right"))
    async with ctx.step("outer"):
        await ctx.step("inner", counted)
        ctx.log.info("outer again")
    ctx.log.info("no step any more")


class Stage:
    """Holds a job until it may go on."""

    def __init__(self) -> None:
        self.may_end = Event()


STAGE = Stage()


@job(extension="tests")
def long(ctx: JobContext) -> JobResult:
    """Report, and wait to be told to end."""
    ctx.progress(1, 4, "a quarter")
    STAGE.may_end.wait(30)
    ctx.progress(4, 4)
    return JobResult.success()


@job(extension="tests")
def flood(ctx: JobContext) -> JobResult:
    """Log in a tight loop."""
    began = monotonic()
    for number in range(MANY):
        ctx.log.info("%s", number)
        ctx.progress(number, MANY)
    return JobResult.success().with_duration(round((monotonic() - began) * 1000))


def scheduler(url: str, folder: Path) -> Scheduler:
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    return Scheduler(database_url=url, config=config, jobs=[chatty, long, flood])


async def eventually_holds(holds: Callable[[], object]) -> bool:
    return await anyio.to_thread.run_sync(lambda: eventually(holds))


def kept(store: Store, **wanted: Any) -> list[Line]:
    return list(log_lines.oldest_first(store, Wanted(**wanted)))


def said(store: Store, run_id: RunId) -> list[tuple[str | None, str]]:
    """Return the lines that the code of a run wrote, with their steps."""
    lines = kept(store, run_id=run_id)
    return [(line.step, line.message) for line in lines if line.logger.startswith("cronledger.jobs.")]


def cli(url: str, *args: str) -> Result:
    return run_cli("--database-url", url, *args)


# --- runs -----------------------------------------------------------------------------------------------


def test_each_line_of_a_run_is_kept_with_the_step_that_said_it(
    ledger_url: str, store: Store, tmp_path: Path
) -> None:
    async def program() -> RunId:
        (run,) = await scheduler(ledger_url, tmp_path).run_manually(["chatty"], actor="ann", local=True)
        return run.run_id

    lines = said(store, asyncio.run(program()))

    assert [
        (None, "no step yet"),
        ("inner", "counted in a thread"),
        ("left", "begin left"),
        ("left", "end left"),
        ("outer", "outer again"),
        ("right", "begin right"),
        ("right", "end right"),
        (None, "no step any more"),
    ] == sorted(lines, key=lambda each: (each[1] == "no step any more", each[0] or "", each[1]))


def test_how_far_a_run_is_can_be_seen_elsewhere_until_it_has_ended(
    ledger_url: str, store: Store, tmp_path: Path
) -> None:
    STAGE.may_end.clear()

    def report() -> progress.Progress | None:
        with store.reading() as connection:
            return next(iter(progress.everything(connection)), None)

    def looked(run_id: RunId) -> list[Any]:
        status = cli(ledger_url, "infra", "jobs", "status", "long", "--json").json["jobs"][0]
        return [
            cli(ledger_url, "runs", "show", run_id, "--json").json["run"]["progress"],
            status["progress"][0],
            cli(ledger_url, "runs", "show", run_id).stdout,
            cli(ledger_url, "infra", "jobs", "status", "long").stdout,
            "progress" in cli(ledger_url, "replay", "--json").stdout,
        ]

    async def program() -> tuple[Any, ...]:
        one = scheduler(ledger_url, tmp_path)
        async with one.running():
            run_id = await one.trigger("long")
            assert await eventually_holds(report)
            running = await anyio.to_thread.run_sync(looked, run_id)
            STAGE.may_end.set()
            assert await eventually_holds(lambda: report() is None)
        return run_id, *running

    run_id, shown, status, page, table, is_history = asyncio.run(program())
    ended = cli(ledger_url, "runs", "show", run_id, "--json").json["run"]

    assert (1, 4, 25.0, "a quarter") == tuple(shown[f] for f in ("done", "total", "percent", "message"))
    assert shown["seconds_left"] >= 0
    assert {"run_id": run_id, **shown} == status
    assert "1 of 4 (25.0 %)" in page
    assert "a quarter" in table
    assert not is_history
    assert ("succeeded", None) == (ended["outcome"], ended["progress"])


class HungNotes:
    """A store that does not answer the thread which keeps lines and progress."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.has_asked, self.may_answer = Event(), Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        if current_thread().name == "cronledger-notes":
            self.has_asked.set()
            assert self.may_answer.wait(30), "the test did not come to its end"
        with self._store.writing(relaxed=relaxed) as connection:
            yield connection


async def flooded(store: Store, url: str, folder: Path) -> int:
    """Perform the flood on a store, and return how many milliseconds its loop took."""
    one = scheduler(url, folder)

    def took() -> Any:
        lines = [each.body for each in store.ledger.read_all(Position(0), 1000)]
        return next((each.duration_ms for each in lines if isinstance(each, e.RunSucceeded)), None)

    async with one.instance_at_work(store, Plan()):
        await one.trigger("flood")
        assert await eventually_holds(took)
    return int(took())


def notes_have_ended() -> bool:
    """Wait for the thread that writes lines: an instance that ends waits for it no longer than a second."""
    return eventually(lambda: "cronledger-notes" not in {thread.name for thread in threads()})


def test_a_run_that_logs_in_a_tight_loop_is_not_held_up_by_a_ledger_that_hangs(
    ledger_url: str, store: Store, tmp_path: Path
) -> None:
    hung = HungNotes(store)
    try:
        milliseconds = asyncio.run(flooded(hung, ledger_url, tmp_path))  # type: ignore[arg-type]
    finally:
        hung.may_answer.set()
        assert notes_have_ended()

    assert hung.has_asked.is_set()
    assert milliseconds < 1000 * FLOOD_SECONDS


def test_the_lines_of_a_tight_loop_are_kept_or_counted(ledger_url: str, store: Store, tmp_path: Path) -> None:
    asyncio.run(flooded(store, ledger_url, tmp_path))
    assert notes_have_ended()
    ours = ("cronledger.jobs.", "cronledger.notes")
    lines = [line.message for line in kept(store) if line.logger.startswith(ours)]
    dropped = sum(int(each.split()[0]) for each in lines if each.endswith(" lines were dropped"))

    assert MANY == sum(each.isdecimal() for each in lines) + dropped
    assert str(MANY - 1) in lines


def test_warnings_of_an_instance_are_seen_on_every_machine(
    ledger_url: str, store: Store, tmp_path: Path
) -> None:
    async def program() -> None:
        async with scheduler(ledger_url, tmp_path).running():
            logging.getLogger("cronledger.engine").warning("the machine is %s", "odd")

    asyncio.run(program())
    (line,) = cli(ledger_url, "infra", "logs", "search", "IS ODD", "--level", "warn", "--json").json["logs"]

    assert (None, "cronledger.engine", "WARN") == (line["job"], line["logger"], line["level"])


# --- reading the log ------------------------------------------------------------------------------------


def write(store: Store, *messages: str, **changes: Any) -> None:
    fields = {"level": "INFO", "logger": "job", "instance": HERE, "job": JOB, "run_id": RUN} | changes
    at = fields.pop("at", None) or store.ledger.head().clock
    with store.writing() as connection:
        write_lines(connection, [Line(at=at, message=each, **fields) for each in messages])


def messages(lines: list[Line]) -> list[str]:
    return [line.message for line in lines]


def test_a_follower_shows_events_and_lines_once_as_they_come(store: Store) -> None:
    store.ledger.append(trigger())
    write(store, "before")
    follower = Follower(store, Wanted())
    write(store, "one")
    begun = log_lines.view(store, Wanted(), seen=follower.begun)
    store.ledger.append(plain("a"))
    write(store, "two")
    first, nothing = follower.look(), follower.look()
    write(store, "three")

    assert ["before"] == [each for each in messages(begun) if each in ("before", "one")]
    assert 2 == len(begun)
    assert ["one", "step.started", "two"] == [
        "step.started" if "started" in each else each for each in messages(first)
    ]
    assert [] == nothing
    assert ["three"] == messages(follower.look())


def test_a_look_that_fails_loses_nothing(store: Store) -> None:
    away = Away(store)
    follower = Follower(away, Wanted())  # type: ignore[arg-type] # as much of a store as is read
    store.ledger.append(trigger())
    write(store, "one")
    away.is_away = True
    with pytest.raises(LedgerUnreachable):
        follower.look()
    away.is_away = False

    assert ["one", "triggered"] == sorted(each.split()[0] for each in messages(follower.look()))
    assert [] == follower.look()


class Away:
    """A store whose tables cannot be read at times."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.ledger = store.ledger
        self.is_away = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        if self.is_away:
            raise LedgerUnreachable("away")
        with self._store.reading() as connection:
            yield connection


def test_a_follower_shows_what_is_wanted_only(store: Store) -> None:
    follower = Follower(store, Wanted(level="warn", job=JOB, step="build", text="OVEN"))
    write(store, "the oven is hot", step="build", level="WARN")
    write(store, "the oven is cold", step="build")
    write(store, "the oven is gone", step="sell", level="ERROR")
    write(store, "the pan is gone", step="build", level="ERROR")
    write(store, "the oven", step="build", level="ERROR", job=JobName("other"))
    store.ledger.append(trigger())

    assert ["the oven is hot"] == messages(follower.look())


def test_a_line_that_was_numbered_early_and_committed_late_is_shown_too(postgres_url: str) -> None:
    early, store = opened(postgres_url), opened(postgres_url)
    follower = Follower(store, Wanted())
    with early.writing() as connection:
        write_lines(connection, [_line("numbered first")])
        write(store, "committed first")
        before = follower.look()
        for _ in range(LOOKS_BACK - 2):
            follower.look()
    after = follower.look()
    again = [follower.look() for _ in range(2 * LOOKS_BACK)]
    early.close()
    store.close()

    assert ["committed first"] == messages(before)
    assert ["numbered first"] == messages(after)
    assert [[]] * (2 * LOOKS_BACK) == again


def _line(message: str) -> Line:
    return Line(at=NOON, level="INFO", logger="job", instance=HERE, message=message)


def test_search_finds_text_in_any_case_in_lines_and_events(ledger_url: str, store: Store) -> None:
    store.ledger.append(trigger())
    write(store, "Über 100% of it", "nothing")
    found = cli(ledger_url, "logs", "search", "über 100%", "--json").json
    of_events = cli(ledger_url, "logs", "search", "TRIGGERED", "--json").json

    assert (1, "Über 100% of it") == (found["total"], found["logs"][0]["message"])
    assert 1 == of_events["total"]
    assert 2 == cli(ledger_url, "logs", "search", "").exit_code
    assert 2 == cli(ledger_url, "logs", "search").exit_code


def test_export_writes_all_that_matches_the_oldest_first(ledger_url: str, store: Store) -> None:
    now = store.ledger.head().clock
    write(store, *map(str, range(1300)), at=now)
    write(store, "old", at=now - timedelta(days=2))
    write(store, "elsewhere", run_id=RunId("other@x"))
    store.ledger.append(trigger())
    everything = cli(ledger_url, "logs", "export", "--run", RUN)
    lines = [msgspec.json.decode(line)["message"] for line in everything.stdout.splitlines()]
    recent = cli(ledger_url, "logs", "export", "--run", RUN, "--since", "1d").stdout.splitlines()

    assert ["old", *map(str, range(1300))] == lines[:-1]
    assert lines[-1].startswith("triggered")
    assert 1301 == len(recent)


@pytest.mark.parametrize("option", ["--job", "--run", "--step"])
def test_lines_about_nothing_are_none(ledger_url: str, store: Store, option: str) -> None:
    """An empty name meant every line."""
    write(store, "a")

    assert 0 == cli(ledger_url, "logs", "view", option, "", "--json").json["total"]


def test_summary_counts_by_level_and_job(ledger_url: str, store: Store) -> None:
    write(store, "a", "b", level="ERROR")
    write(store, "c", level="WARN", job=JobName("other"))
    write(store, "d", job=None, run_id=None)
    write(store, "too old", at=NOON - timedelta(days=9000))
    summary = cli(ledger_url, "infra", "logs", "summary", "--json").json

    assert {"error": 2, "warn": 1, "info": 1, "debug": 0} == summary["levels"]
    assert [("other", 1, 0), ("tidy", 0, 2), (None, 0, 0)] == [
        (each["job"], each["warn"], each["error"]) for each in summary["jobs"]
    ]
    assert summary["since"] < summary["until"]
    assert "(engine)" in cli(ledger_url, "logs", "summary").stdout


def test_view_follows_for_a_while_and_ends(
    ledger_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second begins when all has been written, however long that takes."""
    has_written, written_at = False, 0.0
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: monotonic() - written_at if has_written else 0.0)
    write(store, "already there")
    results: list[Result] = []
    reader = Thread(
        target=lambda: results.append(cli(ledger_url, "logs", "view", "-f", "--for", "1s", "-o", "jsonl"))
    )
    reader.start()
    for number in range(5):
        write(store, f"new {number}")
    written_at, has_written = monotonic(), True
    reader.join()
    (result,) = results
    shown = [msgspec.json.decode(line)["message"] for line in result.stdout.splitlines()]

    assert 0 == result.exit_code
    assert ["already there", *(f"new {number}" for number in range(5))] == shown


@pytest.mark.parametrize(
    "options", [["--for", "3s"], ["-f", "--until", "1h"], ["-f", "--for", "soon"], ["-f", "--level", "loud"]]
)
def test_options_that_do_not_go_together_are_refused(ledger_url: str, options: list[str]) -> None:
    assert 2 == cli(ledger_url, "logs", "view", *options).exit_code


def test_a_step_can_be_picked_out(ledger_url: str, store: Store) -> None:
    write(store, "mine", step="build")
    write(store, "another's", step="sell")
    found = cli(ledger_url, "logs", "view", "--step", "build", "--json").json["logs"]

    assert ["mine"] == [each["message"] for each in found]
