"""Other processes on a SQLite ledger, and small file systems to put one on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextmanager
def running(script: str, *arguments: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script in a process of its own; kill it at the end if it is still there."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()
        for stream in (child.stdin, child.stdout):
            assert stream is not None
            stream.close()


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that a process says."""
    assert child.stdout is not None
    return child.stdout.readline().strip()


def rest(child: subprocess.Popen[str]) -> list[str]:
    """Return all further lines of a process, once it has ended."""
    assert child.stdout is not None
    return child.stdout.read().splitlines()


def tell(child: subprocess.Popen[str]) -> None:
    """Let a process that waits for a line go on."""
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def mounted(folder: Path, megabytes: int) -> bool:
    """Mount a small file system in memory on a folder; whether this user may."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def remount(folder: Path, how: str) -> None:
    """Mount a folder's file system anew as `ro` or `rw`."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Take a file system away, at the latest when nobody uses it any more."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
