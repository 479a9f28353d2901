"""The peers beside us: no-op jobs a second (row 19), and how late they start when many are due (row 20).

Each peer does the same work in a process and an environment of its own, on a fresh database. Ours is measured
on the same kind of database in the same round, and so is the raw driver. README.md says what each promises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.figures import Figure, Scale
from bench.peers.environments import DEFAULT_FOLDER
from bench.peers.match import Match
from bench.peers.roster import FOLDER, PEERS, Peer, pins
from bench.places import Places


def figures(
    places: Places,
    scale: Scale,
    *,
    peers: Sequence[Peer] = PEERS,
    venvs: Path = DEFAULT_FOLDER,
    make: bool | None = None,
    due_at_once: Sequence[int] | None = None,
) -> Iterator[Figure]:
    """Yield a line a peer for throughput and for lateness.

    Args:
        places: Where fresh databases come from; peers on others than these are left out.
        scale: SMOKE only checks that the adapters compile and the pins can be read.
        peers: Which ones.
        venvs: Where the environments are kept.
        make: Whether to make those that are not there; None: only when everything is measured.
        due_at_once: How many jobs are due each second; None: by scale, no lateness when it must be quick.
    """
    if scale is Scale.SMOKE:
        check()
        return
    make = scale is Scale.FULL if make is None else make
    many = scale.of((), (), (100, 1000, 5000)) if due_at_once is None else due_at_once
    match = Match(places, scale, venvs, make=make)
    yield from match.speeds(peers)
    for jobs in many:
        yield from match.lateness(peers, jobs)


def check() -> None:
    """Check what can be checked without the peers.

    Raises:
        SyntaxError: If an adapter does not compile.
        ValueError: If a file of requirements does not pin its versions.
        FileNotFoundError: If a peer has no adapter or no requirements.
    """
    for peer in PEERS:
        path = FOLDER / "adapters" / f"{peer.adapter}.py"
        compile(path.read_text(encoding="utf-8"), path, "exec")
        pins(peer.requirements.read_text(encoding="utf-8"))
