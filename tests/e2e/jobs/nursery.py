"""Real processes of the program, quickly: one that has imported everything forks whenever it is asked to.

It has no threads and opens nothing, so a fork of it is as good as a fresh start; a test that needs dozens of
processes would otherwise spend its time importing.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from tests.waiting import eventually_within

ROOT = Path(__file__).parents[3]


class Child:
    """A running `cronledger`."""

    def __init__(self, nursery: Nursery, pid: int, log: Path) -> None:
        self._nursery = nursery
        self._status: int | None = None
        self.pid = pid
        self.log = log

    @property
    def status(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._status is None:
            self._status = self._nursery.ask({"poll": self.pid})
        return self._status

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended already."""
        if self.status is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; None if it still runs after so long."""
        eventually_within(seconds, lambda: self.status is not None, pause_seconds=0.02)
        return self.status


class Nursery:
    """The process that forks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.jobs.nursery"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.children: list[Child] = []

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def start(
        self,
        folder: Path,
        url: str,
        *words: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Child:
        """Start the program in a folder with a `config.yaml`; `log` takes what it prints."""
        words = ("--database-url", url, "--config", str(folder / "config.yaml"), *words)
        return self.fork("cronledger.cli.main", words, folder, environment=environment, log=log)

    def fork(
        self,
        module: str,
        words: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Child:
        """Start the function `main` of a module with words, in a folder."""
        log = log or folder / f"log-{len(self.children)}.txt"
        request = {"module": module, "arguments": list(words), "folder": str(folder), "log": str(log)}
        child = Child(self, self.ask(request | {"environment": dict(environment or {})}), log)
        self.children.append(child)
        return child

    def clear(self) -> None:
        """Kill whatever still runs."""
        for child in self.children:
            child.signal(signal.SIGKILL)
            child.wait(10)
        self.children.clear()

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _serve() -> None:
    for heavy in ("cronledger.cli.main", "cronledger.ledger.postgres", "cronledger.scheduler"):
        importlib.import_module(heavy)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
                os._exit(importlib.import_module(request["module"]).main(request["arguments"]))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _become(request: Mapping[str, Any]) -> None:
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    if request["environment"].get("CLOSE_STDERR"):
        os.close(2)


if __name__ == "__main__":
    _serve()
