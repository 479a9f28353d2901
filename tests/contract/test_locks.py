"""The leader's lock and the signs of life, on every database."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest

from cronledger import process_identity
from cronledger.clock import SystemClock
from cronledger.domain.ids import InstanceId
from cronledger.ledger.database import InstanceLock, LeaderLock, Store
from cronledger.ledger.file_locks import PAUSE_SECONDS, FileLeaderLock, FileLock
from cronledger.ledger.instances import LATE_AFTER, Instance
from cronledger.ledger.postgres import TRUSTED_SECONDS, PostgresStore
from cronledger.ledger.sessions import LEADER_CLASS, TOUCH_SECONDS, SessionInstanceLock, number_of
from cronledger.ledger.sqlite import SqliteStore
from cronledger.testing import ManualClock
from tests.conftest import opened
from tests.events import HERE, THERE, plain
from tests.waiting import LIMIT_SECONDS, eventually, eventually_within

HOLDER = """
import sys
from tests.conftest import opened
from cronledger import process_identity
from cronledger.domain.ids import InstanceId
from tests.waiting import eventually
print(process_identity.own(), flush=True)
store = opened(sys.argv[1])
lock, sign = store.leader_lock(), store.instance_lock(InstanceId("child.3.cccccccccccc"))
lock.contend(lambda: None)
eventually(lambda: lock.held and sign.held) and print("held", flush=True)
sys.stdin.read()
"""
CHILD = InstanceId("child.3.cccccccccccc")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
IN_TIME, TOO_LATE = LATE_AFTER, LATE_AFTER + timedelta(seconds=1)


@pytest.fixture
def lock_of(store: Store) -> Iterator[Callable[[], LeaderLock]]:
    locks: list[LeaderLock] = []

    def make() -> LeaderLock:
        locks.append(store.leader_lock())
        return locks[-1]

    yield make
    for lock in locks:
        lock.release()


def ignore() -> None:
    pass


def signed(store: Store, instance: InstanceId) -> InstanceLock:
    """Return the sign of an instance, once it stands: opening it waits no longer than a second."""
    sign = store.instance_lock(instance)
    assert eventually(lambda: sign.held)
    return sign


def dead(
    store: Store,
    *known: InstanceId,
    silent_for: timedelta = TOO_LATE,
    process: str | None = None,
    host: str | None = None,
) -> set[InstanceId]:
    """Return those of the instances that are provably gone, so long after their last beats."""
    beat_at = NOON - silent_for
    rows = [
        Instance(
            id=each, name="n", kind="service", host=host or socket.gethostname(), pid=1, build="1",
            started_at=beat_at, beat_at=beat_at, process=process,
        )
        for each in known
    ]  # fmt: skip
    return store.dead_instances(rows, NOON)


# --- the leader's lock ----------------------------------------------------------------------------------


def test_a_lone_candidate_holds_the_lock_and_is_told(lock_of: Callable[[], LeaderLock]) -> None:
    told = Event()
    lock = lock_of()
    lock.contend(told.set)

    assert told.wait(LIMIT_SECONDS)
    assert eventually(lambda: lock.held)


def test_a_lock_nobody_contends_for_is_not_held(lock_of: Callable[[], LeaderLock]) -> None:
    lock = lock_of()

    assert not lock.held
    assert lock.session is None
    lock.release()


def test_of_two_candidates_one_holds_the_lock_until_it_releases_it(lock_of: Callable[[], LeaderLock]) -> None:
    first, second = lock_of(), lock_of()
    first.contend(ignore)
    assert eventually(lambda: first.held)
    told = Event()
    second.contend(told.set)
    held_early = told.wait(0.3) or second.held
    first.release()

    assert not held_early
    assert not first.held
    assert told.wait(LIMIT_SECONDS)
    assert eventually(lambda: second.held)


def test_one_contends_again_while_the_lock_is_still_being_released(sql_url: str) -> None:
    """The watchdog releases, the loop goes on and contends: both threads stopped, or none did."""
    store = opened(sql_url)
    lock, told, go_on = store.leader_lock(), Event(), Event()
    lock.contend(lambda: (told.set(), go_on.wait(2 * LIMIT_SECONDS)))
    told.wait(LIMIT_SECONDS)
    releasing = Thread(target=lock.release, daemon=True)
    releasing.start()
    let_go = eventually(lambda: not lock.held)
    lock.contend(ignore)
    go_on.set()
    releasing.join(LIMIT_SECONDS)

    assert let_go
    assert not releasing.is_alive()
    assert eventually(lambda: lock.held)
    lock.release()
    store.close()


def test_who_waits_can_give_up(lock_of: Callable[[], LeaderLock]) -> None:
    first, second = lock_of(), lock_of()
    first.contend(ignore)
    assert eventually(lambda: first.held)
    second.contend(ignore)
    second.release()
    first.release()

    assert not second.held


def test_who_has_released_the_lock_can_contend_again(lock_of: Callable[[], LeaderLock]) -> None:
    lock = lock_of()
    lock.contend(ignore)
    assert eventually(lambda: lock.held)
    lock.release()
    lock.contend(ignore)

    assert eventually(lambda: lock.held)


def test_the_lock_of_a_killed_process_is_free(sql_url: str) -> None:
    store = opened(sql_url)
    child = holder(sql_url)
    told = Event()
    lock = store.leader_lock()
    lock.contend(told.set)
    held_early = told.wait(0.2)
    child.kill()
    child.wait()

    assert not held_early
    assert told.wait(LIMIT_SECONDS)
    lock.release()
    close(child)
    store.close()


def test_the_session_of_a_lock_is_known_on_postgres(postgres_url: str) -> None:
    store = opened(postgres_url)
    lock = store.leader_lock()
    lock.contend(ignore)
    assert eventually(lambda: lock.held)
    with store.reading() as connection:
        holders = connection.exec_driver_sql(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (LEADER_CLASS, number_of("public") % 2**32),
        ).scalars()
        pids = list(holders)

    assert [lock.session] == pids
    lock.release()
    store.close()


def test_roles_with_schemas_of_their_own_contend_for_one_lock_and_see_each_others_signs(
    postgres_url: str,
) -> None:
    """Each took a lock of its own, and both led by turns for as long as they lived."""
    role = f"other_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN SUPERUSER; CREATE SCHEMA {role}")  # type: ignore[arg-type]
        store, beside = opened(postgres_url), opened(postgres_url.replace("postgres@", f"{role}@"))
        first, second = store.leader_lock(), beside.leader_lock()
        first.contend(ignore)
        assert eventually(lambda: first.held)
        second.contend(ignore)
        sign, other = signed(store, HERE), signed(beside, THERE)
        both_held = eventually_within(1, lambda: second.held)
        gone = ended_process()
        buried = dead(store, THERE, process=gone) | dead(beside, HERE, process=gone)
        first.release()
        passed_on = eventually(lambda: second.held)
        for each in (second, sign, other):
            each.release()
        store.close()
        beside.close()
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")  # type: ignore[arg-type]

    assert not both_held
    assert set() == buried
    assert passed_on


def test_a_terminated_session_loses_the_lock_at_once_and_contends_again(postgres_url: str) -> None:
    store = opened(postgres_url)
    seen: list[bool] = []
    lock = store.leader_lock()
    lock.contend(lambda: seen.append(lock.held))
    assert eventually(lambda: lock.held)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (lock.session,))

    assert eventually(lambda: len(seen) == 3)
    assert [True, False, True] == seen
    lock.release()
    store.close()


def test_a_process_with_many_open_files_holds_its_lock(postgres_url: str) -> None:
    """select() knows no descriptor from 1,024 on: the thread of the lock ended without a word."""
    store = opened(postgres_url)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2048)), hard))
    lock, told = store.leader_lock(), Event()
    with ExitStack() as many:
        number = 0
        while number < 1024:
            number = os.open(os.devnull, os.O_RDONLY)
            many.callback(os.close, number)
        lock.contend(told.set)
        was_told = told.wait(LIMIT_SECONDS)
        was_lost = eventually_within(TOUCH_SECONDS, lambda: not lock.held)
        lock.release()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert was_told
    assert not was_lost
    store.close()


def test_a_standby_or_a_dead_server_is_named_as_the_error() -> None:
    store = opened("postgresql://nobody:s3cret@127.0.0.1:1/nothing")
    assert isinstance(store, PostgresStore)
    with pytest.raises(Exception, match="does not answer") as refused:
        store.leader_lock()

    assert "s3cret" not in str(refused.value)
    store.close()


def test_a_lock_file_that_cannot_be_used_is_told_once_and_taken_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db.leader"
    path.mkdir()
    lock = FileLeaderLock(path)
    told = Event()
    lock.contend(told.set)
    held_early = told.wait(3 * PAUSE_SECONDS)
    path.rmdir()
    held = told.wait(LIMIT_SECONDS) and lock.held
    lock.release()

    assert (False, True) == (held_early, held)
    assert [
        f"the lock file {path} cannot be used: Is a directory; leadership rests on the lease alone"
    ] == caplog.messages


def test_a_lock_file_that_was_made_again_is_another_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = FileLock(path), FileLock(path)
    assert first.take()
    path.unlink()
    second_took = second.take()

    assert second_took
    assert not first.is_intact()
    assert not first.take()
    second.release()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    lock.take()
    hold, done = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done)
        os.read(hold, 1)
        os._exit(0)
    lock.release()
    free = eventually(other.take)
    os.close(done)
    os.waitpid(child, 0)
    os.close(hold)

    assert free
    other.release()


def test_a_forked_child_neither_holds_nor_takes_what_its_parent_held(sqlite_url: str) -> None:
    """Fault 48: the child has copies of the locks, and nothing that they stand for."""
    store = opened(sqlite_url)
    lock, sign = store.leader_lock(), signed(store, HERE)
    lock.contend(ignore)
    assert eventually(lambda: lock.held)
    child = os.fork()
    if child == 0:
        held = lock.held or sign.held or sign._lock.take()  # type: ignore[attr-defined]
        sign.release()
        store.close()
        os._exit(1 if held else 7)
    _, status = os.waitpid(child, 0)

    assert 7 == os.waitstatus_to_exitcode(status)
    assert (True, True) == (lock.held, sign.held)
    assert set() == dead(store, HERE)
    assert 1 == store.ledger.append(plain("a")).last
    lock.release()
    sign.release()
    store.close()


def test_a_forked_child_does_not_wake_the_thread_of_its_parents_sign(postgres_url: str) -> None:
    """They share a pipe: the thread was woken again and again, and showed itself to the server no more."""
    store = opened(postgres_url)
    sign = signed(store, HERE)
    assert isinstance(sign, SessionInstanceLock)
    child = os.fork()
    if child == 0:
        sign.release()
        os._exit(0)
    os.waitpid(child, 0)
    woken, _, _ = select.select([sign._lock._session._hush], [], [], 0)

    assert [] == woken
    assert sign.held
    sign.release()
    store.close()


def test_a_forked_child_may_open_the_ledger_anew_while_its_parent_writes(sqlite_url: str) -> None:
    """Fault 48: a thread of the parent has the turn to write, and does not exist in the child."""
    store = opened(sqlite_url)
    ready, go_on = Event(), Event()

    def hold() -> None:
        assert isinstance(store, SqliteStore)
        with store._turn.held():
            ready.set()
            go_on.wait(LIMIT_SECONDS)

    holder = Thread(target=hold)
    holder.start()
    assert ready.wait(LIMIT_SECONDS)
    child = os.fork()
    if child == 0:
        signal.alarm(8)
        os._exit(opened(sqlite_url).ledger.append(plain("a")).last)
    _, status = os.waitpid(child, 0)
    go_on.set()
    holder.join()

    assert 1 == os.waitstatus_to_exitcode(status)
    assert 2 == store.ledger.append(plain("b")).last
    store.close()


def test_lock_files_are_private(sqlite_url: str, tmp_path: Path) -> None:
    store = opened(sqlite_url)
    lock, sign = store.leader_lock(), store.instance_lock(HERE)
    lock.contend(ignore)
    assert eventually(lambda: lock.held)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if ".db." in path.name}

    assert {"ledger.db.leader": 0o600, f"ledger.db.instance-{HERE}": 0o600} == modes
    lock.release()
    sign.release()
    store.close()


# --- signs of life --------------------------------------------------------------------------------------


class LaterClock(SystemClock):
    """A clock on which every reading is far from the one before."""

    def __init__(self) -> None:
        self._readings = 0

    def monotonic(self) -> float:
        self._readings += 1
        return self._readings * 2 * TRUSTED_SECONDS


@pytest.fixture
def trusted(postgres_url: str) -> Iterator[Store]:
    """Return a store whose own session has stood for long enough to judge others by."""
    store = opened(postgres_url)
    assert isinstance(store, PostgresStore)
    store._clock = LaterClock()
    sign = signed(store, HERE)
    yield store
    sign.release()
    store.close()


def test_an_instance_lives_while_its_sign_stands(ledger_url: str) -> None:
    store = opened(ledger_url)
    if isinstance(store, PostgresStore):
        store._clock = LaterClock()
    here, there = signed(store, HERE), signed(store, THERE)
    both_stand = (here.held, there.held, dead(store, HERE, THERE))
    there.release()

    assert (True, True, set()) == both_stand
    assert not there.held
    assert eventually(lambda: dead(store, HERE, THERE) == {THERE})
    here.release()
    store.close()


def test_a_killed_instance_is_known_to_be_dead(sql_url: str) -> None:
    store = opened(sql_url)
    if isinstance(store, PostgresStore):
        store._clock = LaterClock()
    sign = signed(store, HERE)
    child = holder(sql_url)
    alive = dead(store, CHILD)
    child.send_signal(signal.SIGKILL)
    child.wait()

    assert set() == alive
    assert eventually(lambda: dead(store, CHILD) == {CHILD})
    sign.release()
    close(child)
    store.close()


def test_a_killed_instance_of_this_machine_is_known_to_be_dead_at_once(sql_url: str) -> None:
    """It was dead on PostgreSQL only when a beat was overdue, and for whom had a session of his own."""
    store = opened(sql_url)
    child, process = known_holder(sql_url)
    alive = dead(store, CHILD, silent_for=IN_TIME, process=process)
    child.kill()
    unburied = eventually(lambda: dead(store, CHILD, silent_for=IN_TIME, process=process) == {CHILD})
    child.wait()

    assert set() == alive
    assert unburied
    assert {CHILD} == dead(store, CHILD, silent_for=IN_TIME, process=process)
    close(child)
    store.close()


def test_a_killed_instance_of_another_machine_is_dead_when_a_beat_is_overdue(trusted: Store) -> None:
    """Copies of a running machine go on with its boot id, and with other names."""
    gone = ended_process()

    assert {THERE} == dead(trusted, THERE, silent_for=IN_TIME, process=gone)
    assert set() == dead(trusted, THERE, silent_for=IN_TIME, process=gone, host="elsewhere")
    assert {THERE} == dead(trusted, THERE, silent_for=TOO_LATE, process=gone, host="elsewhere")


def test_an_instance_whose_session_stands_is_alive_whatever_is_known_of_its_process(
    postgres_url: str,
) -> None:
    store = opened(postgres_url)
    sign = signed(store, THERE)
    gone = ended_process()
    while_it_stood = dead(store, THERE, process=gone)
    sign.release()

    assert set() == while_it_stood
    assert eventually(lambda: dead(store, THERE, silent_for=IN_TIME, process=gone) == {THERE})
    store.close()


def test_a_process_that_is_there_saves_nobody_whose_beats_are_overdue(trusted: Store) -> None:
    """It may be stopped for good: that is what beats are for."""
    assert set() == dead(trusted, THERE, silent_for=IN_TIME, process=process_identity.own())
    assert {THERE} == dead(trusted, THERE, silent_for=TOO_LATE, process=process_identity.own())


def test_an_instance_that_beats_is_alive_though_its_session_has_ended(trusted: Store) -> None:
    """A session that was terminated, or that a pooler does not give, used to be the death of its runs."""
    assert set() == dead(trusted, THERE, silent_for=IN_TIME)
    assert {THERE} == dead(trusted, THERE, silent_for=TOO_LATE)


def test_an_instance_that_beats_is_alive_though_its_file_was_deleted(sqlite_url: str, tmp_path: Path) -> None:
    """Tidying up beside the database used to be the death of all runs of the instance, for ever."""
    store = opened(sqlite_url)
    sign = store.instance_lock(HERE)
    (tmp_path / f"ledger.db.instance-{HERE}").unlink()

    assert set() == dead(store, HERE, silent_for=IN_TIME)
    assert {HERE} == dead(store, HERE, silent_for=TOO_LATE)
    assert sign.held
    assert set() == dead(store, HERE, silent_for=TOO_LATE)
    sign.release()
    store.close()


def test_the_file_of_a_killed_instance_proves_its_death_until_its_silence_does(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = opened(sqlite_url)
    left_behind = tmp_path / f"ledger.db.instance-{CHILD}"
    left_behind.touch()
    told = [dead(store, CHILD, silent_for=IN_TIME), dead(store, CHILD, silent_for=-IN_TIME)]
    was_there = left_behind.exists()
    told += [dead(store, CHILD, silent_for=TOO_LATE), dead(store, CHILD, silent_for=-TOO_LATE)]

    assert [{CHILD}] * 4 == told
    assert (True, False) == (was_there, left_behind.exists())
    store.close()


def test_nobody_is_dead_while_our_own_session_is_young(postgres_url: str) -> None:
    """A restarted server has ended every session; all instances looked dead to the first that came back."""
    store = opened(postgres_url)
    assert isinstance(store, PostgresStore)
    store._clock = ManualClock(NOON)
    without_sign = dead(store, THERE)
    sign = signed(store, HERE)

    assert set() == without_sign
    assert set() == dead(store, THERE)
    sign.release()
    store.close()


class BriefSign:
    """A sign that is lost right after it was looked at."""

    def __init__(self) -> None:
        self._since: float | None = 0.0

    @property
    def since(self) -> float | None:
        since, self._since = self._since, None
        return since


def test_nobody_is_dead_when_our_own_session_is_lost_meanwhile(postgres_url: str) -> None:
    """It ended in a TypeError if the session was lost between two looks at it."""
    store = opened(postgres_url)
    assert isinstance(store, PostgresStore)
    store._signs.append(BriefSign())  # type: ignore[arg-type]
    silent = dead(store, THERE)
    store._signs.append(BriefSign())  # type: ignore[arg-type]
    ended = dead(store, CHILD, process=ended_process())

    assert set() == silent
    assert {CHILD} == ended
    store.close()


def test_the_sign_of_an_instance_is_set_up_again_after_a_lost_session(postgres_url: str) -> None:
    store = opened(postgres_url)
    sign = signed(store, HERE)
    assert isinstance(sign, SessionInstanceLock)
    before = sign.since
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE '% instance'"
        )

    assert eventually(lambda: sign.since not in (before, None))
    sign.release()
    store.close()


def test_the_file_of_an_instance_is_removed_when_it_goes(sqlite_url: str, tmp_path: Path) -> None:
    store = opened(sqlite_url)
    store.instance_lock(HERE).release()

    assert [] == list(tmp_path.glob("*.instance-*"))
    store.close()


def holder(url: str) -> subprocess.Popen[str]:
    """Return a process that holds the leader's lock and a sign of its own."""
    return known_holder(url)[0]


def known_holder(url: str) -> tuple[subprocess.Popen[str], str]:
    """Return such a process, and what the kernel knows it by."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    process = child.stdout.readline().strip()
    assert "held\n" == child.stdout.readline()
    return child, process


def ended_process() -> str:
    """Return what the kernel knew a process by that has ended."""
    code = "from cronledger import process_identity; print(process_identity.own())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


def close(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    child.stdout.close()
