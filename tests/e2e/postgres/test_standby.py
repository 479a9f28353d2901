"""A primary and its hot standby: what an instance does at a standby, and after a failover."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from cronledger import Scheduler, job
from cronledger.domain.leadership import Lease
from cronledger.errors import Fenced, LedgerUnreachable
from cronledger.ledger.api import Item
from tests.checker import problems
from tests.cli_runner import run_cli
from tests.conftest import lines_of, opened
from tests.e2e.postgres.conftest import Opener
from tests.events import election, kinds, plain, positions, submit
from tests.postgres import OwnServer
from tests.waiting import eventually

LEASE = Lease(seconds=4.0, renew_seconds=1.0, margin_seconds=0.5)
CONFIG = """
scheduler:
  drain_seconds: 5
  jobs:
    - {name: careful, extension: tests, schedule: "* * * * * *"}
    - {name: repeatable, extension: tests, schedule: "* * * * * *", idempotent: true}
"""


@job(extension="tests")
async def careful() -> None:
    """Do what must not be done twice."""


@job(extension="tests")
async def repeatable() -> None:
    """Do what may be done twice."""


class Pair:
    """A primary, its standby, and one ledger on both."""

    def __init__(self, primary: OwnServer) -> None:
        self.primary = primary
        self.url = primary.make_database()
        self.standby = primary.standby("copy")
        self.standby_url = str(make_url(self.url).set(port=self.standby.port))
        self.both = f"{self.url}?host=127.0.0.1:{primary.port}&host=127.0.0.1:{self.standby.port}"
        self.both = self.both.replace(f"@127.0.0.1:{primary.port}/", "@/")

    def caught_up(self) -> bool:
        """Whether the standby has everything that the primary has."""
        lag = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
        store = opened(self.url)
        with store.stating() as connection:  # type: ignore[attr-defined]
            found = connection.exec_driver_sql(lag).scalar_one()
        store.close()
        return bool(found)


@pytest.fixture
def pair(own: OwnServer) -> Iterator[Pair]:
    pair = Pair(own)
    yield pair
    pair.standby.end()


@pytest.fixture(scope="module")
def shared_pair(module_server: OwnServer) -> Iterator[Pair]:
    pair = Pair(module_server)
    yield pair
    pair.standby.end()


# --- at a standby: Fault 26 -----------------------------------------------------------------------------


def test_an_instance_refuses_to_serve_at_a_standby(shared_pair: Pair, tmp_path: Path) -> None:
    """Fault 26."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    async def program() -> None:
        async with Scheduler(
            database_url=shared_pair.standby_url, config=config, jobs=[careful, repeatable]
        ).running():
            raise AssertionError("an instance serves at a standby")

    with pytest.raises(LedgerUnreachable, match="is a standby") as refused:
        asyncio.run(program())

    assert refused.value.hint is not None
    assert "primary" in refused.value.hint


