"""The previous release beside a newer one that writes a type of event which only it knows.

The old one is this version. The newer one is this version with one more entry in its registry of events.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.checker import problems, triggered
from tests.cli_runner import run_cli
from tests.conftest import lines_of, opened

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(240)]

CONFIG = """
scheduler:
  extensions: [ticks]
  jobs:
    - {name: every_second, extension: ticks, schedule: "* * * * * *"}
"""
JOBS = """
from cronledger import job

@job
async def every_second(): ...
"""
NEWER = """
import os, sys, threading, time
from typing import ClassVar

import msgspec

from cronledger.domain import events as e
from cronledger.ledger import codec

class Dreamed(e.Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.dreamed"
    must_understand: ClassVar[bool] = os.environ["MUST_UNDERSTAND"] == "1"

e.BODIES[Dreamed.type] = Dreamed
codec._DECODERS[Dreamed.type] = msgspec.json.Decoder(Dreamed).decode

from cronledger.cli.main import main
from cronledger.clock import SystemClock
from cronledger.domain.ids import CONFIG, instance_id
from cronledger.entropy import SystemEntropy
from cronledger.ledger.api import Write
from cronledger.ledger.database import open_store

def dream():
    time.sleep(5)
    here = instance_id("dreamer", os.getpid(), "d" * 12)
    store = open_store(os.environ["CRONLEDGER_DATABASE_URL"], instance=here,
                       clock=SystemClock(), entropy=SystemEntropy())
    store.ledger.append(Write(CONFIG, (e.Event(body=Dreamed(), actor=e.Actor.engine("dreamer")),), None))
    store.close()

threading.Thread(target=dream, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


def up(folder: Path, url: str, name: str) -> list[str]:
    """Return the arguments that start an instance."""
    return ["--database-url", url, "--config", str(folder / "config.yaml"), "--instance", name, "up"]


def leader_pid(url: str) -> int:
    store = opened(url)
    leader = str(store.ledger.head().leader)
    store.close()
    return int(leader.split(".")[-2])


@pytest.mark.parametrize("must_understand", [False, True], ids=["may be skipped", "must be understood"])
def test_an_old_instance_ignores_what_it_may_and_steps_aside_from_what_it_must(
    sql_url: str, tmp_path: Path, *, must_understand: bool
) -> None:
    """Fault 60."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "ticks.py").write_text(JOBS)
    (tmp_path / "newer.py").write_text(NEWER)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "MUST_UNDERSTAND": str(int(must_understand)),
        "CRONLEDGER_DATABASE_URL": sql_url,
    }
    old_command = [sys.executable, "-m", "cronledger", *up(tmp_path, sql_url, "old")]
    new_command = [sys.executable, "newer.py", *up(tmp_path, sql_url, "new")]
    log = (tmp_path / "old.log").open("wb")
    processes = []
    try:
        processes.append(subprocess.Popen(old_command, cwd=tmp_path, env=environment, stdout=log, stderr=log))
        time.sleep(4)
        processes.append(
            subprocess.Popen(
                new_command, cwd=tmp_path, env=environment | {"CRONLEDGER_BUILD": "2"}, stdout=log, stderr=log
            )
        )
        time.sleep(14)
        old, new = processes
        leading = leader_pid(sql_url)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=40) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        log.close()
    lines = lines_of(sql_url)
    (dreamed,) = [line for line in lines if line["type"] == "job.dreamed"]
    said = (tmp_path / "old.log").read_text()
    claimed_by_old_since = [
        line
        for line in lines
        if line["type"] == "run.started"
        and str(line["instance"]).startswith("old.")
        and int(str(line["position"])) > int(str(dreamed["position"])) + 20
    ]

    assert [0, 0] == codes
    assert [] == problems(lines)
    assert 13 <= len(triggered(lines, "every_second"))
    assert (new.pid if must_understand else old.pid) == leading
    assert must_understand is dreamed["must_understand"]
    assert must_understand is ("neither leads nor claims any more" in said)
    assert must_understand is not ("events of type job.dreamed are not known" in said)
    if must_understand:
        assert [] == claimed_by_old_since
    else:
        assert 0 == run_cli("--database-url", sql_url, "projections", "check").exit_code
