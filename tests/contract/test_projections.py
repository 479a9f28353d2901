"""The views on every database: folded once, rebuilt alike, and never folded past what must be understood."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, delete, make_url, text, update

from cronledger.domain import events as e
from cronledger.domain.ids import Position, RunId
from cronledger.domain.run import Outcome
from cronledger.errors import LedgerUnreachable, NotUnderstood
from cronledger.ledger.database import Store
from cronledger.projections import (
    fold,
    job_status,
    leadership,
    replay,
    run_history,
    step_history,
    unrecognized,
)
from cronledger.projections.outdated import ViewNewer
from cronledger.projections.tables import CHECKPOINT, JOB_STATUS, METADATA, RUN_HISTORY, Checkpoint
from tests.unit.projections.streams import (
    JOBS,
    START,
    about,
    define,
    elect,
    opened,
    perform,
    resign,
    say,
    trigger,
)

TIDY, SWEEP = JOBS
HOURLY = "0 0 * * * *"


@pytest.fixture
def store(ledger_url: str) -> Iterator[Store]:
    store = opened(ledger_url)
    yield store
    store.close()


class Dreamed(e.Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.dreamed"


class Demanded(e.Body, frozen=True, kw_only=True):
    type: ClassVar[str] = "job.demanded"
    must_understand: ClassVar[bool] = True


class Rival:
    """A store on which somebody else catches up between our reading and our `of`-th writing."""

    def __init__(self, store: Store, *, of: int = 1) -> None:
        self._store = store
        self.ledger = store.ledger
        self.reading = store.reading
        self._left = of

    @contextmanager
    def writing(self, *, relaxed: bool = False) -> Iterator[Connection]:
        self._left -= 1
        if self._left == 0:
            fold.catch_up(self._store, limit=2)
        with self._store.writing(relaxed=relaxed) as connection:
            yield connection


class Killed(BaseException):
    """The process has ended here."""


class KilledInstead:
    """A store on which a process dies instead of writing the `of`-th time."""

    def __init__(self, store: Store, *, of: int) -> None:
        self._store = store
        self.ledger = store.ledger
        self.reading = store.reading
        self._left = of

    def writing(self, *, relaxed: bool = False) -> Any:
        self._left -= 1
        if self._left == 0:
            raise Killed
        return self._store.writing(relaxed=relaxed)


class ReadOnly:
    """A store that this user may not write."""

    def __init__(self, store: Store) -> None:
        self.ledger = store.ledger
        self.reading = store.reading

    def writing(self, *, relaxed: bool = False) -> Any:
        raise LedgerUnreachable("the ledger may not be written by this user")


def put_checkpoints(store: Store, position: int, *names: str) -> None:
    marks = [
        Checkpoint(projection=each.name, position=Position(position), version=each.version)
        for each in fold.PROJECTIONS
        if each.name in names
    ]
    with store.writing() as connection:
        CHECKPOINT.put(connection, marks)


def status(store: Store, name: str = TIDY) -> dict[str, Any]:
    with replay.current(store) as views, views.reading() as connection:
        states = job_status.all_jobs(connection)
        document = job_status.document(states.values(), position=views.position, now=None)
    return next(entry for entry in document["jobs"] if entry["name"] == name)


def everybody(store: Store) -> list[RunId]:
    with store.reading() as connection:
        return [each.run_id for each in run_history.newest(connection, limit=100)]


def a_day(store: Store) -> list[RunId]:
    """Record two jobs, a term, and runs of every kind; return the runs of the first job, oldest first."""
    ledger = store.ledger
    define(ledger, TIDY, schedule=HOURLY)
    define(ledger, SWEEP, schedule=HOURLY)
    elect(ledger)
    first = perform(ledger, 1, e.RunSucceeded(message="ok", items_processed=3, items_failed=0, duration_ms=9))
    second = perform(ledger, 2, e.RunFailed(error="boom", duration_ms=4))
    perform(ledger, 2, e.RunLost(error="silent"), name=SWEEP)
    skipped = e.FireTimesSkipped(first_at=START, last_at=START, count=1, reason="overlap")
    say(ledger, skipped, stream="job-tidy", job=TIDY)
    third = trigger(ledger, 3)
    fourth = trigger(ledger, 4, cause=e.Cause.BACKFILL)
    about(ledger, fourth, e.RunStarted(), e.StepStarted(name="build"))
    return [first, second, third, fourth]


# --- catching up ----------------------------------------------------------------------------------------


def test_catching_up_reaches_the_head(store: Store) -> None:
    a_day(store)
    position = fold.catch_up(store)

    assert store.ledger.head().position == position
    assert {0} == set(fold.lag(store).values())
    assert [] == fold.check(store)


def test_a_view_that_has_not_begun_lags_by_the_whole_ledger(store: Store) -> None:
    define(store.ledger)

    assert {each.name: 1 for each in fold.PROJECTIONS} == fold.lag(store)


def test_nothing_new_moves_nothing(store: Store) -> None:
    before = fold.catch_up(store)
    a_day(store)
    after = fold.catch_up(store)

    assert 0 == before
    assert after == fold.catch_up(store)


def test_a_limit_stops_half_way_and_the_rest_follows(store: Store) -> None:
    a_day(store)
    half_way = fold.catch_up(store, limit=5)
    differences = fold.check(store)

    assert 5 == half_way
    assert [] == differences
    assert 5 == fold.catch_up(store, limit=0)
    assert store.ledger.head().position == fold.catch_up(store)
    assert [] == fold.check(store)


def test_a_projector_that_was_overtaken_applies_nothing_twice(store: Store) -> None:
    a_day(store)
    position = fold.catch_up(Rival(store))

    assert store.ledger.head().position == position
    assert [] == fold.check(store)


def test_many_projectors_at_once_apply_every_event_once(store: Store, ledger_url: str) -> None:
    stores = [store, *(opened(ledger_url) for _ in range(3))]
    for hour in range(40):
        perform(store.ledger, hour, e.RunSucceeded())
    with ThreadPoolExecutor(len(stores)) as threads:
        for _ in range(20):
            list(threads.map(lambda each: fold.catch_up(each, limit=7), stores))
    fold.catch_up(store)
    differences = fold.check(store)
    for other in stores[1:]:
        other.close()

    assert [] == differences
    assert 40 == status(store)["succeeded"]


def test_a_view_of_older_rules_is_folded_again_from_the_start(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.writing() as connection:
        connection.execute(update(RUN_HISTORY.table).values(message="as the old rules had it"))
        connection.execute(
            update(CHECKPOINT.table).where(CHECKPOINT.table.c.projection == "run_history").values(version=0)
        )
    left_out = fold.left_out(store)
    trigger(store.ledger, 9)
    fold.catch_up(store)

    assert ["run_history"] == left_out
    assert ([], []) == (fold.check(store), fold.left_out(store))


def test_a_view_of_newer_rules_is_left_alone_until_somebody_rebuilds_it(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.writing() as connection:
        connection.execute(
            update(CHECKPOINT.table).where(CHECKPOINT.table.c.projection == "job_status").values(version=99)
        )
    with pytest.raises(ViewNewer, match="job_status") as caught:
        fold.catch_up(store)
    for ask in (fold.check, fold.left_out):
        with pytest.raises(ViewNewer, match="job_status"):
            ask(store)
    entry = status(store)
    fold.rebuild(store)

    assert (99, job_status.PROJECTION.version) == (caught.value.found, caught.value.own)
    assert 1 == entry["succeeded"]
    assert store.ledger.head().position == fold.catch_up(store)


@pytest.mark.parametrize("position", [9999, -5])
@pytest.mark.parametrize("names", [("job_status",), tuple(each.name for each in fold.PROJECTIONS)], ids=len)
def test_a_view_that_stands_where_the_ledger_has_no_event_is_folded_afresh(
    store: Store, caplog: pytest.LogCaptureFixture, names: tuple[str, ...], position: int
) -> None:
    """Nothing was folded any more, nobody said so, and `jobs run` waited for ever."""
    a_day(store)
    fold.catch_up(store)
    put_checkpoints(store, position, *names)
    behind = {name for name, lag in fold.lag(store).items() if lag == store.ledger.head().position}
    found = [each for each in fold.check(store) if each.field == "checkpoint"]
    trigger(store.ledger, 9)
    head = store.ledger.head().position
    with caplog.at_level(logging.WARNING, "cronledger.views"):
        reached = fold.catch_up(store)

    assert head == reached
    assert set(names) == behind == {each.projection for each in found}
    assert {position} == {each.row for each in found}
    assert [] == fold.check(store)
    assert 1 == len(caplog.messages)
    assert f"job_status at {position}" in caplog.text


def test_views_of_a_ledger_that_was_emptied_are_emptied_too(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(text("INSERT INTO unrecognized VALUES ('job.invented', 1, 1, 1)"))
    put_checkpoints(store, 9999, *(each.name for each in fold.PROJECTIONS))
    fold.catch_up(store)
    with store.reading() as connection:
        left, standing = unrecognized.seen(connection), fold.standing(connection)

    assert ([], 0) == (left, standing)


def test_views_that_are_moved_while_they_are_looked_at_are_left_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    a_day(store)
    fold.catch_up(store)
    put_checkpoints(store, 9999, "job_status")
    with caplog.at_level(logging.WARNING, "cronledger.views"):
        reached = fold.catch_up(Rival(store))

    assert store.ledger.head().position == reached
    assert 1 == len(caplog.messages)
    assert [] == fold.check(store)


def test_an_event_of_an_unknown_type_is_folded_past_and_counted(store: Store) -> None:
    define(store.ledger)
    say(store.ledger, Dreamed(), stream="job-tidy", job=TIDY)
    say(store.ledger, Dreamed(), stream="job-tidy", job=TIDY)
    fold.catch_up(store)
    with store.reading() as connection:
        (seen,) = unrecognized.seen(connection)

    assert ("job.dreamed", 2, 2, 3) == (seen.type, seen.events, seen.first_position, seen.last_position)


def test_the_fold_stops_before_what_must_be_understood_and_is_not(store: Store) -> None:
    define(store.ledger)
    say(store.ledger, Demanded(), stream="job-tidy", job=TIDY)
    define(store.ledger, SWEEP)
    with pytest.raises(NotUnderstood, match=r"job\.demanded"):
        fold.catch_up(store)
    with store.reading() as connection:
        marks = fold.checkpoints(connection)

    assert {1} == {mark.position for mark in marks.values()}


# --- rebuilding and checking ----------------------------------------------------------------------------


def test_dropped_tables_are_made_and_filled_again(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.writing() as connection:
        METADATA.drop_all(connection)
    position = fold.rebuild(store)

    assert store.ledger.head().position == position
    assert [] == fold.check(store)
    assert 1 == status(store)["succeeded"]


def test_a_rebuild_leaves_nothing_that_no_event_says(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.writing() as connection:
        connection.execute(text("INSERT INTO unrecognized VALUES ('job.invented', 1, 1, 1)"))
    fold.rebuild(store)

    assert [] == fold.check(store)


def test_a_rebuild_of_an_empty_ledger_leaves_nothing_either(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(text("INSERT INTO unrecognized VALUES ('job.invented', 1, 1, 1)"))
    position = fold.rebuild(store)
    with store.reading() as connection:
        left = unrecognized.seen(connection)

    assert 0 == position
    assert [] == left


def test_a_rebuild_that_was_killed_is_taken_up_by_whoever_catches_up(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.writing() as connection:
        connection.execute(update(RUN_HISTORY.table).values(message="what the rebuild was to remove"))
    with pytest.raises(Killed):
        fold.rebuild(KilledInstead(store, of=2))  # type: ignore[arg-type]  # it has all that is asked of it
    kept = len(everybody(store))
    position = fold.catch_up(store)

    assert 5 == kept
    assert store.ledger.head().position == position
    assert [] == fold.check(store)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_a_rebuild_that_is_overtaken_begins_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(fold, "PAGE", 2)
    monkeypatch.setattr(fold, "PAGES_FROM_START", 2)
    a_day(store)
    position = fold.rebuild(Rival(store, of=1 + part))  # type: ignore[arg-type]  # it has all that is asked of it

    assert store.ledger.head().position == position
    assert [] == fold.check(store)


def test_a_rebuild_in_many_parts_gives_the_same_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are new are written in another way than those that stand since an earlier part."""
    monkeypatch.setattr(fold, "PAGE", 2)
    monkeypatch.setattr(fold, "PAGES_FROM_START", 2)
    a_day(store)
    run_id = trigger(store.ledger, 5)
    for attempt in range(1, 4):
        about(store.ledger, run_id, e.RunStarted(), e.StepStarted(name="load"), attempt=attempt)
        about(store.ledger, run_id, e.StepFailed(name="load"), e.AttemptFailed(error="boom"), attempt=attempt)
    position = fold.rebuild(store)

    assert store.ledger.head().position == position
    assert [] == fold.check(store)
    assert position == fold.rebuild(store)
    assert [] == fold.check(store)


