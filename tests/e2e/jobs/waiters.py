"""Two hundred requests in two group commits; dies where `FAILPOINT` says, and notes what was answered.

`main` is given the ledger's URL and a file for the notes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from threading import Semaphore

from cronledger.domain.ids import run_stream, scheduled_run
from cronledger.ledger.api import Answer, Item, Write
from cronledger.ledger.writer import Writer
from tests.conftest import opened
from tests.e2e.jobs import failpoints
from tests.events import JOB, NOON, started, triggered

WAITERS = 100
RUNS = [scheduled_run(JOB, NOON + timedelta(seconds=number)) for number in range(2 * WAITERS)]


def main(arguments: Sequence[str]) -> int:
    """Ask for everything and note each answer at once."""
    url, notes = arguments
    assert failpoints.DIED
    store = opened(url)
    note = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    answered = Semaphore(0)

    def on_answers(answers: list[tuple[str, Answer | Exception]]) -> None:
        for run_id, answer in answers:
            os.write(note, f"{run_id} {type(answer).__name__}\n".encode())
            answered.release()

    writer: Writer[str] = Writer(store.ledger, on_answers)
    for half in (RUNS[:WAITERS], RUNS[WAITERS:]):
        asked = []
        for run_id in half:
            fire_at = NOON + timedelta(seconds=RUNS.index(run_id))
            events = (triggered(fire_at), started(run_id))
            asked.append((store.ledger.prepare(Item((Write(run_stream(run_id), events),))), run_id))
        writer.submit_all(asked)
        for _ in half:
            answered.acquire()
    writer.close()
    store.close()
    os.close(note)
    return 0
