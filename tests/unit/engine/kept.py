"""A world that remembers what it was told beside the events."""

from __future__ import annotations

from cronledger.domain.ids import InstanceId, RunId
from cronledger.domain.line import Line
from cronledger.domain.progress import Progress
from cronledger.testing import ManualClock
from tests.events import HERE, NOON


class KeptNotes:
    """Keeps everything."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.reports: list[Progress] = []
        self.ended: list[tuple[RunId, int]] = []

    def say(self, line: Line) -> None:
        self.lines.append(line)

    def report(self, report: Progress) -> None:
        self.reports.append(report)

    def end(self, run_id: RunId, attempt: int) -> None:
        self.ended.append((run_id, attempt))

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


class NotingWorld:
    """As much of a world as notes need."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON)
        self.now = self.clock.now
        self.instance: InstanceId = HERE
        self.notes = KeptNotes()
