"""Jobs that leave a trace outside the ledger, and a process that dies at its n-th append.

Loaded with `--app`. `FAILPOINT` says where: `before:3`, `within:3` (in the open transaction, SQLite) or
`after:3` (committed, and nobody told); `EFFECTS` names the file of the traces.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from cronledger import JobContext, job
from cronledger.ledger import postgres, sqlite_append
from cronledger.ledger.api import Answer, Prepared

DIED = 86
_where, _, _number = os.environ.get("FAILPOINT", "never:0").partition(":")
_at = int(_number)
_appends: list[int] = []


def _die_if(where: str) -> None:
    if where == _where and len(_appends) == _at:
        os._exit(DIED)


def _counted(submit: Callable[[Any, Sequence[Prepared]], list[Answer]]) -> Any:
    def submit_and_perhaps_die(self: Any, batch: Sequence[Prepared]) -> list[Answer]:
        _appends.append(len(batch))
        _die_if("before")
        answers = submit(self, batch)
        _die_if("after")
        return answers

    return submit_and_perhaps_die


def _dying(store: Callable[..., None]) -> Any:
    def store_and_perhaps_die(*args: Any) -> None:
        store(*args)
        _die_if("within")

    return store_and_perhaps_die


if _where != "never":
    sqlite_append.SqliteAppender.submit = _counted(sqlite_append.SqliteAppender.submit)  # type: ignore[method-assign]
    postgres.PostgresAppender.submit = _counted(postgres.PostgresAppender.submit)  # type: ignore[method-assign]
    sqlite_append._store = _dying(sqlite_append._store)  # type: ignore[assignment] # there is no other way in


def leave_a_trace(what: str, ctx: JobContext) -> None:
    """Have an effect that outlives the process."""
    line = f"{what} {ctx.run.id} {ctx.run.attempt}\n"
    file = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, line.encode())
    os.close(file)


@job(extension="failpoints", idempotent=True, run_on_startup=True)
async def boot(ctx: JobContext) -> None:
    """Do two steps, for example."""
    leave_a_trace("begin", ctx)
    await ctx.step("one", lambda: 1)
    await ctx.step("two", lambda: 2)
    leave_a_trace("end", ctx)


@job(extension="failpoints")
def once(ctx: JobContext) -> None:
    """Have an effect that must not be repeated."""
    leave_a_trace("begin", ctx)
    leave_a_trace("end", ctx)


@job(extension="failpoints", idempotent=True)
async def again(ctx: JobContext) -> None:
    """Have an effect that may be repeated."""
    leave_a_trace("begin", ctx)
    leave_a_trace("end", ctx)
