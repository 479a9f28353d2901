"""A PgBouncer for the tests, in transaction mode: the one on PATH, or Debian's, fetched and unpacked.

Its package is not installed: apt-get only downloads it, into the temporary folder.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import free_port, locked, own_folder, server_user
from tests.waiting import eventually

PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")


class NoPgBouncer(Exception):
    """There is none here, and none can be fetched; the message says why."""


@contextmanager
def pgbouncer(port: int) -> Iterator[int]:
    """Run one before the server at a port of loopback, and give its own port."""
    program, libraries = found()
    folder, own = own_folder(), free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\nmax_client_conn = 200\ndefault_pool_size = 10\nlogfile =\n"
        "server_check_delay = 1\nserver_login_retry = 1\n"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(libraries)}
    with (folder / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(
            [str(program), str(settings)], env=environment, stdout=log, stderr=log, **server_user()
        )
    try:
        assert eventually(lambda: _answers(own)), (folder / "pgbouncer.log").read_text()
        yield own
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def found() -> tuple[Path, Path]:
    """Return the program and the folder of its libraries; raise NoPgBouncer."""
    if program := shutil.which("pgbouncer"):
        return Path(program), Path("/nonexistent")
    place = Path(tempfile.gettempdir()) / f"cronledger-pgbouncer-{os.getuid()}"
    with locked(place.with_name(f"{place.name}.lock")):  # somebody else may be unpacking it
        if not (place / "usr/sbin/pgbouncer").exists():
            _fetch(place)
    (libraries,) = {each.parent for each in place.glob("usr/lib/*/libcares.so.2")}
    return place / "usr/sbin/pgbouncer", libraries


def _fetch(place: Path) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            _run("apt-get", "download", *PACKAGES, folder=Path(folder))
            place.mkdir(mode=0o755, exist_ok=True)
            for package in sorted(Path(folder).glob("*.deb")):
                _run("dpkg", "-x", str(package), str(place), folder=Path(folder))
        place.chmod(0o755)
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPgBouncer(f"no pgbouncer on PATH, and Debian's cannot be fetched: {error}") from error


def _run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
