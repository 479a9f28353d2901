"""Going on with what comes, until time is up: what `logs view -f` and `ledger tail -f` have in common."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import typer

from cronledger.cli.render import note
from cronledger.errors import LedgerUnreachable
from cronledger.ledger.database import Store

PATIENCE_SECONDS = 1.0
"""How long a follower waits for a hint before it looks by itself: log lines are written about as often."""
PAUSE_SECONDS = 0.2
"""What a follower leaves between two looks, however often something happens."""


def follow(
    ctx: typer.Context, store: Store, look: Callable[[], None], *, seconds: float | None = None
) -> None:
    """Look whenever something may have come, without `seconds` for ever; wait for a ledger that is away."""
    clock = ctx.obj.clock
    until = None if seconds is None else clock.monotonic() + seconds
    hint, never = threading.Event(), threading.Event()
    ctx.obj.closing.callback(store.wake(hint.set).close)
    is_away = False
    while True:
        hint.clear()
        try:
            look()
            is_away = False
        except LedgerUnreachable as error:
            if not is_away:
                note(ctx, f"waiting: {error}")
            is_away = True
        sys.stdout.flush()
        left = PATIENCE_SECONDS if until is None else min(PATIENCE_SECONDS, until - clock.monotonic())
        if left <= 0:
            return
        hint.wait(left)
        never.wait(min(PAUSE_SECONDS, left))
