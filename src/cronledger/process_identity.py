"""Which process this is, and whether another one is provably gone.

The kernel knows at once that a process has died, but only of the processes of one boot, and a process id
means something in one namespace only and for as long as it is not given to somebody else. So the text that
names a process has five parts: boot id, namespace of process ids, namespace of clocks (start times are told
by it), process id, start time.

Invariant: "gone" is said only where it is proved. Whatever cannot be read, parsed or compared proves nothing.
That includes a process that /proc does not show, for it may be hidden from us (`hidepid`).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PROC = Path("/proc")

_TEXT = re.compile(r"(?P<place>[0-9a-f-]+ [0-9]+ [0-9]+) (?P<pid>[1-9][0-9]{0,8}) (?P<started>[0-9]+)")
_DEAD = frozenset("ZXx")
"""Zombies, which nobody has waited for yet, and what is left for a moment of a process that somebody has."""


def own(proc: Path = PROC) -> str | None:
    """Return the text that names this process; None where the system does not tell.

    It is another one after a fork, so it is asked for when it is needed and never kept for long.
    """
    pid = os.getpid()
    place, seen = _place(proc), _seen(proc / str(pid))
    return f"{place} {pid} {seen[1]}" if place and seen else None


def is_gone(process: str | None, proc: Path = PROC) -> bool:
    """Whether it is proved that a process has ended, by the text that it gave of itself.

    >>> is_gone(own()), is_gone(None), is_gone("rubbish")
    (False, False, False)
    """
    told = _TEXT.fullmatch(process or "")
    if told is None or told["place"] != _place(proc):
        return False
    pid = int(told["pid"])
    if _is_free(pid):
        return True
    seen = _seen(proc / str(pid))
    if seen is None:
        return False
    state, started = seen
    return started != told["started"] or (state in _DEAD and _has_no_thread(proc / str(pid)))


def _place(proc: Path) -> str | None:
    """Return where process ids and start times mean the same as here."""
    try:
        if str(proc.joinpath("self").readlink()) != str(os.getpid()):
            return None  # it shows the ids of another namespace
        boot = proc.joinpath("sys/kernel/random/boot_id").read_text().strip()
        pids = proc.joinpath("self/ns/pid").stat().st_ino
        return f"{boot} {pids} {_clocks(proc)}"
    except (OSError, ValueError):
        return None


def _clocks(proc: Path) -> int:
    try:
        return proc.joinpath("self/ns/time").stat().st_ino
    except FileNotFoundError:
        return 0  # an older kernel has one for all


def _is_free(pid: int) -> bool:
    """Whether the kernel says that nobody has a process id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # somebody has it whom we must not signal
    return False


def _seen(folder: Path) -> tuple[str, str] | None:
    """Return state and start time of a process or a thread, None where they cannot be read."""
    try:
        # The second field, the name, may hold spaces and brackets; none of those after it does.
        fields = folder.joinpath("stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return None


def _has_no_thread(folder: Path) -> bool:
    """Whether no thread lives of a process whose first one has ended: the others may go on."""
    try:
        threads = [_seen(each) for each in folder.joinpath("task").iterdir()]
    except OSError:
        return False
    return all(seen is not None and seen[0] in _DEAD for seen in threads)
