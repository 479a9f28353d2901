"""The peers: which adapter measures each, where, with which settings, and how fast it is expected to be."""

from __future__ import annotations

from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A peer on one database with one setting that matters; several may share an adapter."""

    name: str
    adapter: str
    database: str
    """Where it keeps its jobs: `sqlite`, `postgres` or `memory`."""
    rate: int
    """Jobs a second that it has done before: what its work is sized by."""
    options: dict[str, str] = {}
    bar: float | None = None
    """How many times as fast we want to be."""
    python: tuple[int, int] = (3, 11)
    by_minute: bool = False
    """Whether its cron knows no seconds, so that it has one burst at the next minute."""
    fires: bool = True
    """Whether its lateness is measured: not where it is the same as under another name."""
    most_jobs: int = 5000
    """How many of its jobs may be due in one second."""
    why_not_more: str = ""

    @property
    def requirements(self) -> Path:
        """Return the file of its pinned packages."""
        return FOLDER / "requirements" / f"{self.adapter}.txt"

    @property
    def rival(self) -> str:
        """Return the database that ours is compared on: we keep nothing in memory only."""
        return "postgres" if self.database == "postgres" else "sqlite"


PEERS = (
    Peer(name="apscheduler3, memory", adapter="apscheduler3", database="memory", rate=20_000),
    Peer(name="apscheduler3, SQLite WAL", adapter="apscheduler3", database="sqlite", rate=2_500, bar=4),
    Peer(name="apscheduler3, PostgreSQL", adapter="apscheduler3", database="postgres", rate=800),
    Peer(
        name="apscheduler4",
        adapter="apscheduler4",
        database="postgres",
        rate=300,
        options={"max_concurrent_jobs": "100"},
        bar=30,
    ),
    Peer(
        name="procrastinate",
        adapter="procrastinate",
        database="postgres",
        rate=500,
        options={"concurrency": "30"},
        bar=20,
    ),
    Peer(
        name="pgqueuer, batch 10",
        adapter="pgqueuer",
        database="postgres",
        rate=5_000,
        options={"batch_size": "10"},
        fires=False,
    ),
    Peer(
        name="pgqueuer, batch 1000",
        adapter="pgqueuer",
        database="postgres",
        rate=11_000,
        options={"batch_size": "1000"},
    ),
    Peer(
        name="dbos",
        adapter="dbos",
        database="postgres",
        rate=500,
        options={"polling_seconds": "0.1"},
        bar=40,
        most_jobs=1000,
        why_not_more="each schedule is a thread",
    ),
    Peer(
        name="oban",
        adapter="oban",
        database="postgres",
        rate=3_000,
        options={"limit": "1000"},
        bar=4,
        python=(3, 12),
        by_minute=True,
    ),
)


def chosen(names: list[str]) -> tuple[Peer, ...]:
    """Return the peers of these names or adapters, all if none is named.

    >>> [peer.name for peer in chosen(["pgqueuer", "dbos"])]
    ['pgqueuer, batch 10', 'pgqueuer, batch 1000', 'dbos']

    Raises:
        LookupError: If a name is nobody's; it says whose there are.
    """
    for name in names:
        if not any(name in (peer.name, peer.adapter) for peer in PEERS):
            known = ", ".join(dict.fromkeys(peer.adapter for peer in PEERS))
            raise LookupError(f"no peer is called {name!r}; there are: {known}")
    return tuple(peer for peer in PEERS if not names or {peer.name, peer.adapter} & set(names))


def pins(text: str) -> dict[str, str]:
    r"""Return package -> version of a file of requirements.

    >>> pins("oban==0.7.0\n")
    {'oban': '0.7.0'}

    Raises:
        ValueError: If a line does not pin a version.
    """
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        package, pinned, version = line.partition("==")
        if not (pinned and version):
            raise ValueError(f"{line!r} does not say PACKAGE==VERSION")
        found[package] = version
    return found
