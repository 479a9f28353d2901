"""The files round a SQLite ledger: whose they are, where they lie, and what happens if they are replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cronledger import JobContext, Scheduler, job
from cronledger.clock import SystemClock
from cronledger.domain.ids import Position, Term
from cronledger.entropy import SystemEntropy
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.api import Appended, Item
from cronledger.ledger.database import Store, open_store
from cronledger.ledger.file_locks import FileLock
from cronledger.ledger.marks import Mark, read_mark, write_mark
from cronledger.ledger.sqlite import SqliteStore
from cronledger.ledger.sqlite_problems import REMOTE, require_local
from cronledger.ledger.verify import verify
from tests.checker import problems, triggered
from tests.conftest import lines_of, opened
from tests.contract.test_locks import dead
from tests.e2e.sqlite.processes import line, rest, running, tell
from tests.e2e.sqlite.test_busy import quick
from tests.events import HERE, plain
from tests.waiting import eventually

CONFIG = """
scheduler:
  jobs:
    - {name: quick, extension: tests, schedule: "* * * * * *"}
"""
FAMILY = """
import os, sys
from cronledger.ledger.file_locks import FileLock
from pathlib import Path
lock = FileLock(Path(sys.argv[1]))
assert lock.take()
child = os.fork()
if child == 0:
    sys.stdin.readline()
    os._exit(0)
print(child, flush=True)
os.waitpid(child, 0)
"""
SCARCE = """
import asyncio, os, resource, sys
from pathlib import Path
from cronledger import Scheduler, job
url, config = sys.argv[1], Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))

@job(extension="tests")
async def quick():
    pass

async def program():
    async with Scheduler(database_url=url, config=config, jobs=[quick]).running():
        await asyncio.sleep(2)
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            print("scarce", flush=True)
        await asyncio.sleep(3)
        for descriptor in taken:
            os.close(descriptor)
        await asyncio.sleep(3)

asyncio.run(program())
print("drained", flush=True)
"""


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


# --- whose they are ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_umask")
def test_every_file_of_a_running_instance_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    modes: dict[str, int] = {}

    async def program() -> None:
        url = f"sqlite:///{folder}/ledger.db"
        async with Scheduler(database_url=url, config=config, jobs=[quick]).running():
            await asyncio.sleep(1.5)
            modes.update({path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()})

    asyncio.run(program())

    assert {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.leader"} <= modes.keys()
    assert len(modes) <= 6, "the sign of the instance, and perhaps a note; nothing else"
    assert {0o600} == set(modes.values())


def test_a_ledger_that_others_may_write_or_replace_is_warned_of(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    with caplog.at_level(logging.WARNING, "cronledger.ledger"):
        opened(sqlite_url).close()
        quiet = list(caplog.messages)
        path.chmod(0o666)
        tmp_path.chmod(0o777)
        opened(sqlite_url).close()

    assert [] == quiet
    assert ["chmod 600", "chmod 700"] == [
        hint for hint in ("chmod 600", "chmod 700") if any(hint in message for message in caplog.messages)
    ]


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "lock"
    link.symlink_to(target)

    with pytest.raises(OSError, match="symbolic links"):
        FileLock(link).take()
    assert not target.exists()


def test_what_stands_in_a_lock_file_means_nothing(tmp_path: Path) -> None:
    """A stale process id in it belongs to somebody else by now: the lock is free, and nobody is signalled."""
    path = tmp_path / "lock"
    with running("import sys; print('alive', flush=True); sys.stdin.read()") as stranger:
        line(stranger)
        path.write_text(f"{stranger.pid}\n")
        lock = FileLock(path)
        taken = lock.take()
        alive = stranger.poll() is None

    assert (True, True) == (taken, alive)
    assert f"{stranger.pid}\n" == path.read_text()
    lock.release()


# --- where they lie ---------------------------------------------------------------------------------------

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv/jobs rw,relatime shared:2 - {kind} server:/jobs rw
31 30 0:41 / /srv/jobs/local\\040disk rw,relatime shared:2 - xfs /dev/vdb rw
"""


