"""One trial: an adapter asked for one piece of work in a process of its own, which may not take for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import overload

from bench.peers.report import Lateness, Silence, Speed, parsed
from bench.peers.roster import FOLDER, Peer

PATIENCE_SECONDS = 60.0
SECONDS_A_JOB = 0.04
"""What setting up a job may take, the slowest peer's twice over and more."""


@overload
def ask(
    peer: Peer, python: Path, kind: type[Speed], *, url: str, folder: Path, jobs: int
) -> Speed | Silence: ...
@overload
def ask(
    peer: Peer, python: Path, kind: type[Lateness], *, url: str, folder: Path, jobs: int, seconds: int
) -> Lateness | Silence: ...
def ask(
    peer: Peer,
    python: Path,
    kind: type[Speed | Lateness],
    *,
    url: str,
    folder: Path,
    jobs: int,
    seconds: int = 1,
) -> Speed | Lateness | Silence:
    """Ask a peer's adapter, in an empty folder, and return its answer or why there is none."""
    work = kind.__struct_config__.tag
    command = [python, "-P", "-m", f"adapters.{peer.adapter}", work, "--url", url, "--jobs", jobs]
    command += ["--seconds", seconds, *(f"--option={name}={value}" for name, value in peer.options.items())]
    timeout = PATIENCE_SECONDS * (2 if peer.by_minute else 1) + seconds + jobs * SECONDS_A_JOB
    return answer(
        [str(word) for word in command], kind, environment=_environment(), folder=folder, timeout=timeout
    )


def answer(
    command: list[str],
    kind: type[Speed | Lateness],
    *,
    environment: dict[str, str],
    folder: Path,
    timeout: float,
) -> Speed | Lateness | Silence:
    """Run a command and read its answer; kill it and all it has started when the time is up."""
    with subprocess.Popen(
        command, env=environment, cwd=folder, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            return Silence(f"no answer within {timeout:.0f} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        last = (errors.strip() or "it said nothing").splitlines()[-1]
        return Silence(f"ended with {process.returncode}: {last[:200]}")
    try:
        return parsed(output, kind)
    except ValueError as error:
        return Silence(str(error))


def _environment() -> dict[str, str]:
    """Return what an adapter sees: the adapters on its path, and none of our settings."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PG", "PYTHON", "CRONLEDGER_"))
    }
    return kept | {"PYTHONPATH": str(FOLDER)}


def note(text: str) -> None:
    """Tell somebody who watches how far it is."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
