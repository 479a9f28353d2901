"""Group commit: one thread appends whatever queued up while the last append was in flight.

No timer: an idle ledger answers after one commit, and under load the batches grow by themselves. Every caller
gets an answer of its own, also when the ledger is away for a while or another caller's item is damaged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Event, Thread, current_thread
from typing import Generic, TypeVar

from cronledger.errors import CronledgerError, LedgerDamaged, LedgerUnreachable
from cronledger.ledger.api import Answer, Ledger, Prepared

BATCH_EVENTS = 500
BATCH_BYTES = 1024 * 1024
SHORT_PAUSE_SECONDS = 0.05
LONG_PAUSE_SECONDS = 2.0
CLOSING_SECONDS = 5.0

Ticket = TypeVar("Ticket")
Asked = tuple[Prepared, Ticket]
OnAnswers = Callable[[list[tuple[Ticket, Answer | Exception]]], None]


class Writer(Generic[Ticket]):
    """The one thread of a process that appends.

    `on_answers` is called on that thread, once per batch, with the ticket and the answer of each item.
    """

    def __init__(self, ledger: Ledger, on_answers: OnAnswers[Ticket]) -> None:
        self._ledger = ledger
        self._on_answers = on_answers
        self._queue: deque[Asked[Ticket]] = deque()
        self._urgent: deque[Asked[Ticket]] = deque()
        self._changed = Condition()
        self._closing = False
        self._abandon = Event()
        self._thread = Thread(target=self._run, name="cronledger-writer", daemon=True)
        self._thread.start()

    def submit(self, prepared: Prepared, ticket: Ticket) -> None:
        """Queue an item; its answer, or the problem that prevents one, comes with its ticket.

        Raises LedgerUnreachable once the writer is closed.
        """
        self.submit_all([(prepared, ticket)])

    def submit_all(self, asked: Iterable[Asked[Ticket]]) -> None:
        """Queue items at once, so that they share a commit as far as they fit. Raises as `submit`.

        A leader's items, those under a fence, go first: fire times wait for them. They are never many: the
        leader waits for their answers.
        """
        with self._changed:
            if self._closing:
                raise LedgerUnreachable("the ledger of this process has been closed")
            for each in asked:
                (self._queue if each[0].item.fence is None else self._urgent).append(each)
            self._changed.notify()

    def close(self, within_seconds: float = CLOSING_SECONDS) -> None:
        """Append what is queued and end; what the ledger does not answer in time gets LedgerUnreachable."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is current_thread():
            return
        self._thread.join(within_seconds)
        self._abandon.set()
        self._thread.join(within_seconds)

    def _run(self) -> None:
        batch: list[Asked[Ticket]] = []
        try:
            while batch := self._next():
                answers = self._answers(batch)
                batch = []
                self._on_answers(answers)
        finally:
            with self._changed:
                self._closing = True
                left = [*batch, *self._urgent, *self._queue]
                self._urgent.clear()
                self._queue.clear()
            if left:
                gone = LedgerUnreachable("the ledger was closed before it answered")
                self._on_answers([(ticket, gone) for _, ticket in left])

    def _next(self) -> list[Asked[Ticket]]:
        """Wait for items and take as many as fit one append; none once there is nothing more to come."""
        with self._changed:
            while not self._urgent and not self._queue:
                if self._closing:
                    return []
                self._changed.wait()
            batch: list[Asked[Ticket]] = []
            events = size = 0
            for queue in (self._urgent, self._queue):
                while queue:
                    more, bytes_more = _extent(queue[0][0])
                    events, size = events + more, size + bytes_more
                    if batch and (events > BATCH_EVENTS or size > BATCH_BYTES):
                        return batch
                    batch.append(queue.popleft())
            return batch

    def _answers(self, batch: list[Asked[Ticket]]) -> list[tuple[Ticket, Answer | Exception]]:
        """Return every item's answer or problem, whatever it is: the thread has to outlive it."""
        try:
            answers = self._submitted([prepared for prepared, _ in batch])
            return [(ticket, answer) for (_, ticket), answer in zip(batch, answers, strict=True)]
        except Exception as error:  # noqa: BLE001 - the callers raise it
            if len(batch) > 1 and _may_be_of_one_item(error):
                return [answer for asked in batch for answer in self._answers([asked])]
            return [(ticket, error) for _, ticket in batch]

    def _submitted(self, items: list[Prepared]) -> list[Answer]:
        """Submit until there is an answer: the ids tell what an earlier try has appended after all."""
        pause = SHORT_PAUSE_SECONDS
        while True:
            try:
                return self._ledger.submit(items)
            except LedgerUnreachable:
                if self._abandon.wait(pause):
                    raise
            pause = min(pause * 2, LONG_PAUSE_SECONDS)


def _may_be_of_one_item(error: Exception) -> bool:
    """Whether a single item can do this to a whole batch; the others must not suffer for it."""
    return isinstance(error, LedgerDamaged) or not isinstance(error, CronledgerError)


def _extent(prepared: Prepared) -> tuple[int, int]:
    events = [one for sealed in prepared.sealed for one in sealed]
    return len(events), sum(len(one.body) for one in events)
