"""Files that change under a running instance: real threads, real databases, real files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from cronledger import JobContext, Scheduler, job
from cronledger.domain.ids import CONFIG, Position
from cronledger.ledger import instances
from cronledger.ledger.codec import exported
from cronledger.ledger.database import Store
from tests.checker import problems, triggered
from tests.conftest import opened
from tests.redefinitions import count, misdecided

LIMIT_SECONDS = 30
EVERY = {"a": "* * * * * *", "b": "*/2 * * * * *", "c": "*/3 * * * * *"}

Lines = list[dict[str, Any]]


@job(extension="tests")
async def quick() -> None:
    """Take no time."""


def text(which: str, **scheduler: Any) -> str:
    jobs = [{"name": "quick", "extension": "tests", "schedule": EVERY[which]}]
    return msgspec.json.encode({"scheduler": {**scheduler, "drain_seconds": 5, "jobs": jobs}}).decode()


def put(path: Path, content: str) -> None:
    """Replace a file as a careful program does."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(content)
    fresh.replace(path)


def overwrite(path: Path, content: str) -> None:
    """Write into a file as a careless program does."""
    path.write_text(content)


def remove(path: Path) -> None:
    path.unlink()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration with one job a second."""
    path = tmp_path / "config.yaml"
    path.write_text(text("a"))
    return path


class Watched:
    """A ledger to look at from beside the programs that write it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lines(self) -> Lines:
        """Return the whole ledger."""
        stored = self._store.ledger.read_stored(Position(0), 10**9)
        return [msgspec.json.decode(exported(each)) for each in stored]

    def rows(self) -> dict[str, instances.Instance]:
        """Return the instances by name."""
        with self._store.reading() as connection:
            return {row.name: row for row in instances.known(connection)}

    async def until(self, holds: Callable[[Lines], object]) -> Lines:
        """Wait until something holds of the ledger."""
        lines: Lines = []
        with anyio.fail_after(LIMIT_SECONDS):
            while not holds(lines := await anyio.to_thread.run_sync(self.lines)):
                await anyio.sleep(0.1)
        return lines

    async def until_row(self, holds: Callable[[dict[str, instances.Instance]], object]) -> None:
        """Wait until something holds of the instances."""
        with anyio.fail_after(LIMIT_SECONDS):
            while not holds(await anyio.to_thread.run_sync(self.rows)):
                await anyio.sleep(0.1)


@contextmanager
def watching(url: str) -> Iterator[Watched]:
    store = opened(url)
    try:
        yield Watched(store)
    finally:
        store.close()


def instance(url: str, config: Path, name: str = "one") -> Scheduler:
    return Scheduler(database_url=url, config=config, jobs=[quick], instance=name)


def of_type(lines: Lines, *types: str) -> Lines:
    return [line for line in lines if line["type"] in types]


def test_files_that_are_wrong_or_half_written_change_nothing_until_they_are_right(
    sqlite_url: str, config: Path
) -> None:
    """Fault 63."""

    async def program(ledger: Watched) -> None:
        async with instance(sqlite_url, config).running():
            overwrite(config, text("b")[:60])
            await ledger.until(lambda lines: 1 == count(lines, "config.rejected"))
            os.utime(config)
            await anyio.sleep(2.5)
            overwrite(config, "")
            await ledger.until(lambda lines: 2 == count(lines, "config.rejected"))
            remove(config)
            await ledger.until(lambda lines: 3 == count(lines, "config.rejected"))
            fired = len(triggered(await anyio.to_thread.run_sync(ledger.lines)))
            await ledger.until(lambda lines: len(triggered(lines)) > fired)
            put(config, text("b"))
            changed = await ledger.until(lambda lines: count(lines, "config.applied") == 2)
            fired = len(triggered(changed))
            await ledger.until(lambda lines: len(triggered(lines)) > fired)

    with watching(sqlite_url) as ledger:
        asyncio.run(program(ledger))
        lines = ledger.lines()
    rejected = of_type(lines, "config.rejected")
    loaded = of_type(lines, "config.loaded")
    changes = of_type(lines, "job.redefined", "job.retired", "job.registered")

    assert [] == problems(lines)
    assert [] == misdecided(lines)
    assert ["job.registered", "job.redefined"] == [line["type"] for line in changes]
    assert {loaded[0]["body"]["revision"]} == {line["body"]["kept"] for line in rejected}
    assert ["not valid YAML", "the file is empty", "no such file"] == [
        next(word for word in ("not valid YAML", "the file is empty", "no such file") if word in problem)
        for line in rejected
        for problem in line["body"]["problems"]
    ]
    assert {"redefined": ["quick"], "previous": loaded[0]["body"]["revision"]} == {
        key: loaded[1]["body"][key] for key in ("redefined", "previous")
    }
    assert rejected[-1]["position"] < changes[-1]["position"]