@pytest.mark.parametrize("kind", sorted(REMOTE))
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(kind=kind))
    require_local(Path("/srv/ledger.db"), mounts)
    require_local(Path("/srv/jobs/local disk/ledger.db"), mounts)

    with pytest.raises(LedgerUnreachable, match=f"network file system \\({kind}\\)") as refused:
        require_local(Path("/srv/jobs/deep/ledger.db"), mounts)
    assert "PostgreSQL" in (refused.value.hint or "")


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "apfs"])
def test_a_local_file_system_is_accepted(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(kind=kind))

    require_local(Path("/srv/jobs/ledger.db"), mounts)
    require_local(Path("/srv/jobs/ledger.db"), tmp_path / "nothing tells")


def test_a_link_to_a_file_on_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts, link = tmp_path / "mountinfo", tmp_path / "ledger.db"
    mounts.write_text(MOUNTS.format(kind="nfs4"))
    link.symlink_to("/srv/jobs/ledger.db")

    with pytest.raises(LedgerUnreachable, match="network file system"):
        require_local(link, mounts)


def linked(sqlite_url: str, tmp_path: Path) -> Path:
    """Return a link, in a folder of its own, to a ledger."""
    link = tmp_path / "links" / "link.db"
    link.parent.mkdir()
    link.symlink_to(sqlite_url.removeprefix("sqlite:///"))
    return link


