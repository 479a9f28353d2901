"""A second pair of eyes on the event loop, from a thread of its own.

A job that blocks the loop stops everything else in its process, and a leader that stands still holds up the
whole cluster. The loop leaves a mark every second; when this thread has looked for `LIMIT_SECONDS` and the
mark has not moved, it records where the loop stands and gives leadership up in the loop's place. The signs of
life go on meanwhile: an instance whose loop is blocked is not dead.

What counts is how often this thread has looked, not what a clock says: a process that was stopped as a whole
has not been blocked, and a job that holds the interpreter stops this thread too (then the lease runs out).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from cronledger.clock import Clock
from cronledger.domain import events as e
from cronledger.domain.ids import LEADER, Term, instance_stream
from cronledger.engine.loop import Engine
from cronledger.errors import Fenced, LedgerUnreachable, Outdated
from cronledger.ledger.api import Write
from cronledger.world import ProcessWorld

log = logging.getLogger("cronledger.instance")
ACTOR = e.Actor.engine("watchdog")
LIMIT_SECONDS = 5.0
LOOK_SECONDS = 1.0
CLOSING_SECONDS = 2.0
MOST_FRAMES = 30
LONGEST_FRAME = 200

OnBlocked = Callable[[float, tuple[str, ...]], bool]


class Watchdog:
    """Calls `on_blocked`, once per incident, when the loop that made it has stood still for too long.

    `on_blocked` is given the seconds and the loop's stack, on the watchdog's thread; it says whether that was
    heard, and is asked again at the next look if not.
    """

    def __init__(self, clock: Clock, on_blocked: OnBlocked, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._clock = clock
        self._on_blocked = on_blocked
        self._looks_allowed = limit_seconds / LOOK_SECONDS
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._looks = 0
        self._told = False
        self._marks = self._seen = 0
        self._marked_at = clock.monotonic()
        self._timer: asyncio.Handle = self._loop.call_soon(self._mark)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cronledger-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer; to be called on the loop's thread."""
        self._timer.cancel()
        self._stop.set()
        self._thread.join(CLOSING_SECONDS)

    def look(self) -> None:
        """Compare the loop's mark with the one seen last."""
        if self._marks != self._seen:
            if self._told:
                log.warning("the event loop goes on again")
            self._seen, self._looks, self._told = self._marks, 0, False
            return
        self._looks += 1
        if self._told or self._looks < self._looks_allowed:
            return
        seconds = round(self._clock.monotonic() - self._marked_at, 1)
        stack = _stack(self._loop_thread)
        where = stack[-1] if stack else "?"
        log.error("the event loop has been blocked for %s s, at %s", seconds, where)
        self._told = self._on_blocked(seconds, stack)

    def _mark(self) -> None:
        self._marks += 1
        self._marked_at = self._clock.monotonic()
        self._timer = self._loop.call_later(LOOK_SECONDS, self._mark)

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.look()


def watch(world: ProcessWorld, engine: Engine) -> Watchdog:
    """Watch the running loop until the watchdog is stopped; a blocked one leads no longer."""
    watchdog = Watchdog(world.clock, lambda seconds, stack: _give_up(world, engine, seconds, stack))
    watchdog.start()
    return watchdog


def _give_up(world: ProcessWorld, engine: Engine, seconds: float, stack: tuple[str, ...]) -> bool:
    """Record that the loop is blocked and let somebody else lead; whether the ledger has heard it."""
    term = engine.lead_no_longer()
    try:
        _resign(world, term)
        event = e.Event(body=e.LoopBlocked(seconds=seconds, stack=stack), actor=ACTOR)
        world.store.ledger.append(Write(instance_stream(world.instance), (event,), expected=None))
    except LedgerUnreachable as error:
        log.warning("the ledger did not hear that the loop is blocked: %s", error)
        return False
    except Outdated as error:
        log.warning("that the loop is blocked cannot be recorded: %s", error.message)
    finally:
        world.leader_lock.release()
        # Once more: the loop may have gone on meanwhile, and found that it holds the lock and contends.
        engine.lead_no_longer()
    return True


def _resign(world: ProcessWorld, term: Term | None) -> None:
    """End the term in which the loop was blocked, if it has not ended; none that has begun since."""
    head = world.store.ledger.head()
    if head.term != term or head.leader != world.instance or head.lease_until is None:
        return
    event = e.Event(body=e.LeaderResigned(reason="the event loop is blocked"), actor=ACTOR)
    try:
        with suppress(Outdated):  # then it goes without a word: only newer versions may append
            world.store.ledger.append(Write(LEADER, (event,), expected=None), fence=head.term)
        world.store.ledger.renew(head.term, timedelta(0))
    except Fenced:
        log.info("term %s was already over", head.term)


def _stack(thread: int) -> tuple[str, ...]:
    """Return where a thread stands: names of files and functions only, for lines may hold secrets."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - there is no other way to see another thread
    if frame is None:
        return ()
    summary = traceback.StackSummary.extract(
        traceback.walk_stack(frame), limit=MOST_FRAMES, lookup_lines=False
    )
    return tuple(
        f"{each.filename}:{each.lineno} in {each.name}"[-LONGEST_FRAME:] for each in reversed(summary)
    )
