"""Cancelling: somebody asks a run to stop, and whoever looks after it ends it.

That is the instance that performs it, or the leader while it waits. Where nobody leads, a waiting run is
ended by the process that waits for its end; the version it was decided at keeps a claim from being undone.
A run whose process is gone is not: only a leader may say that an attempt was lost.
"""

from __future__ import annotations

import anyio

from cronledger.domain import run
from cronledger.domain.events import Actor
from cronledger.domain.ids import RunId, run_stream
from cronledger.domain.run import Phase, RunState
from cronledger.errors import Conflict, CronledgerError, Refusal
from cronledger.ledger.api import Write, despite_conflicts, require_current
from cronledger.ledger.database import Store
from cronledger.manual import ENDS_ONCE_UP, folded, followed, is_left_behind


class LeftBehind(CronledgerError):
    """A run was asked to stop, and nobody is there who could end it: waiting would have no end."""

    code = "left_behind"
    exit_code = 124

    def __init__(self, run_id: RunId) -> None:
        super().__init__(
            f"run '{run_id}' has been asked to stop, and has not ended: its process is gone",
            hint=ENDS_ONCE_UP,
        )
        self.run_id = run_id


def request(store: Store, run_id: RunId, actor: Actor, reason: str | None) -> tuple[RunState, bool]:
    """Ask a run to stop; return it as it stood then, and whether nobody had asked before.

    Raises Refusal for a run that has ended, Conflict if its stream never holds still, or an `Outdated` if
    only a newer version may decide here.
    """
    require_current(store.ledger)

    def decide() -> tuple[RunState, bool]:
        state = folded(store, run_id)
        if state.outcome is not None:
            raise Refusal(f"run '{run_id}' has ended already: {state.outcome}")
        events = run.request_cancel(state, actor, reason)
        if events:
            store.ledger.append(Write(run_stream(run_id), tuple(events), expected=state.version))
        return state, bool(events)

    return despite_conflicts(decide)


async def until_ended(store: Store, run_id: RunId, actor: Actor, *, seconds: float | None) -> RunState:
    """Wait until a run that was asked to stop has ended.

    Raises TimeoutError once time is up; without a limit, LeftBehind where nobody can end the run.
    """

    def end_if_left_alone(state: RunState) -> None:
        if state.phase is Phase.RUNNING and seconds is None and is_left_behind(store, state):
            raise LeftBehind(run_id)
        if state.phase is Phase.WAITING and store.ledger.head().is_vacant:
            try:
                events = tuple(run.cancel_waiting(state, actor))
                store.ledger.append(Write(run_stream(run_id), events, expected=state.version))
            except Conflict:
                return  # somebody looks after it after all

    with anyio.move_on_after(seconds):
        (state,) = await followed(store, [run_id], wait=True, look=end_if_left_alone)
        return state
    raise TimeoutError(run_id)
