"""The agenda: what is due comes in order, once, and what is not due is not looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronledger.domain.ids import JobName
from cronledger.engine.agenda import Agenda

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A, B, C = (JobName(name) for name in "abc")


def after(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


def agenda_of(*entries: tuple[JobName, int]) -> Agenda:
    agenda = Agenda()
    for name, seconds in entries:
        agenda.enter(name, after(seconds))
    return agenda


def test_jobs_come_in_the_order_of_their_instants_and_of_their_names() -> None:
    """However they were entered: a set of names has another order in each process."""
    agenda = agenda_of((C, 5), (B, 1), (A, 1))

    assert [A, B, C] == agenda.take(after(5), 9)
    assert None is agenda.next_instant()


def test_what_is_still_to_come_stays() -> None:
    agenda = agenda_of((A, 1), (B, 2), (C, 3))

    assert [A, B] == agenda.take(after(2), 9)
    assert after(3) == agenda.next_instant()
    assert [] == agenda.take(after(2), 9)


def test_a_job_that_was_entered_more_than_once_is_taken_once() -> None:
    """A job that is decided is entered again when the board has seen what was decided."""
    agenda = agenda_of((A, 1), (A, 1), (B, 1), (A, 1), (A, 2))

    assert [A, B] == agenda.take(after(2), 9)


def test_no_more_jobs_are_taken_at_once_than_asked_for_and_the_others_come_next() -> None:
    agenda = agenda_of((A, 1), (B, 1), (C, 2))

    assert [[A], [B], [C], []] == [agenda.take(after(2), 1) for _ in range(4)]


def test_who_looks_ahead_leaves_the_agenda_as_it_is() -> None:
    agenda = agenda_of((B, 1), (A, 1), (B, 1), (C, 2))

    assert [A, B] == agenda.at(after(1))
    assert [3, 1, 0] == [agenda.count(after(seconds)) for seconds in (1, 2, 3)]
    assert [A, B] == agenda.take(after(1), 9)