def test_a_follower_carries_its_new_files_and_leaves_the_clusters_definitions_alone(
    sqlite_url: str, config: Path, tmp_path: Path
) -> None:
    """Fault 62."""
    theirs = tmp_path / "theirs.yaml"
    theirs.write_text(text("a"))

    async def program(ledger: Watched) -> Lines:
        async with instance(sqlite_url, config, "one").running():
            async with instance(sqlite_url, theirs, "two").running():
                before = ledger.rows()["two"].config_revision
                put(theirs, text("b"))
                await ledger.until_row(lambda rows: rows["two"].config_revision != before)
                await ledger.until(lambda lines: count(lines, "config.loaded") == 3)
                await anyio.sleep(1.5)
                alone = ledger.lines()
            put(config, text("c"))
            await ledger.until(lambda lines: count(lines, "job.redefined"))
        return alone

    with watching(sqlite_url) as ledger:
        alone = asyncio.run(program(ledger))
        lines = ledger.lines()

    assert (2, 1) == (count(alone, "config.loaded") - 1, count(alone, "config.applied"))
    assert [EVERY["c"]] == [
        line["body"]["definition"]["schedule"] for line in of_type(lines, "job.redefined")
    ]
    assert [] == misdecided(lines)


def test_files_that_are_put_right_again_are_loaded_and_the_same_mistake_is_another_one(
    sqlite_url: str, config: Path
) -> None:
    """The ledger did not hear that the files were right again: `status` told the problem for ever."""

    async def program(ledger: Watched) -> None:
        async with instance(sqlite_url, config).running():
            for often in (1, 2):
                put(config, "scheduler: {job: []}")
                await ledger.until(lambda lines, often=often: count(lines, "config.rejected") == often)
                put(config, text("a"))
                await ledger.until(lambda lines, often=often: count(lines, "config.loaded") == often + 1)

    with watching(sqlite_url) as ledger:
        asyncio.run(program(ledger))
        lines = ledger.lines()
    loaded = of_type(lines, "config.loaded")

    assert 1 == len({line["body"]["revision"] for line in loaded})
    assert [] == of_type(lines, "job.redefined")
    assert [] == problems(lines)


def test_two_instances_with_the_same_mistake_record_it_once(sqlite_url: str, config: Path) -> None:
    async def program(ledger: Watched) -> None:
        async with (
            instance(sqlite_url, config, "one").running(),
            instance(sqlite_url, config, "two").running(),
        ):
            overwrite(config, "scheduler: {job: []}")
            await ledger.until(lambda lines: count(lines, "config.rejected"))
            await anyio.sleep(2.5)
            overwrite(config, "scheduler: {job: [ ]}")
            await anyio.sleep(2.5)

    with watching(sqlite_url) as ledger:
        asyncio.run(program(ledger))
        rejected = of_type(ledger.lines(), "config.rejected")

    assert 1 == len(rejected)
    assert "unknown key 'job', did you mean 'jobs'?" in rejected[0]["body"]["problems"][0]