def test_instances_that_open_a_ledger_by_a_link_share_its_locks_and_its_note(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Both held the leader's lock, and took each other for dead."""
    link = linked(sqlite_url, tmp_path)
    store, other = opened(sqlite_url), opened(f"sqlite:///{link}")
    assert isinstance(store, SqliteStore)
    assert isinstance(other, SqliteStore)
    sign = store.instance_lock(HERE)
    lock = store.leader_lock()
    lock.contend(lambda: None)
    assert eventually(lambda: lock.held)
    taken_for_dead = dead(other, HERE)
    led_by_both = FileLock(other.path.with_name(f"{other.path.name}.leader")).take()
    other.ledger.append(plain("a"))
    lock.release()
    sign.release()
    other.close()
    store.close()

    assert (set(), False) == (taken_for_dead, led_by_both)
    assert (tmp_path / "ledger.db.mark").exists()
    assert [link] == list(link.parent.iterdir())


def test_a_link_that_leads_to_another_file_by_now_is_not_followed(sqlite_url: str, tmp_path: Path) -> None:
    """Whoever opens it anew uses other locks."""
    link = linked(sqlite_url, tmp_path)
    store = opened(f"sqlite:///{link}")
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    link.unlink()
    link.symlink_to(copy)
    with pytest.raises(LedgerUnreachable, match="link to another file"):
        store.ledger.append(plain("b"))
    link.unlink()
    link.symlink_to(tmp_path / "ledger.db")
    answer = store.ledger.append(plain("b"))
    store.close()

    assert 2 == answer.last


# --- when they are replaced -------------------------------------------------------------------------------


def backup(url: str, to: Path) -> Path:
    """Copy a ledger that is in use, as `.backup` does."""
    source, target = sqlite3.connect(url.removeprefix("sqlite:///")), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()
    return to


def put(copy: Path, path: Path) -> None:
    """Put a copy in a ledger's place as it should be done: without the log of the one before."""
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    copy.rename(path)


def beat(store: Store) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE instance SET beat_at = beat_at")


@pytest.mark.parametrize("later", [0, 1, 5])
def test_an_older_copy_put_in_place_is_noticed(sqlite_url: str, tmp_path: Path, later: int) -> None:
    """Fault 85: also if others have appended to the copy by then. Told once; the lineage changes for all."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    store.ledger.append(plain("b"))
    (_, lost_event) = store.ledger.read_all(Position(0), 10)
    before = store.ledger.head().lineage
    put(copy, path)
    other = opened(sqlite_url)
    for number in range(later):
        other.ledger.append(plain(f"other{number}"))
    after = store.ledger.head()
    told = [store.lost(), store.lost()]

    assert 1 + later == after.position
    assert [(2, lost_event.id), None] == told
    assert before != after.lineage
    assert {after.lineage} == {store.ledger.head().lineage, other.ledger.head().lineage}
    assert 2 + later == store.ledger.append(plain("c")).last
    assert verify(other.ledger).ok
    other.close()
    store.close()


@pytest.mark.parametrize("how", ["renamed", "copied over"])
def test_an_older_copy_is_noticed_by_whoever_opens_it_next(sqlite_url: str, tmp_path: Path, how: str) -> None:
    """Fault 85: everybody had stopped; what was acknowledged stands in a note beside the file."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    store.ledger.append(plain("b"))
    before = store.ledger.head().lineage
    store.close()
    if how == "renamed":
        put(copy, path)
    else:
        path.write_bytes(copy.read_bytes())
    lineages, losses = [], []
    for _ in range(3):
        store = opened(sqlite_url)
        lineages.append(store.ledger.head().lineage)
        losses.append(store.lost() is not None)
        store.ledger.append(plain(f"later{len(losses)}"))
        store.close()

    assert [True, False, False] == losses
    assert before not in lineages
    assert 1 == len(set(lineages))


@pytest.mark.parametrize("position", [2**70, 2**63, -1])
def test_a_note_of_a_position_that_cannot_be_says_nothing(sqlite_url: str, position: int) -> None:
    """No command got any further."""
    store = opened(sqlite_url)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    write_mark(path, Mark(lineage=store.ledger.head().lineage, position=position))
    answer = store.ledger.append(plain("a"))
    lost = store.lost()
    store.close()

    assert (1, None) == (answer.last, lost)
    assert 1 == read_mark(path).position


@pytest.mark.parametrize("note", [b"", b"{", b'{"position": 9, "id": "AA=="}', b"\xff" * 5000, None])
def test_a_note_that_says_nothing_harms_nobody(sqlite_url: str, tmp_path: Path, note: bytes | None) -> None:
    mark = tmp_path / "ledger.db.mark"
    if note is None:
        mark.symlink_to(tmp_path / "elsewhere")
    else:
        mark.write_bytes(note)
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    lost = (store.ledger.head(), store.lost())[1]
    store.close()

    assert lost is None
    assert not mark.is_symlink()
    assert (tmp_path / "ledger.db").stat().st_mode == mark.stat().st_mode
    assert ["ledger.db", "ledger.db.mark"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("left", [["-wal", "-shm"], ["-wal"], ["-shm"]], ids=" ".join)
def test_a_copy_beside_the_log_of_the_file_before_is_not_opened(
    sqlite_url: str, tmp_path: Path, left: list[str]
) -> None:
    """The old log was taken for the copy's: it undid the restore or damaged the copy, and nobody knew."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    store.ledger.append(plain("b"))
    for end in {"-wal", "-shm"} - set(left):
        path.with_name(path.name + end).unlink()
    copy.rename(path)
    for ask in (store.ledger.head, lambda: store.ledger.append(plain("c")), lambda: beat(store)):
        with pytest.raises(LedgerUnreachable, match="write-ahead log of the one before") as refused:
            ask()
        assert f"move {path}-wal and {path}-shm away" in (refused.value.hint or "")
    for end in left:
        path.with_name(path.name + end).unlink()
    position = store.ledger.head().position
    lost = store.lost()

    assert (1, 2) == (position, lost and lost[0])
    assert 2 == store.ledger.append(plain("c")).last
    assert verify(store.ledger).ok
    store.close()


@contextmanager
def limited(resource_kind: int, limit: int) -> Iterator[None]:
    """Let this process have only so much of something."""
    before = resource.getrlimit(resource_kind)
    resource.setrlimit(resource_kind, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource_kind, before)


def test_a_note_that_cannot_be_read_is_not_taken_for_none(sqlite_url: str) -> None:
    """The lineage changed and changed back while there were no file descriptors left."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    plainly = store.ledger.head().lineage
    write_mark(path, Mark(lineage=plainly, history="3-other"))
    before = store.ledger.head().lineage
    with limited(resource.RLIMIT_NOFILE, 0), pytest.raises(LedgerUnreachable, match="cannot be read"):
        store.ledger.head()
    after = store.ledger.head().lineage
    store.close()

    assert f"{plainly}/3-other" == before == after


def test_a_lease_is_renewed_although_no_note_can_be_left(sqlite_url: str) -> None:
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    with limited(resource.RLIMIT_NOFILE, 0):
        head = store.ledger.renew(Term(0), timedelta(seconds=10))
    store.close()

    assert head.lease_until is not None


def test_a_note_belongs_to_whom_the_ledger_belongs(sqlite_url: str, tmp_path: Path) -> None:
    """An operator's command that ran as root left one that the instances could not read."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 4242, 4243)
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    store.close()
    expected, found = path.stat(), (tmp_path / "ledger.db.mark").stat()

    assert (expected.st_uid, expected.st_gid) == (found.st_uid, found.st_gid)
    assert 0o640 == stat.S_IMODE(found.st_mode)


def test_a_note_that_cannot_be_written_whole_leaves_the_one_before(sqlite_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    write_mark(path, Mark(lineage="this", history="3-other"))
    with limited(resource.RLIMIT_FSIZE, 10):
        write_mark(path, Mark(lineage="this", position=7, history="3-other"))

    assert Mark(lineage="this", history="3-other") == read_mark(path)
    assert ["ledger.db", "ledger.db.mark"] == sorted(each.name for each in tmp_path.iterdir())


class Meanwhile(SystemClock):
    """A clock during whose next reading something happens: an append reads it when it has its turn."""

    def __init__(self) -> None:
        self.next: Callable[[], object] | None = None

    def now(self) -> datetime:
        happens, self.next = self.next, None
        if happens is not None:
            happens()
        return super().now()


def test_an_append_during_which_the_file_is_replaced_is_not_acknowledged(
    sqlite_url: str, tmp_path: Path
) -> None:
    """It had looked at the file before it waited, and went into the one that nobody could open any more."""
    path, clock = Path(sqlite_url.removeprefix("sqlite:///")), Meanwhile()
    store = open_store(sqlite_url, instance=HERE, clock=clock, entropy=SystemEntropy())
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    item = store.ledger.prepare(Item((plain("b"),)))
    clock.next = lambda: put(copy, path)
    with pytest.raises(LedgerUnreachable, match="nothing was written"):
        store.ledger.submit([item])
    (answer,) = store.ledger.submit([item])
    other = opened(sqlite_url)

    assert isinstance(answer, Appended)
    assert [1, 2] == [each.position for each in other.ledger.read_all(Position(0), 10)]
    assert store.lost() is None
    other.close()
    store.close()


def test_a_row_is_not_written_to_a_file_that_is_replaced_meanwhile(sqlite_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    copy = backup(sqlite_url, tmp_path / "copy.db")

    def write() -> None:
        with store.writing() as connection:
            connection.exec_driver_sql("UPDATE head SET position = 7")
            put(copy, path)

    with pytest.raises(LedgerUnreachable, match="nothing was written"):
        write()

    assert 0 == store.ledger.head().position
    store.close()


def test_a_newer_copy_put_in_place_is_gone_on_with(sqlite_url: str, tmp_path: Path) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    copy = backup(sqlite_url, tmp_path / "copy.db")
    put(copy, path)
    lost = (store.ledger.head(), store.lost())[1]
    answer = store.ledger.append(plain("b"))
    other = opened(sqlite_url)

    assert lost is None
    assert 2 == answer.last == other.ledger.head().position
    other.close()
    store.close()


RESTORED = """
scheduler:
  jobs:
    - {name: careful, extension: tests, schedule: "* * * * * *"}
    - {name: repeatable, extension: tests, schedule: "* * * * * *", idempotent: true}
    - {name: slow, extension: tests, schedule: ""}
"""


def test_a_backup_put_back_under_a_running_instance_runs_nothing_careful_twice(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Fault 85: what ran since the backup is known to nobody; only the effects outside tell."""
    (tmp_path / "config.yaml").write_text(RESTORED)
    effects: list[tuple[str, str]] = []
    release = asyncio.Event()

    @job(extension="tests")
    async def careful(ctx: JobContext) -> None:
        effects.append(("careful", str(ctx.run.fire_at)))

    @job(extension="tests")
    async def repeatable(ctx: JobContext) -> None:
        effects.append(("repeatable", str(ctx.run.fire_at)))

    @job(extension="tests")
    async def slow(ctx: JobContext) -> None:
        await release.wait()
        effects.append(("slow", ctx.run.id))

    async def program() -> str:
        scheduler = Scheduler(
            database_url=sqlite_url, config=tmp_path / "config.yaml", jobs=[careful, repeatable, slow]
        )
        async with scheduler.running():
            await asyncio.sleep(2.5)
            copy = await asyncio.to_thread(backup, sqlite_url, tmp_path / "copy.db")
            run_id = await scheduler.trigger("slow")
            await asyncio.sleep(3)
            put(copy, Path(sqlite_url.removeprefix("sqlite:///")))
            await asyncio.sleep(3)
            release.set()
            await asyncio.sleep(2)
        return run_id

    run_id = asyncio.run(program())
    lines = lines_of(sqlite_url)
    bodies = [(line["type"], line["job"], line["body"]) for line in lines]
    fire_times = [fire_at for name, fire_at in effects if name == "careful"]
    skipped = [
        name
        for kind, name, body in bodies
        if kind == "job.fire_times_skipped" and body["reason"] == "lineage"
    ]

    assert [[run_id]] == [body["runs"] for kind, _, body in bodies if kind == "ledger.regressed"]
    assert 1 == sum(kind == "ledger.lineage_changed" for kind, _, _ in bodies)
    assert ["careful"] == skipped
    assert len(set(fire_times)) == len(fire_times)
    assert ("slow", run_id) in effects
    assert [] == problems(lines)


def test_a_file_that_was_deleted_is_not_written_to(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    store = opened(sqlite_url)
    store.ledger.append(plain("a"))
    aside = path.rename(path.with_name("aside.db"))
    with pytest.raises(LedgerUnreachable, match="moved or deleted"):
        store.ledger.append(plain("b"))
    aside.rename(path)
    answer = store.ledger.append(plain("b"))

    assert 2 == answer.last
    store.close()


# --- locks ------------------------------------------------------------------------------------------------


def test_a_lock_is_free_when_its_process_dies_and_a_child_lives_on(tmp_path: Path) -> None:
    """Fault 49."""
    lock = FileLock(tmp_path / "lock")
    with running(FAMILY, tmp_path / "lock") as parent:
        grandchild = int(line(parent))
        held = not lock.take()
        parent.kill()
        parent.wait()
        free = eventually(lock.take)
        lives = Path(f"/proc/{grandchild}").exists()
        tell(parent)

    assert (True, True, True) == (held, free, lives)
    lock.release()


def test_a_lock_file_that_is_deleted_under_two_instances_costs_nothing(
    sqlite_url: str, tmp_path: Path
) -> None:
    """Fault 49: for a moment two hold a lock of that name; terms tell who leads."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)

    def scheduler(label: str) -> Scheduler:
        return Scheduler(database_url=sqlite_url, config=config, jobs=[quick], instance=label)

    async def program() -> None:
        async with scheduler("one").running(), scheduler("two").running():
            for _ in range(2):
                await asyncio.sleep(1.2)
                (tmp_path / "ledger.db.leader").unlink()
            await asyncio.sleep(1.8)

    asyncio.run(program())
    lines = lines_of(sqlite_url)

    assert [] == problems(lines)
    assert len(triggered(lines, "quick")) >= 2


# --- scarce descriptors -----------------------------------------------------------------------------------


@pytest.mark.nightly
def test_an_instance_without_file_descriptors_recovers(sqlite_url: str, tmp_path: Path) -> None:
    """Fault 82."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    with running(SCARCE, sqlite_url, config) as child:
        said = rest(child)
        code = child.wait()
    lines = lines_of(sqlite_url)

    assert (["scarce", "drained"], 0) == (said, code)
    assert [] == problems(lines)
    assert len(triggered(lines, "quick")) >= 5
