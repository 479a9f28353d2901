"""A few processes of `cronledger up` on one ledger, and what an operator can do to them and ask them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from cronledger.errors import CronledgerError
from cronledger.ledger import instances
from cronledger.ledger.database import Store
from tests.chaos.proxy import Proxy, proxied
from tests.conftest import opened

Line = dict[str, Any]
DRAIN_SECONDS = 6.0
CONFIG = """
scheduler:
  drain_seconds: 6
  extensions: [probes]
  jobs:
    - {name: every_second, extension: probes, job: quick, schedule: "* * * * * *"}
    - {name: each_of_them, extension: probes, job: quick, schedule: "*/2 * * * * *",
       catch_up: all, catch_up_limit: 1000, overlap: queue}
    - {name: slow, extension: probes, schedule: "*/3 * * * * *"}
    - {name: again, extension: probes, schedule: "*/3 * * * * *"}
    - {name: plain, extension: probes, schedule: "*/4 * * * * *"}
    - {name: steps, extension: probes, schedule: "*/5 * * * * *"}
    - {name: toggled, extension: probes, job: quick, schedule: "* * * * * *"}
    - {name: by_hand, extension: probes, job: quick, schedule: "", overlap: allow}
"""


class Instance:
    """One process, and how it stands."""

    def __init__(self, label: str, process: subprocess.Popen[bytes], url: str) -> None:
        self.label = label
        self.process = process
        self.url = url
        self.proxy: Proxy | None = None
        self.shift: Path | None = None
        self.is_stopped = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def is_up(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it is there."""
        if self.is_up:
            self.is_stopped = number is signal.SIGSTOP or (self.is_stopped and number is not signal.SIGCONT)
            self.process.send_signal(number)

    def end(self) -> None:
        """Make sure that the process is gone."""
        self.process.kill()
        self.process.wait()
        if self.proxy:
            self.proxy.close()


class Cluster:
    """Instances on one ledger, in one folder that keeps everything they leave behind."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        config: str = CONFIG,
        proxies: bool = False,
        shim: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.url = url
        self.instances: list[Instance] = []
        self.effects = folder / "effects.jsonl"
        self._proxies = proxies
        self._shim = shim
        self._numbers = count(1)
        self._environment = {**os.environ, **(environment or {}), "CHAOS_EFFECTS": str(self.effects)}
        known = self._environment.get("PYTHONPATH")
        self._environment["PYTHONPATH"] = os.pathsep.join([str(folder), *([known] if known else [])])
        self._store: Store | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.effects.touch()
        (folder / "config.yaml").write_text(config)
        shutil.copy(Path(__file__).with_name("probes.py"), folder / "probes.py")

    @property
    def is_sqlite(self) -> bool:
        """Whether the ledger is a file."""
        return self.url.startswith("sqlite")

    # --- processes --------------------------------------------------------------------------------------

    def start(self, label: str) -> Instance:
        """Start an instance; its output goes to a file of its own."""
        proxy = Proxy.before(self.url) if self._proxies else None
        url = proxied(self.url, proxy.port) if proxy else self.url
        environment = dict(self._environment)
        shift = None
        if self._shim:
            shift = self.folder / f"shift-{next(self._numbers)}"
            shift.write_bytes(bytes(8))
            environment |= {"LD_PRELOAD": str(self._shim), "CLOCKSHIM_FILE": str(shift)}
        log = self.folder / f"{next(self._numbers):03}-{label}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command("--instance", label, "up", url=url),
                cwd=self.folder, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        instance = Instance(label, process, url)
        instance.proxy, instance.shift = proxy, shift
        self.instances.append(instance)
        return instance

    def up(self) -> list[Instance]:
        """Return the instances whose processes are there."""
        return [each for each in self.instances if each.is_up]

    def terminate(self, instance: Instance, within_seconds: float) -> str | None:
        """Ask an instance to end; return what is wrong with the way it did."""
        instance.signal(signal.SIGCONT)
        instance.signal(signal.SIGTERM)
        try:
            code = instance.process.wait(timeout=within_seconds)
        except subprocess.TimeoutExpired:
            instance.end()
            return f"{instance.label} ({instance.pid}) had not ended {within_seconds:g} s after SIGTERM"
        return None if code == 0 else f"{instance.label} ({instance.pid}) ended with exit code {code}"

    def close(self) -> None:
        """End every process and close everything."""
        for instance in self.instances:
            instance.end()
        if self._store is not None:
            self._store.close()

    # --- asking -----------------------------------------------------------------------------------------

    def command(self, *words: str, url: str | None = None) -> list[str]:
        """Return a command line."""
        config = str(self.folder / "config.yaml")
        return [
            sys.executable,
            "-m",
            "cronledger",
            "--database-url",
            url or self.url,
            "--config",
            config,
            *words,
        ]

    def ask(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, on the database itself."""
        return subprocess.run(
            self.command(*words), cwd=self.folder, env=self._environment, capture_output=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    def export(self) -> bytes:
        """Return `ledger export`, all of it."""
        asked = self.ask("ledger", "export")
        if asked.returncode:
            raise RuntimeError(f"ledger export: {asked.stderr.decode()}")
        return asked.stdout

    def complaint(self, *words: str) -> list[str]:
        """Run a checking command; return what it has to say when it is not content."""
        asked = self.ask(*words)
        return (
            []
            if asked.returncode == 0
            else [f"exit {asked.returncode}: {(asked.stdout + asked.stderr).decode()}"]
        )

    def store(self) -> Store:
        """Return the ledger as this process sees it: to aim with, never to judge by."""
        if self._store is None:
            self._store = opened(self.url)
        return self._store

    def leader(self) -> Instance | None:
        """Return the instance that the head names, if it is one of ours and the ledger answers."""
        try:
            name = self.store().ledger.head().leader
        except CronledgerError:
            return None
        pid = int(name.split(".")[-2]) if name else None
        return next((each for each in self.instances if each.pid == pid and each.is_up), None)

    def announced(self) -> set[int]:
        """Return the process ids of the instances that have a row; none if the ledger does not answer."""
        try:
            with self.store().reading() as connection:
                return {each.pid for each in instances.known(connection)}
        except CronledgerError:
            return set()

    def term(self) -> int:
        """Return the current term, 0 if the ledger does not answer."""
        try:
            return self.store().ledger.head().term
        except CronledgerError:
            return 0

    def wait_for_leader(self, after_term: int = 0, within_seconds: float = 60.0) -> Instance:
        """Wait until an instance of ours leads in a later term."""
        found: list[Instance] = []

        def leads() -> bool:
            leader = self.leader() if self.term() > after_term else None
            found.extend([leader] if leader else [])
            return bool(found)

        wait_until(leads, within_seconds, "a leader")
        return found[0]


def parsed(exported: bytes) -> list[Line]:
    """Read the lines of an export or of the effects; a last line without an end does not count."""
    return [json.loads(line) for line in exported.split(b"\n")[:-1]]


def wait_until(holds: Callable[[], object], within_seconds: float, what: str) -> None:
    """Wait until something holds; raise TimeoutError, which names it, if it does not come to hold."""
    until = time.monotonic() + within_seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"waited {within_seconds:g} s for {what}")
        time.sleep(0.05)