def test_a_rebuild_keeps_every_text_as_it_is(store: Store) -> None:
    for hour, said in enumerate(
        ["", "\\N", "\\.", "a\tb\nc\rd\\e", "\"{'},", "\x01\x1f", "grün … \U0001f331"]
    ):
        perform(store.ledger, hour, e.RunFailed(message=said, error=said))
    fold.rebuild(store)

    assert [] == fold.check(store)


def test_an_edited_a_missing_and_an_invented_row_are_found(store: Store) -> None:
    first, second, *_ = a_day(store)
    fold.catch_up(store)
    runs = RUN_HISTORY.table
    with store.writing() as connection:
        connection.execute(update(runs).where(runs.c.run_id == first).values(outcome="failed"))
        connection.execute(delete(runs).where(runs.c.run_id == second))
        connection.execute(text("INSERT INTO unrecognized VALUES ('job.invented', 1, 1, 1)"))
    found = {(each.projection, *each.key, each.field, each.row, each.fold) for each in fold.check(store)}

    assert {
        ("run_history", first, "outcome", "failed", "succeeded"),
        ("run_history", second, "run_id", None, second),
        ("unrecognized", "job.invented", "type", "job.invented", None),
    } == found


# --- questions ------------------------------------------------------------------------------------------


def test_a_job_is_shown_with_what_became_of_its_runs(store: Store) -> None:
    a_day(store)

    assert {
        "name": "tidy",
        "enabled": True,
        "paused": False,
        "triggered": 4,
        "running": 1,
        "succeeded": 1,
        "partial": 0,
        "failed": 1,
        "timed_out": 0,
        "cancelled": 0,
        "lost": 0,
        "skipped": 1,
        "last_fire_at": "2026-01-01T03:00:00Z",
        "last_outcome": "failed",
    } == status(store)


