"""Which steps of a pipeline may begin."""

from __future__ import annotations

import pytest

from cronledger.domain.pipeline_order import Needs, Standing, check_order, next_moves
from cronledger.errors import UsageError

WAITING, RUNNING, SUCCEEDED = Standing.WAITING, Standing.RUNNING, Standing.SUCCEEDED
FAILED, SKIPPED = Standing.FAILED, Standing.SKIPPED
DIAMOND = [Needs("a"), Needs("b", ("a",)), Needs("c", ("a",)), Needs("d", ("b", "c"))]


def standing(*each: Standing) -> dict[str, Standing]:
    return dict(zip("abcd", each, strict=True))


def begun(*each: Standing, limit: int = 10) -> list[str]:
    return next_moves(DIAMOND, standing(*each), limit=limit).begin


def skipped(*each: Standing) -> list[tuple[str, str]]:
    return next_moves(DIAMOND, standing(*each), limit=10).skip


def test_a_step_begins_when_all_that_it_needs_has_succeeded() -> None:
    assert ["a"] == begun(WAITING, WAITING, WAITING, WAITING)
    assert [] == begun(RUNNING, WAITING, WAITING, WAITING)
    assert ["b", "c"] == begun(SUCCEEDED, WAITING, WAITING, WAITING)
    assert [] == begun(SUCCEEDED, SUCCEEDED, RUNNING, WAITING)
    assert ["d"] == begun(SUCCEEDED, SUCCEEDED, SUCCEEDED, WAITING)


def test_no_more_begin_than_the_limit_leaves_room_for() -> None:
    assert ["b"] == begun(SUCCEEDED, WAITING, WAITING, WAITING, limit=1)
    assert ["c"] == begun(SUCCEEDED, RUNNING, WAITING, WAITING, limit=2)
    assert [] == begun(SUCCEEDED, RUNNING, WAITING, WAITING, limit=1)
    assert [] == begun(SUCCEEDED, RUNNING, RUNNING, WAITING, limit=1)


def test_what_needs_a_failed_or_skipped_step_is_skipped_with_the_reason() -> None:
    assert [("d", "needs 'b', which failed")] == skipped(SUCCEEDED, FAILED, RUNNING, WAITING)
    assert [
        ("b", "needs 'a', which failed"),
        ("c", "needs 'a', which failed"),
        ("d", "needs 'b', which was skipped"),
    ] == skipped(FAILED, WAITING, WAITING, WAITING)
    assert [] == skipped(FAILED, SKIPPED, SKIPPED, SKIPPED)


def test_a_step_may_need_a_later_one() -> None:
    order = [Needs("last", ("first",)), Needs("first")]
    both = {"last": WAITING, "first": WAITING}

    assert ["first"] == next_moves(order, both, limit=2).begin
    assert [("last", "needs 'first', which failed")] == next_moves(
        order, both | {"first": FAILED}, limit=2
    ).skip


def refusal(*order: Needs) -> UsageError:
    with pytest.raises(UsageError) as caught:
        check_order(order)
    return caught.value


def test_a_circle_is_refused_with_its_chain() -> None:
    itself = refusal(Needs("a", ("a",)))
    two = refusal(Needs("x", ("a",)), Needs("a", ("b",)), Needs("b", ("a",)), Needs("y", ("x",)))
    three = refusal(Needs("a", ("c",)), Needs("b", ("a",)), Needs("c", ("free", "b")), Needs("free"))

    assert "steps of the pipeline need each other in a circle: a -> a" == itself.message
    assert "steps of the pipeline need each other in a circle: a -> b -> a" == two.message
    assert "steps of the pipeline need each other in a circle: a -> c -> b -> a" == three.message
    assert "take one of these needs away, or make one step of them" == itself.hint


def test_a_need_that_is_no_step_is_refused_with_what_was_meant() -> None:
    near = refusal(Needs("fetch"), Needs("store", ("fech",)))
    far = refusal(Needs("fetch"), Needs("store", ("zzz",)))

    assert "step 'store' needs 'fech', which is no step of the pipeline" == near.message
    assert "did you mean 'fetch'?" == near.hint
    assert "its steps are fetch, store" == far.hint


def test_a_name_that_is_used_twice_is_refused() -> None:
    assert "two steps of the pipeline are called 'a'" == refusal(Needs("a"), Needs("a")).message


def test_steps_that_can_all_be_done_are_accepted() -> None:
    check_order([])
    check_order(DIAMOND)
    check_order([Needs(str(number), (str(number + 1),)) for number in range(999)] + [Needs("999")])
