"""People at the command line while everything else goes on: manual runs, switches, exports."""

from __future__ import annotations

import json
import random
import subprocess
import threading

from tests.chaos.cluster import Cluster


class Operators:
    """Works through the command line alone; remembers what it was told."""

    def __init__(self, cluster: Cluster, chance: random.Random, *, pause_seconds: float = 2.0) -> None:
        self._cluster = cluster
        self._chance = chance
        self._pause = pause_seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="operators", daemon=True)
        self.acknowledged: list[str] = []
        self.exports: list[bytes] = []
        self.refused: list[str] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being done, and leave every job switched on."""
        self._done.set()
        self._thread.join()
        self._command("infra", "jobs", "enable", "toggled", "--reason", "chaos is over")

    def _work(self) -> None:
        number = 0
        while not self._done.wait(self._chance.uniform(0.5, 1.5) * self._pause):
            number += 1
            asked = self._command("infra", "jobs", "run", "by_hand", "--no-wait", "-o", "json")
            if asked:
                self.acknowledged += [each["run_id"] for each in json.loads(asked)["runs"]]
            if number % 3 == 0:
                self._command("infra", "jobs", self._chance.choice(("enable", "disable")), "toggled")
            if number % 6 == 0 and (export := self._command("ledger", "export")):
                self.exports.append(export)

    def _command(self, *words: str) -> bytes | None:
        """Return what a command prints; None if it did not succeed: while the database is away, for one."""
        try:
            asked = self._cluster.ask(*words, timeout=60.0)
        except subprocess.TimeoutExpired:
            self.refused.append(f"{' '.join(words)}: no answer within 60 s")
            return None
        if asked.returncode:
            self.refused.append(f"{' '.join(words)}: exit {asked.returncode}")
            return None
        return asked.stdout
