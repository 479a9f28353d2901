"""Which process is gone for certain: real ones, and a /proc that shows what is seldom met."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cronledger.process_identity import PROC, is_gone, own
from tests.waiting import eventually

NAMED = """
import sys
from cronledger.process_identity import own
print(own(), flush=True)
sys.stdin.read()
"""
Child = tuple[subprocess.Popen[str], str]
NOBODY = 65534
BOOT, PIDS, CLOCKS, PID, STARTED = range(5)


@pytest.fixture
def born() -> Iterator[Callable[[], Child]]:
    """Return what starts a process, and tells by what text it names itself."""
    children: list[subprocess.Popen[str]] = []

    def start() -> Child:
        child = subprocess.Popen(
            [sys.executable, "-c", NAMED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield start
    for child in children:
        child.kill()
        child.communicate()


def other(text: str, part: int, value: object) -> str:
    """Return the text of a process that differs in one part."""
    parts = text.split(" ")
    parts[part] = str(value)
    return " ".join(parts)


def this() -> str:
    text = own()
    assert text is not None
    return text


# --- real processes -------------------------------------------------------------------------------------


def test_a_process_names_itself_always_alike_and_is_not_gone() -> None:
    assert this() == own()
    assert str(os.getpid()) == this().split(" ")[PID]
    assert not is_gone(own())


def test_two_processes_have_names_of_their_own(born: Callable[[], Child]) -> None:
    (_, first), (_, second) = born(), born()

    assert 3 == len({this(), first, second})


def test_a_forked_child_has_a_name_of_its_own() -> None:
    parent = this()
    child = os.fork()
    if child == 0:
        os._exit(7 if own() != parent and not is_gone(own()) and not is_gone(parent) else 1)
    _, status = os.waitpid(child, 0)

    assert 7 == os.waitstatus_to_exitcode(status)


def test_a_killed_process_is_gone_once_it_was_waited_for(born: Callable[[], Child]) -> None:
    child, text = born()
    alive = is_gone(text)
    child.kill()
    child.wait()

    assert not alive
    assert is_gone(text)


def test_a_killed_process_is_gone_though_nobody_has_waited_for_it(born: Callable[[], Child]) -> None:
    child, text = born()
    child.kill()

    assert eventually(lambda: is_gone(text))
    assert (PROC / str(child.pid)).exists()


def test_a_process_id_that_was_given_to_somebody_else_is_a_death(born: Callable[[], Child]) -> None:
    _, text = born()

    assert is_gone(other(text, STARTED, 1))


def test_a_process_that_we_must_not_signal_is_there() -> None:
    """The first process of the system, seen by somebody with no rights at all."""
    started = (PROC / "1" / "stat").read_text().rpartition(")")[2].split()[19]
    first = other(other(this(), PID, 1), STARTED, started)
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(NOBODY)
        with suppress(PermissionError):
            os.kill(1, 0)
            os._exit(2)
        os._exit(7 if not is_gone(first) and is_gone(other(first, STARTED, 1)) else 1)
    _, status = os.waitpid(child, 0)

    assert 7 == os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("part", [BOOT, PIDS, CLOCKS])
def test_nothing_is_known_of_other_boots_and_namespaces(born: Callable[[], Child], part: int) -> None:
    child, text = born()
    child.kill()
    child.wait()
    elsewhere = other(text, part, "0")

    assert is_gone(text)
    assert not is_gone(elsewhere)
    assert not is_gone(other(elsewhere, STARTED, 1))


@pytest.mark.parametrize(
    "change", [lambda text: text + " 1", lambda text: text[1:], lambda text: text + "\n"]
)
def test_a_text_that_nobody_gave_of_himself_proves_nothing(change: Callable[[str], str]) -> None:
    gone = other(this(), STARTED, 1)

    assert is_gone(gone)
    assert not is_gone(change(gone))


@pytest.mark.parametrize("pid", [0, -1, "01", "", "x", "99999999999999999999", "²"])
def test_a_process_id_that_cannot_be_one_proves_nothing(pid: object) -> None:
    assert not is_gone(other(this(), PID, pid))


@pytest.mark.parametrize("text", [None, "", " ", "rubbish", "a 1 2 3 4 5", "\0"])
def test_no_text_or_rubbish_proves_nothing(text: str | None) -> None:
    assert not is_gone(text)


# --- a /proc of our own ---------------------------------------------------------------------------------


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc that shows this process and no other."""
    tmp_path.joinpath("self").symlink_to(str(os.getpid()))
    show(tmp_path, os.getpid())
    boot = tmp_path / "sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("0-1\n")
    namespaces = tmp_path / "self/ns"
    namespaces.mkdir()
    (namespaces / "pid").touch()
    (namespaces / "time").touch()
    return tmp_path


