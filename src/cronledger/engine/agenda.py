"""When there is something to decide, and about which jobs.

Jobs that are due at the same instant share it: a hundred thousand of them need little more than their names.
An entry is never taken back. One that has become wrong brings its job up for decision when its instant has
come; nothing is found to be due then, and the job is entered anew.
"""

from __future__ import annotations

import heapq
from datetime import datetime

from cronledger.domain.ids import JobName


class Agenda:
    """Jobs by the instant of their next decision.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> agenda = Agenda()
    >>> agenda.enter(JobName("tidy"), noon)
    >>> agenda.next_instant() == noon, agenda.take(noon - timedelta(seconds=1), 9), agenda.take(noon, 9)
    (True, [], ['tidy'])
    """

    def __init__(self) -> None:
        self._instants: list[datetime] = []
        self._jobs: dict[datetime, list[JobName]] = {}

    def enter(self, job: JobName, instant: datetime) -> None:
        """Note that a job is to be decided about at an instant."""
        jobs = self._jobs.get(instant)
        if jobs is None:
            heapq.heappush(self._instants, instant)
            self._jobs[instant] = [job]
        elif jobs[-1] != job:
            jobs.append(job)

    def next_instant(self) -> datetime | None:
        """Return the earliest instant that is noted."""
        return self._instants[0] if self._instants else None

    def count(self, instant: datetime) -> int:
        """Return how many entries there are of an instant."""
        return len(self._jobs.get(instant, ()))

    def at(self, instant: datetime) -> list[JobName]:
        """Return the jobs of an instant, by name."""
        return sorted(set(self._jobs.get(instant, ())))

    def take(self, now: datetime, most: int) -> list[JobName]:
        """Take off the jobs of the instants that have come, by instant and name, and no more than so many."""
        taken: dict[JobName, None] = {}
        while self._instants and self._instants[0] <= now and len(taken) < most:
            instant = self._instants[0]
            jobs, room = self.at(instant), most - len(taken)
            taken |= dict.fromkeys(jobs[:room])
            if len(jobs) > room:
                self._jobs[instant] = jobs[room:]
            else:
                del self._jobs[heapq.heappop(self._instants)]
        return list(taken)