def test_one_job_is_found_by_its_name(store: Store) -> None:
    a_day(store)
    fold.catch_up(store)
    with store.reading() as connection:
        sweep = job_status.one(connection, SWEEP)
        everyone = job_status.all_jobs(connection)

        assert sweep == everyone[SWEEP]
        assert job_status.one(connection, TIDY) == everyone[TIDY]
        assert ["sweep", "tidy"] == list(everyone)


def test_history_is_newest_first_and_filtered_before_it_is_cut(store: Store) -> None:
    first, second, third, fourth = a_day(store)
    fold.catch_up(store)
    with store.reading() as connection:

        def asked(**question: Any) -> tuple[list[RunId], int]:
            runs, total = run_history.history(connection, **question)
            return [run.run_id for run in runs], total

        triggered_at = {run.run_id: run.triggered_at for run in run_history.history(connection, limit=100)[0]}

        assert ([fourth, third, second, first], 4) == asked(job=TIDY)
        assert ([fourth], 5) == asked(limit=1)
        assert ([second], 1) == asked(job=TIDY, outcome=Outcome.FAILED, limit=1)
        assert ([third], 1) == asked(outcome="waiting")
        assert ([fourth], 1) == asked(outcome="running")
        assert ([fourth], 1) == asked(cause=e.Cause.BACKFILL)
        assert ([fourth, third], 2) == asked(job=TIDY, since=triggered_at[third])
        assert ([second, first], 2) == asked(job=TIDY, until=triggered_at[third])
        assert ([], 0) == asked(outcome="timed_out")


