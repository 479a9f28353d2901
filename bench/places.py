"""Where the benchmarks run: fresh ledgers on SQLite, and on a PostgreSQL that is started for them.

Both are as durable as a user's: SQLite with `synchronous=FULL`, PostgreSQL with the server's own defaults.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from cronledger import migrations
from cronledger.clock import SystemClock
from cronledger.domain.ids import InstanceId
from cronledger.entropy import SystemEntropy
from cronledger.ledger.database import Store, open_store
from tests.postgres import Server, own_server

INSTANCE = InstanceId("bench.1.000000000000")
_DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "on",
}


class Places:
    """Gives fresh ledgers at the newest schema; `databases` names those to measure on."""

    def __init__(self, folder: Path, server: Server | None, databases: tuple[str, ...]) -> None:
        self.folder = folder
        self.databases = databases
        self._server = server
        self._numbers = count(1)
        self._template = folder / "template.db"
        opened(f"sqlite:///{self._template}", at_head=True).close()

    def fresh(self, database: str) -> str:
        """Return the URL of a fresh ledger on `sqlite` or `postgres`."""
        if database == "postgres":
            assert self._server is not None
            return self._server.make_database()
        path = self.folder / f"{next(self._numbers)}.db"
        shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"

    def drop(self, url: str) -> None:
        """Remove a ledger: it is not needed any more, and the next ones need the room."""
        if url.startswith("sqlite"):
            for path in self.folder.glob(f"{url.rsplit('/', 1)[1]}*"):
                path.unlink()
        else:
            assert self._server is not None
            self._server.drop_database(url)

    @contextmanager
    def ledger(self, database: str) -> Iterator[str]:
        """Give the URL of a fresh ledger and remove it afterwards."""
        url = self.fresh(database)
        try:
            yield url
        finally:
            self.drop(url)

    def versions(self) -> dict[str, str]:
        """Return what of the databases matters to who reads the figures."""
        if self._server is None:
            return {}
        with psycopg.connect(self._server.url) as session:
            return {"postgres": str(session.execute("SHOW server_version").fetchone()[0])}  # type: ignore[index]

    @contextmanager
    def empty(self, database: str) -> Iterator[str]:
        """Give the URL of a database without a schema and remove it afterwards; `memory` stays as it is."""
        if database == "memory":
            yield database
            return
        if database == "postgres":
            assert self._server is not None
            url = self._server.make_database(template=None)
        else:
            url = f"sqlite:///{self.folder / f'{next(self._numbers)}.db'}"
        try:
            yield url
        finally:
            self.drop(url)

    def subfolder(self) -> Path:
        """Return a fresh folder."""
        path = self.folder / f"files-{next(self._numbers)}"
        path.mkdir()
        return path


def opened(url: str, *, at_head: bool = False) -> Store:
    """Open a ledger; `at_head`: give it the newest schema first."""
    store = open_store(url, instance=INSTANCE, clock=SystemClock(), entropy=SystemEntropy(), create=True)
    if at_head:
        migrations.upgrade(store)
    return store


@contextmanager
def places(databases: tuple[str, ...]) -> Iterator[Places]:
    """Make the places, and clear up afterwards."""
    with tempfile.TemporaryDirectory(prefix="cronledger-bench-") as folder:
        if "postgres" not in databases:
            yield Places(Path(folder), None, databases)
            return
        server = own_server(lambda url: opened(url, at_head=True).close(), **_DURABLE)
        try:
            yield Places(Path(folder), server, databases)
        finally:
            server.end()