def show(proc: Path, pid: int, *, state: str = "S", threads: str = "", name: str = "python") -> None:
    """Show a process, and further threads of it, by their states."""
    for number, each in enumerate((state, *threads)):
        folder = proc / str(pid) / "task" / str(pid + number)
        folder.mkdir(parents=True, exist_ok=True)
        fields = [each, *["0"] * 18, "4711", "0"]
        folder.joinpath("stat").write_text(f"{pid + number} ({name}) {' '.join(fields)}\n")
    (proc / str(pid) / "stat").write_bytes((proc / f"{pid}/task/{pid}/stat").read_bytes())


def text_of(pid: int, proc: Path, *, started: str = "4711") -> str:
    """Return the text of a process that /proc shows."""
    here = own(proc)
    assert here is not None
    return other(other(here, PID, pid), STARTED, started)


def test_a_name_with_brackets_and_spaces_in_it_confuses_nobody(proc: Path) -> None:
    show(proc, os.getpid(), name="S) 1 (2 ) \n")

    assert "4711" == str(own(proc)).split(" ")[STARTED]
    assert not is_gone(own(proc), proc)
    assert is_gone(text_of(os.getpid(), proc, started="4712"), proc)


def test_a_process_that_is_hidden_from_us_may_be_alive(proc: Path, born: Callable[[], Child]) -> None:
    child, _ = born()
    text = text_of(child.pid, proc, started="1")
    hidden = is_gone(text, proc)
    show(proc, child.pid)

    assert not hidden
    assert is_gone(text, proc)
    child.kill()
    child.wait()
    assert is_gone(text_of(child.pid, proc), proc)


@pytest.mark.parametrize(
    ("state", "threads", "gone"),
    [
        ("Z", "", True), ("X", "", True), ("Z", "ZX", True), ("Z", "S", False), ("Z", "ZR", False),
        ("S", "", False), ("R", "", False), ("D", "", False), ("T", "", False), ("t", "", False),
        ("I", "Z", False),
    ],
)  # fmt: skip
def test_a_process_is_dead_when_all_its_threads_are(
    proc: Path, born: Callable[[], Child], state: str, threads: str, *, gone: bool
) -> None:
    """A first thread that has ended is a zombie for as long as another one lives."""
    child, _ = born()
    show(proc, child.pid, state=state, threads=threads)

    assert gone is is_gone(text_of(child.pid, proc), proc)


def test_a_zombie_whose_threads_cannot_be_seen_may_be_alive(proc: Path, born: Callable[[], Child]) -> None:
    child, _ = born()
    show(proc, child.pid, state="Z", threads="Z")
    text, tasks = text_of(child.pid, proc), proc / str(child.pid) / "task"
    (tasks / str(child.pid + 1) / "stat").write_text("")
    half_seen = is_gone(text, proc)
    tasks.rename(proc / "away")

    assert not half_seen
    assert not is_gone(text, proc)


@pytest.mark.parametrize("missing", ["self", "sys/kernel/random/boot_id", "self/ns/pid", "self/stat"])
def test_a_system_that_does_not_tell_gives_no_name_and_proves_nothing(proc: Path, missing: str) -> None:
    text = text_of(os.getpid(), proc, started="1")
    gone = is_gone(text, proc)
    (proc / missing).unlink()

    assert gone
    assert own(proc) is None
    assert not is_gone(text, proc)


def test_a_system_without_proc_proves_nothing(tmp_path: Path) -> None:
    assert own(tmp_path / "none") is None
    assert not is_gone(own(), tmp_path / "none")


def test_a_proc_of_another_namespace_of_process_ids_proves_nothing(proc: Path) -> None:
    """There our own id may be somebody else's."""
    text = text_of(os.getpid(), proc, started="1")
    (proc / "self").unlink()
    (proc / "self").symlink_to("1")
    (proc / "1").symlink_to(str(os.getpid()))

    assert own(proc) is None
    assert not is_gone(text, proc)


def test_a_boot_id_that_is_no_text_proves_nothing(proc: Path) -> None:
    text = text_of(os.getpid(), proc, started="1")
    (proc / "sys/kernel/random/boot_id").write_bytes(b"\xff\xfe")

    assert own(proc) is None
    assert not is_gone(text, proc)


def test_a_kernel_without_namespaces_of_clocks_has_one_for_all(proc: Path) -> None:
    (proc / "self/ns/time").unlink()

    assert "0" == str(own(proc)).split(" ")[CLOCKS]
    assert is_gone(text_of(os.getpid(), proc, started="1"), proc)