def test_a_scheduler_that_its_files_switch_off_resigns_and_leads_again_when_they_switch_it_on(
    sql_url: str, config: Path
) -> None:
    async def program(ledger: Watched) -> None:
        async with instance(sql_url, config).running():
            put(config, text("a", enabled=False))
            await ledger.until(lambda lines: count(lines, "leader.resigned"))
            await ledger.until_row(lambda rows: rows["one"].jobs == ())
            put(config, text("a"))
            await ledger.until(lambda lines: count(lines, "leader.elected") == 2)
            fired = len(triggered(ledger.lines()))
            await ledger.until(lambda lines: len(triggered(lines)) > fired)

    with watching(sql_url) as ledger:
        asyncio.run(program(ledger))
        lines = ledger.lines()

    assert [] == problems(lines)
    assert 1 == count(lines, "config.loaded")


def test_what_is_used_only_at_the_start_is_named(
    memory_url: str, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def program(ledger: Watched) -> None:
        async with instance(memory_url, config).running():
            put(config, text("b", startup_wait_seconds=7, max_runs=3))
            await ledger.until(lambda lines: count(lines, "job.redefined"))

    with watching(memory_url) as ledger:
        asyncio.run(program(ledger))
    warnings = [each.getMessage() for each in caplog.records if each.name == "cronledger.config"]

    assert "scheduler.startup_wait_seconds has changed: it needs a restart" in warnings
    assert [] == [line for line in warnings if "max_runs" in line]


def test_a_job_is_given_what_a_reference_in_its_configuration_stands_for_also_after_a_reload(
    memory_url: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be given the reference itself, until the next restart."""
    seen: list[str] = []

    @job(extension="tests")
    async def look(ctx: JobContext) -> None:
        seen.append(ctx.config["hook"])

    def files(which: str) -> str:
        content = {"application": {"hook": "${env:HOOK}"}} | msgspec.json.decode(text(which))
        return msgspec.json.encode(content).decode()

    async def program(ledger: Watched) -> None:
        program = Scheduler(database_url=memory_url, config=config, jobs=[quick, look])
        async with program.running():
            await program.trigger("look")
            await ledger.until(lambda _: len(seen) == 1)
            put(config, files("b"))
            await ledger.until(lambda lines: count(lines, "job.redefined"))
            await program.trigger("look")
            await ledger.until(lambda _: len(seen) == 2)

    monkeypatch.setenv("HOOK", "https://chat.example/s3cret")
    put(config, files("a"))
    with watching(memory_url) as ledger:
        asyncio.run(program(ledger))

    assert 2 * ["https://chat.example/s3cret"] == seen


def test_the_application_sees_the_definitions_that_were_read_last(sqlite_url: str, config: Path) -> None:
    async def program(ledger: Watched) -> list[str]:
        async with instance(sqlite_url, config).running() as scheduler:
            seen = [scheduler.resolution.definitions[0].schedule]
            put(config, text("b"))
            await ledger.until(lambda lines: count(lines, "job.redefined"))
            seen.append(scheduler.resolution.definitions[0].schedule)
        return seen

    with watching(sqlite_url) as ledger:
        assert [EVERY["a"], EVERY["b"]] == asyncio.run(program(ledger))


def test_the_stream_of_the_configuration_tells_what_happened_in_order(memory_url: str, config: Path) -> None:
    async def program(ledger: Watched) -> None:
        async with instance(memory_url, config).running():
            put(config, text("b"))
            await ledger.until(lambda lines: count(lines, "config.loaded") == 2)
            await ledger.until(lambda lines: count(lines, "config.applied") == 2)

    with watching(memory_url) as ledger:
        asyncio.run(program(ledger))
        said = [line["type"] for line in ledger.lines() if line["stream"] == CONFIG]

    assert ["config.loaded", "config.applied"] == said[:2]
    assert {"config.loaded", "config.applied"} == set(said[2:])