def test_unfinished_runs_are_those_that_wait_or_run(store: Store) -> None:
    *_, third, fourth = a_day(store)
    fold.catch_up(store)
    with store.reading() as connection:
        found = [run.run_id for run in run_history.unfinished(connection)]

    assert [third, fourth] == found


def test_a_run_is_shown_as_its_events_tell_it(store: Store) -> None:
    first, *_ = a_day(store)
    fold.catch_up(store)
    with store.reading() as connection:
        run = run_history.one(connection, first)
        nobody = run_history.one(connection, RunId("tidy@nowhen"))
    assert run is not None
    shown = run_history.document(run)

    assert nobody is None
    assert [
        "run_id", "job", "cause", "fire_at", "triggered_at", "started_at", "ended_at", "outcome", "attempt",
        "instance", "message", "error", "items_processed", "items_failed", "duration_ms",
    ] == list(shown)  # fmt: skip
    assert ("2026-01-01T01:00:00Z", "succeeded", 1, 3, 9) == (
        shown["fire_at"],
        shown["outcome"],
        shown["attempt"],
        shown["items_processed"],
        shown["duration_ms"],
    )
    assert shown["triggered_at"] < shown["started_at"] < shown["ended_at"]


def test_steps_stand_in_the_order_of_their_beginnings_try_by_try(store: Store) -> None:
    run_id = trigger(store.ledger)
    about(store.ledger, run_id, e.RunStarted(), e.StepStarted(name="load"), e.StepStarted(name="build"))
    about(
        store.ledger,
        run_id,
        e.StepSucceeded(name="load", duration_ms=5, items_processed=2, result={"a": [1]}),
    )
    about(store.ledger, run_id, e.StepFailed(name="build", error="boom"), e.AttemptFailed(error="boom"))
    about(store.ledger, run_id, e.RunStarted(), e.StepStarted(name="build"), attempt=2)
    fold.catch_up(store)
    with store.reading() as connection:
        steps = step_history.of_run(connection, run_id)
    load = step_history.document(steps[0])

    assert [("load", 1, "succeeded"), ("build", 1, "failed"), ("build", 2, "running")] == [
        (step.name, step.attempt, step.outcome) for step in steps
    ]
    assert {"a": [1]} == steps[0].result
    assert ("succeeded", 5, 2, None) == (
        load["outcome"],
        load["duration_ms"],
        load["items_processed"],
        load["error"],
    )