def test_the_lock_of_a_standby_is_not_taken(
    shared_pair: Pair, store_at: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 26: a hot standby grants advisory locks as happily as a primary."""
    lock = store_at(shared_pair.standby_url).leader_lock()
    lock.contend(lambda: None)

    assert eventually(lambda: "standby" in caplog.text)
    assert not lock.held
    lock.release()


def test_reading_commands_work_at_a_standby(shared_pair: Pair) -> None:
    answered = run_cli("--database-url", shared_pair.standby_url, "infra", "jobs", "status", "--json")

    assert 0 == answered.exit_code


def test_doctor_names_the_standby_and_what_follows_asynchronously(shared_pair: Pair) -> None:
    at_standby = run_cli("--database-url", shared_pair.standby_url, "doctor", "-o", "json")
    at_primary = run_cli("--database-url", shared_pair.url, "doctor", "-o", "json")

    assert "the server is a standby" in at_standby.stdout
    assert "standbys follow asynchronously" in at_primary.stdout


def test_of_several_hosts_the_primary_is_found(shared_pair: Pair, store_at: Opener) -> None:
    store = store_at(shared_pair.both)
    backwards = shared_pair.both.split("?")
    hosts = "&".join(reversed(backwards[1].split("&")))
    store.ledger.append(plain("found"))
    store_at(f"{backwards[0]}?{hosts}").ledger.append(plain("found_too"))

    assert [1, 2] == positions(store.ledger)


# --- failover: Faults 22, 23, 24 ------------------------------------------------------------------------


def test_the_terms_of_a_lost_history_mean_nothing_on_another_server(pair: Pair, store_at: Opener) -> None:
    """Fault 22: the lost leader's term and its successor's have the same number."""
    old, other = store_at(pair.both), store_at(pair.both)
    submit(old.ledger, election(fence=0, expected=0, leader=old.ledger.instance))
    assert eventually(pair.caught_up)
    cut_off(pair)
    submit(old.ledger, election(fence=1, expected=1, leader=old.ledger.instance, force=True))
    (led,) = submit(old.ledger, Item((plain("lost"),), fence=2))  # type: ignore[arg-type]
    pair.primary.stop("immediate")
    pair.standby.promote()
    successor = election(fence=1, expected=1, leader=other.ledger.instance, force=True)
    assert ["Appended"] == kinds(submit(other.ledger, successor))
    late = old.ledger.prepare(Item((plain("late"),), fence=2))  # type: ignore[arg-type]
    refused = eventually(lambda: isinstance(answer_of(old, late), Fenced))

    assert "Appended" == type(led).__name__
    assert refused
    assert [1, 2] == positions(other.ledger)
    assert 3 == (old.lost() or (0, ""))[0]
    assert old.lost() is None


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_an_asynchronous_failover_skips_what_may_have_run_and_runs_what_may_run_twice(
    pair: Pair, tmp_path: Path
) -> None:
    """Fault 22: an instance lives through a failover that lost its commits."""
    lost: list[int] = []

    async def fail_over() -> None:
        await asyncio.sleep(4)
        await asyncio.to_thread(cut_off, pair)
        await asyncio.sleep(3)
        store = opened(pair.url)
        lost.append(store.ledger.head().position)
        store.close()
        await asyncio.to_thread(pair.primary.stop, "immediate")
        await asyncio.to_thread(pair.standby.promote)

    lines = run_through(pair, tmp_path, fail_over, seconds=12)
    changed = [line for line in lines if line["type"] == "ledger.lineage_changed"]
    regressed = [line for line in lines if line["type"] == "ledger.regressed"]
    skipped = [
        line
        for line in lines
        if line["type"] == "job.fire_times_skipped" and line["body"]["reason"] == "lineage"
    ]
    elected = [line for line in lines if line["type"] == "leader.elected"]

    assert 1 == len(changed)
    assert regressed
    assert all(line["body"]["position"] <= lost[0] for line in regressed)
    assert ["careful"] == [line["job"] for line in skipped]
    assert skipped[0]["body"]["count"] >= 2
    assert 2 == len(elected)
    assert elected[0]["body"]["lineage"] != elected[1]["body"]["lineage"]
    assert [] == problems(lines)


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_a_synchronous_failover_loses_nothing(pair: Pair, tmp_path: Path) -> None:
    """Fault 23."""
    pair.primary.set("synchronous_standby_names", "copy")
    acknowledged: list[int] = []

    async def fail_over() -> None:
        await asyncio.sleep(5)
        store = opened(pair.url)
        acknowledged.append(store.ledger.head().position)
        store.close()
        await asyncio.to_thread(pair.primary.stop, "immediate")
        await asyncio.to_thread(pair.standby.promote)

    lines = run_through(pair, tmp_path, fail_over, seconds=9)

    assert 1 == sum(line["type"] == "ledger.lineage_changed" for line in lines)
    assert [] == [line for line in lines if line["type"] == "ledger.regressed"]
    assert len(lines) > acknowledged[0] > 5
    assert [] == problems(lines)


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_an_isolated_synchronous_primary_acknowledges_nothing(pair: Pair, store_at: Opener) -> None:
    """Fault 24: the old primary is still up, and its commits hang; so nothing there has an effect."""
    pair.primary.set("synchronous_standby_names", "copy")
    isolated = store_at(pair.url, limit_seconds=3.0)
    isolated.ledger.append(plain("before"))
    pair.standby.promote()
    item = isolated.ledger.prepare(Item((plain("split"),)))
    for _ in range(2):
        with pytest.raises(LedgerUnreachable):
            isolated.ledger.submit([item])
    promoted = store_at(pair.standby_url)
    promoted.ledger.append(plain("after"))

    assert [1, 2] == positions(promoted.ledger)
    pair.primary.stop("immediate")


@pytest.mark.nightly
@pytest.mark.timeout(120)
def test_a_data_directory_put_back_is_noticed_by_whoever_was_told_more(
    own: OwnServer, store_at: Opener
) -> None:
    """Fault 85: a plain copy begins no new timeline; only the acknowledged events tell."""
    url = own.make_database()
    store = store_at(url)
    submit(store.ledger, election(fence=0, expected=0, leader=store.ledger.instance))
    own.stop()
    shell("cp", "-a", own.data, own.folder / "backup")
    own.start()
    retried(store, Item((plain("lost"),), fence=1))  # type: ignore[arg-type]
    own.stop()
    shell("rm", "-rf", own.data)
    shell("mv", own.folder / "backup", own.data)
    own.start()
    answer = retried(store, Item((plain("late"),), fence=1))  # type: ignore[arg-type]

    assert isinstance(answer, Fenced)
    assert 2 == (store.lost() or (0, ""))[0]


# ---------------------------------------------------------------------------------------------------------


def cut_off(pair: Pair) -> None:
    """Let the standby follow no longer: what is committed from now on is on the primary alone."""
    pair.standby.set("primary_conninfo", "")
    store = opened(pair.url)
    with store.stating() as connection:  # type: ignore[attr-defined]
        assert eventually(
            lambda: connection.exec_driver_sql("SELECT count(*) FROM pg_stat_replication").scalar_one() == 0
        )
    store.close()


def shell(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, timeout=60)


def answer_of(store: object, item: object) -> object:
    try:
        return store.ledger.submit([item])[0]  # type: ignore[attr-defined]
    except LedgerUnreachable:
        return None


def retried(store: object, item: Item) -> object:
    """Submit an item until there is an answer, as the writer does."""
    prepared = store.ledger.prepare(item)  # type: ignore[attr-defined]
    answers: list[object] = []
    assert eventually(lambda: answers.append(answer_of(store, prepared)) or answers[-1])
    return answers[-1]


def run_through(pair: Pair, folder: Path, trouble: object, *, seconds: float) -> list[dict[str, object]]:
    """Serve while there is trouble; return the ledger of the promoted standby."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)

    async def program() -> None:
        scheduler = Scheduler(database_url=pair.both, config=config, jobs=[careful, repeatable], lease=LEASE)
        async with scheduler.running():
            await trouble()  # type: ignore[operator]
            await asyncio.sleep(seconds)

    asyncio.run(program())
    return lines_of(pair.standby_url)
