"""The ways from the loop to the writer's thread, and to others, and back.

What was asked for in one turn of the loop is handed over at once, and the answers of a batch come back so:
under load neither thread wakes the other for a single run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from cronledger.errors import LedgerUnreachable, Refusal
from cronledger.ledger.api import Answer, Item, Ledger, Prepared
from cronledger.ledger.recent import Recent
from cronledger.ledger.writer import CLOSING_SECONDS, Writer

T = TypeVar("T")
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


class Pool:
    """Threads for calls that a loop awaits; they go on until closed, also once the main thread has ended.

    The standard library's executors refuse every call by then, also the last ones of a block that a program
    leaves in `atexit`, or on another thread.
    """

    def __init__(self, number: int, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._turn = threading.Lock()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}_{each}", daemon=True) for each in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def call(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Have a function called; await what it returns. Raises RuntimeError after the end."""
        answer: Future[T] = Future()
        with self._turn:
            if self._is_closed:
                raise RuntimeError("this instance has ended")
            self._calls.put(partial(_perform, answer, function, *args))
        return asyncio.wrap_future(answer)

    def close(self) -> None:
        """Call what was asked for, and end the threads."""
        with self._turn:
            self._is_closed = True
            for _ in self._threads:
                self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds is nobody's while the thread waits


def _perform(answer: Future[T], function: Callable[..., T], *args: Any) -> None:
    """Call a function, unless nobody waits for it any more."""
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(function(*args))
    except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits
        answer.set_exception(error)