def test_a_step_whose_attempt_was_lost_is_not_shown_as_running(store: Store) -> None:
    run_id = trigger(store.ledger)
    about(store.ledger, run_id, e.RunStarted(), e.StepStarted(name="load"), e.RunLost(error="silent"))
    fold.catch_up(store)
    with store.reading() as connection:
        (step,) = step_history.of_run(connection, run_id)

    assert ("failed", step_history.ABANDONED) == (step.outcome, step.error)


def test_a_step_may_have_a_name_that_no_index_would_take(store: Store) -> None:
    run_id = trigger(store.ledger)
    name = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1300))
    about(store.ledger, run_id, e.RunStarted(), e.StepStarted(name=name), e.StepSucceeded(name=name))
    fold.catch_up(store)
    with store.reading() as connection:
        (step,) = step_history.of_run(connection, run_id)

    assert "succeeded" == step.outcome
    assert step.name.startswith(name[:100])


def test_a_term_ends_with_a_resignation_or_with_the_next_term(store: Store) -> None:
    resign(store.ledger, elect(store.ledger, "1.0"))
    elect(store.ledger, "1.0")
    elect(store.ledger, "1.1")
    fold.catch_up(store)
    with store.reading() as connection:
        terms = leadership.terms(connection, 10)
        builds = leadership.known_builds(connection)
        newest = leadership.terms(connection, 1)

    assert [(3, None), (2, "superseded"), (1, "resigned")] == [(term.term, term.ended_by) for term in terms]
    assert terms[0].elected_at == terms[1].ended_at
    assert terms[:1] == newest
    assert {"1.0", "1.1"} == builds


