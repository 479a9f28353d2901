"""The way from the loop to the writer's thread and back.

What was asked for in one turn of the loop is handed over at once, and the answers of a batch come back so:
under load neither thread wakes the other for a single run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cronledger.errors import LedgerUnreachable, Refusal
from cronledger.ledger.api import Answer, Item, Ledger, Prepared
from cronledger.ledger.recent import Recent
from cronledger.ledger.writer import CLOSING_SECONDS, Writer

_NO_ANSWER = LookupError("no answer yet")


class Waiter:
    """A request that waits for the writer's answers, on the loop that asked."""

    __slots__ = ("answers", "future", "missing", "prepared")

    def __init__(self, prepared: list[Prepared], future: asyncio.Future[list[Answer]]) -> None:
        self.prepared = prepared
        self.answers: list[Answer | Exception] = [_NO_ANSWER] * len(prepared)
        self.missing = len(prepared)
        self.future = future

    def tell(self) -> None:
        """Give the answers to whoever waits, or the problem that prevents one."""
        if self.future.done():
            return
        for answer in self.answers:
            if isinstance(answer, Exception) and not isinstance(answer, Refusal):
                self.future.set_exception(answer)
                self.future.exception()  # has been seen: whoever has gone meanwhile leaves no complaint
                return
        self.future.set_result(self.answers)  # type: ignore[arg-type] # nothing else is left


Asked = tuple[Prepared, tuple[Waiter, int]]


class Submitter:
    """Gives every caller on this loop its answers; `recent` remembers what was appended."""

    def __init__(self, ledger: Ledger) -> None:
        self.recent = Recent(ledger.instance)
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._outbox: list[Asked] = []
        self._writer: Writer[tuple[Waiter, int]] = Writer(ledger, self._on_answers)

    def submit(self, items: Sequence[Item | Prepared]) -> asyncio.Future[list[Answer]]:
        """Hand items to the writer with all that is asked for in this turn of the loop; await the answers.

        A caller that is cancelled gets no answer, and the writer appends all the same: versions tell.
        """
        prepare = self._ledger.prepare
        prepared = [each if isinstance(each, Prepared) else prepare(each) for each in items]
        waiter = Waiter(prepared, self._loop.create_future())
        if not items:
            waiter.future.set_result([])
            return waiter.future
        if not self._outbox:
            self._loop.call_soon(self._send)
        self._outbox += [(each, (waiter, number)) for number, each in enumerate(prepared)]
        return waiter.future

    def close(self, within_seconds: float = CLOSING_SECONDS) -> None:
        """Append what was asked for, and end the thread."""
        self._send()
        self._writer.close(within_seconds)

    def _send(self) -> None:
        outbox, self._outbox = self._outbox, []
        try:
            self._writer.submit_all(outbox)
        except LedgerUnreachable as closed:
            self._on_answers([(ticket, closed) for _, ticket in outbox])

    def _on_answers(self, answered: list[tuple[tuple[Waiter, int], Answer | Exception]]) -> None:
        """Collect a batch's answers on the writer's thread; wake the loop once for all of them."""
        done = []
        for (waiter, number), answer in answered:
            waiter.answers[number] = answer
            waiter.missing -= 1
            if waiter.missing == 0:
                done.append(waiter)
        if done and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve, done)

    def _resolve(self, waiters: list[Waiter]) -> None:
        for waiter in waiters:
            for prepared, answer in zip(waiter.prepared, waiter.answers, strict=True):
                self.recent.add(prepared, answer)
            waiter.tell()
