"""A virtual environment for each peer, made from its pinned versions and kept for the next time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers.roster import Peer

DEFAULT_FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cronledger-bench"
MAKING_SECONDS = 600
NEWER = range(12, 16)


class NotThere(Exception):
    """A peer's environment is not there, or cannot be made; the message says why and what to do."""


def python_for(peer: Peer, folder: Path, *, make: bool) -> Path:
    """Return the interpreter of a peer's environment; `make`: make it if it is not there or stale.

    Raises:
        NotThere: If there is none.
    """
    place = folder / peer.adapter
    mark, python = place / "made-from", place / "bin" / "python"
    wanted = hashlib.sha256(peer.requirements.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == wanted and python.exists():
        return python
    if not make:
        raise NotThere(f"no environment in {place}: `python -m bench.peers --prepare` makes it")
    shutil.rmtree(place, ignore_errors=True)
    _run(interpreter(peer.python), "-m", "venv", place)
    _run(python, "-m", "pip", "install", "--quiet", "-r", peer.requirements)
    mark.write_text(wanted)
    return python


def prepare(peers: Sequence[Peer], venvs: Path) -> int:
    """Make the environments that are not there; say which could not be made, and return 1 if there is one."""
    failed = 0
    for peer in {peer.adapter: peer for peer in peers}.values():
        try:
            python_for(peer, venvs, make=True)
        except NotThere as error:
            print(f"{peer.adapter}: {error}", file=sys.stderr)
            failed = 1
    return failed


def interpreter(least: tuple[int, int]) -> str:
    """Return a Python of at least a version: the one that runs this, one on the path, or one of pyenv's.

    Raises:
        NotThere: If none is found.
    """
    if sys.version_info >= least:
        return sys.executable
    names = [f"python{least[0]}.{minor}" for minor in NEWER if (least[0], minor) >= least]
    found = [path for name in names if (path := shutil.which(name))]
    for name in names:
        version = name.removeprefix("python")
        found += sorted(map(str, (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}")))
    for path in found:
        if subprocess.run([path, "-c", ""], check=False, capture_output=True).returncode == 0:
            return path
    raise NotThere(f"no Python {least[0]}.{least[1]} or newer on the path, and it needs one")


def _run(*command: object) -> None:
    words = [str(each) for each in command]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    try:
        subprocess.run(
            words, check=True, capture_output=True, text=True, timeout=MAKING_SECONDS, env=environment
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or error.stdout.strip() or "nothing was said").splitlines()[-1]
        raise NotThere(f"`{' '.join(words)}` failed: {last}") from None
    except subprocess.TimeoutExpired:
        raise NotThere(f"`{' '.join(words)}` took more than {MAKING_SECONDS} s") from None