# --- as of an earlier moment ----------------------------------------------------------------------------


def test_the_views_of_an_earlier_position_answer_as_they_would_have_then(store: Store) -> None:
    a_day(store)
    then = fold.catch_up(store, limit=8)
    with store.reading() as connection:
        expected = job_status.all_jobs(connection), run_history.history(connection)
    fold.catch_up(store)
    with replay.views_at(store.ledger, then) as views, views.reading() as connection:
        actual = job_status.all_jobs(connection), run_history.history(connection)

    assert then == views.position
    assert expected == actual


def test_a_replay_to_the_head_is_the_status_without_what_comes_next(store: Store) -> None:
    a_day(store)
    position = fold.catch_up(store)
    with store.reading() as connection:
        states = job_status.all_jobs(connection).values()

    assert job_status.document(states, position=position, now=None) == replay.replay(store.ledger)
    assert {"position": 0, "jobs": []} == replay.replay(store.ledger, Position(0))


def test_a_reader_that_may_not_write_folds_in_memory(store: Store) -> None:
    a_day(store)
    with replay.current(ReadOnly(store)) as views, views.reading() as connection:  # type: ignore[arg-type]
        found = job_status.all_jobs(connection)

    assert store.ledger.head().position == views.position
    assert 4 == found[TIDY].triggered
    with store.reading() as connection:
        assert [] == JOB_STATUS.read(connection, JOB_STATUS.select())


def test_a_database_user_who_may_only_read_sees_the_head_all_the_same(postgres_url: str) -> None:
    parts = make_url(postgres_url)
    role = f"reader_of_{parts.database}"
    with closing(opened(postgres_url)) as store:
        a_day(store)
        with store.writing() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'reads'")
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        url = parts.set(username=role, password="reads").render_as_string(hide_password=False)
        with closing(opened(url)) as reader:
            entry = status(reader)
            with pytest.raises(LedgerUnreachable, match="permission denied"):
                fold.catch_up(reader)
        with store.writing() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")

    assert 1 == entry["succeeded"]


def test_what_comes_next_lies_ahead_even_if_nobody_has_planned_for_long(store: Store) -> None:
    define(store.ledger, TIDY, schedule=HOURLY)
    define(store.ledger, SWEEP, schedule="")
    fold.catch_up(store)
    now = store.ledger.head().recorded_at.replace(minute=30) + timedelta(days=40)
    with store.reading() as connection:
        states = job_status.all_jobs(connection)
    sweep, tidy = job_status.document(states.values(), position=Position(2), now=now)["jobs"]
    expected = (now + timedelta(minutes=30)).replace(second=0, microsecond=0)

    assert sweep["next_fire_at"] is None
    assert f"{expected:%Y-%m-%dT%H:%M:%SZ}" == tidy["next_fire_at"]
