"""What this process has appended of late, as reading it would give it: the loop need not read it back.

Under load nearly every event that an instance folds is one that it has just written itself. Whatever is not
known here in one piece, because somebody else has written in between, is read as before.
"""

from __future__ import annotations

from collections.abc import Iterator

from cronledger.domain import events as e
from cronledger.domain.ids import InstanceId, Position
from cronledger.ledger.api import Answer, Appended, Item, Prepared
from cronledger.ledger.codec import actor_kept

MOST = 20_000
"""Events and answers kept: more than are ever under way between two passes of the loop."""


class Recent:
    """The tail of the ledger as far as it is ours, by position."""

    def __init__(self, instance: InstanceId) -> None:
        self._instance = instance
        self._answered: list[tuple[Prepared, Appended]] = []
        self._events: dict[Position, e.Recorded] = {}
        self._newest = Position(0)

    def see(self, position: Position) -> None:
        """Learn that the ledger reaches up to here at least."""
        self._newest = max(self._newest, position)

    def add(self, prepared: Prepared, answer: Answer | Exception) -> None:
        """Note what was appended just now; what it looks like is seen to when somebody asks for it."""
        if not isinstance(answer, Appended):
            return
        self.see(answer.last)
        if len(self._answered) > MOST:
            self._answered.clear()
        self._answered.append((prepared, answer))

    def after(self, position: Position, limit: int) -> list[e.Recorded]:
        """Return the next events if all up to the newest are known, and forget all but the last of them."""
        if self._newest <= position + 1:
            return []
        events = self._remembered()
        if self._newest not in events:
            return []
        last = min(self._newest, position + limit)
        known = [events[at] for at in map(Position, range(position + 1, last + 1)) if at in events]
        if len(known) < last - position:
            return []
        for each in known[:-1]:
            del events[each.position]
        return known

    def forget(self) -> None:
        """Begin anew: the ledger is not the one that was appended to."""
        self._answered.clear()
        self._events.clear()
        self._newest = Position(0)

    def _remembered(self) -> dict[Position, e.Recorded]:
        """Return what was appended, if it is of runs and its versions are known."""
        answered, self._answered = self._answered, []
        for prepared, answer in answered:
            if len(self._events) > MOST:
                self._events.clear()
            if _is_of_runs(prepared.item):
                self._events.update((each.position, each) for each in self._recorded(prepared, answer))
        return self._events

    def _recorded(self, prepared: Prepared, answer: Appended) -> Iterator[e.Recorded]:
        position = answer.first
        for write, sealed in zip(prepared.item.writes, prepared.sealed, strict=True):
            for version, one in enumerate(sealed, (write.expected or 0) + 1):
                event, body = one.event, one.event.body
                actor = actor_kept(event.actor)
                yield e.Recorded(
                    position, one.id.hex(), write.stream, version, body.type, body.schema,
                    body.must_understand, answer.recorded_at, self._instance, prepared.item.fence,
                    actor, event.job, event.run_id, event.attempt, event.fire_at, event.cause, body,
                )  # fmt: skip
                position = Position(position + 1)


def _is_of_runs(item: Item) -> bool:
    return item.takeover is None and all(
        write.expected is not None and event.run_id is not None
        for write in item.writes
        for event in write.events
    )
