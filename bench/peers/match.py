"""A match: the raw driver, ours and the peers of one database, one after the other, round by round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import floor
from bench.figures import Bar, Figure, Scale, Spread
from bench.peers import ours, trial
from bench.peers.environments import NotThere, python_for
from bench.peers.report import Lateness, Silence, Speed
from bench.peers.roster import Peer
from bench.places import Places

SPEED_ROW, LATENESS_ROW = 19, 20
FLOOR_BATCH = 250
PERCENTILES = (50, 99, 100)


class Take(msgspec.Struct, frozen=True):
    """What one round said of a peer, of ours, and of the raw driver."""

    peer: Speed | Silence
    ours: Speed
    floor: float


class Match:
    """Measures peers beside ours."""

    def __init__(self, places: Places, scale: Scale, venvs: Path, *, make: bool) -> None:
        self._places = places
        self._scale = scale
        self._venvs = venvs
        self._make = make
        self._silent: dict[str, Silence] = {}

    def speeds(self, peers: Sequence[Peer]) -> Iterator[Figure]:
        """Yield no-op jobs a second, enqueueing included, a line a peer."""
        for database, rivals in self._by_database(peers):
            takes: dict[str, list[Take]] = {peer.name: [] for peer in rivals}
            for number in range(self._scale.of(1, 1, 5)):
                for name, take in self._round(database, rivals[:: -1 if number % 2 else 1]):
                    takes[name].append(take)
            yield from (speed_figure(peer, takes[peer.name]) for peer in rivals)

    def lateness(self, peers: Sequence[Peer], jobs: int) -> Iterator[Figure]:
        """Yield how late the start is when so many jobs are due each second, a line a peer."""
        for database, rivals in self._by_database(peers):
            seconds = self._scale.of(1, 3, 10)
            trial.note(f"ours, {database}: {jobs:,} jobs due each second for {seconds} s")
            mine = ours.lateness(self._places, database, jobs, seconds)
            for peer in rivals:
                if peer.fires:
                    yield lateness_figure(peer, jobs, self._late(peer, jobs, seconds), mine)

    def _by_database(self, peers: Sequence[Peer]) -> Iterator[tuple[str, list[Peer]]]:
        for database in self._places.databases:
            rivals = [peer for peer in peers if peer.rival == database]
            if any(isinstance(self._python(peer), Path) for peer in rivals):
                yield database, rivals

    def _round(self, database: str, rivals: Sequence[Peer]) -> Iterator[tuple[str, Take]]:
        jobs = self._scale.of(100, 1000, 5000)
        with self._places.ledger(database) as url:
            raw = floor.runs_per_second(url, jobs, FLOOR_BATCH)
        trial.note(f"ours, {database}: {jobs:,} no-op runs")
        mine = ours.speed(self._places, database, jobs)
        for peer in rivals:
            count = max(100, peer.rate * self._scale.of(1, 1, 4))
            yield peer.name, Take(self._speed(peer, count), mine, raw)

    def _speed(self, peer: Peer, jobs: int) -> Speed | Silence:
        if peer.name in self._silent:
            return self._silent[peer.name]
        trial.note(f"{peer.name}: {jobs:,} no-op jobs")
        python = self._python(peer)
        if isinstance(python, Silence):
            return python
        with self._places.empty(peer.database) as url:
            said = trial.ask(peer, python, Speed, url=url, folder=self._places.subfolder(), jobs=jobs)
        if isinstance(said, Silence):
            self._silent[peer.name] = said  # it is not waited for in each round
        return said

    def _late(self, peer: Peer, jobs: int, seconds: int) -> Lateness | Silence:
        if jobs > peer.most_jobs:
            return Silence(f"not asked for more than {peer.most_jobs:,}: {peer.why_not_more}")
        if peer.by_minute and self._scale is not Scale.FULL:
            return Silence("not asked when it must be quick: its cron waits for the next minute")
        trial.note(f"{peer.name}: {jobs:,} jobs due each second for {seconds} s")
        python = self._python(peer)
        if isinstance(python, Silence):
            return python
        with self._places.empty(peer.database) as url:
            folder = self._places.subfolder()
            return trial.ask(peer, python, Lateness, url=url, folder=folder, jobs=jobs, seconds=seconds)

    def _python(self, peer: Peer) -> Path | Silence:
        try:
            return python_for(peer, self._venvs, make=self._make)
        except NotThere as error:
            return Silence(str(error))


def speed_figure(peer: Peer, takes: Sequence[Take]) -> Figure:
    """Return the line of a peer: ours, the peer as the floor of the table, and ours divided by it."""
    pairs = [(take.ours, take.peer, take.floor) for take in takes if isinstance(take.peer, Speed)]
    details: dict[str, Any] = {
        "peer": peer.name,
        "database": peer.database,
        "raw_driver": Spread.of(take.floor for take in takes),
        "ours_cpu_us": Spread.of(take.ours.cpu_micros for take in takes),
    }
    figure = Figure(
        row=SPEED_ROW,
        measure=f"no-op runs beside {peer.name}",
        unit="runs/s",
        ours=Spread.of(take.ours.per_second for take in takes),
        details=details,
    )
    silent = [take.peer.reason for take in takes if isinstance(take.peer, Silence)]
    if silent:
        details["silence"] = silent[-1]
    if not pairs:
        return figure
    details["jobs"] = pairs[0][1].jobs
    details["peer_cpu_us"] = Spread.of(theirs.cpu_micros for _, theirs, _ in pairs)
    details["peer_of_raw_driver"] = Spread.of(theirs.per_second / raw for _, theirs, raw in pairs)
    return msgspec.structs.replace(
        figure,
        floor=Spread.of(theirs.per_second for _, theirs, _ in pairs),
        ratio=Spread.of(mine.per_second / theirs.per_second for mine, theirs, _ in pairs),
        bar=None if peer.bar is None else Bar(peer.bar, at_least=True, of_floor=True),
    )


def lateness_figure(peer: Peer, jobs: int, theirs: Lateness | Silence, mine: Lateness) -> Figure:
    """Return the line of a peer: the 99th percentile of both; what was missed stands in the details."""
    p99 = mine.late(99)
    assert p99 is not None, f"none of ours started: {mine.due} were due"
    details: dict[str, Any] = {"peer": peer.name, "database": peer.database, "ours": told(mine)}
    figure = Figure(
        row=LATENESS_ROW,
        measure=f"start p99 beside {peer.name}",
        unit="ms",
        ours=Spread.of([p99]),
        n=jobs,
        details=details,
    )
    if isinstance(theirs, Silence):
        details["silence"] = theirs.reason
        return figure
    details["theirs"] = told(theirs)
    late = theirs.late(99)
    if late is None:
        return figure
    return msgspec.structs.replace(figure, floor=Spread.of([late]), ratio=Spread.of([p99 / late]))


def told(lateness: Lateness) -> dict[str, float | None]:
    """Return what is worth knowing of it, without each start."""
    late = {f"p{percent}_ms": lateness.late(percent) for percent in PERCENTILES}
    counts = {"due": lateness.due, "started": len(lateness.late_ms), "missed": lateness.missed}
    return {**counts, "doubled": lateness.doubled, **late, "cpu_seconds": lateness.cpu_seconds}
