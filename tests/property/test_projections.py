"""A view is the fold of the events, however it was arrived at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cronledger.ledger.database import Store
from cronledger.projections.fold import PROJECTIONS, catch_up, check, rebuild
from cronledger.projections.projection import fold, fold_ledger
from cronledger.projections.rows import Key
from tests.unit.projections.streams import Engine, everything, memory_store, moves, nonsense, told


def played(said: list[tuple[str, Any]]) -> Callable[[Store], None]:
    def play(store: Store) -> None:
        engine = Engine(store.ledger)
        for verb, run_id in said:
            engine.move(verb, run_id)

    return play


def babbled(said: list[Any]) -> Callable[[Store], None]:
    return lambda store: told(store.ledger, said)


histories = moves.map(played) | nonsense.map(babbled)


def in_tables(store: Store) -> dict[str, dict[Key, Any]]:
    with store.reading() as connection:
        found = {each.name: each.rows.read(connection, each.rows.select()) for each in PROJECTIONS}
    return {each.name: {each.rows.key_of(row): row for row in found[each.name]} for each in PROJECTIONS}


@given(histories, st.lists(st.integers(1, 7), max_size=20))
def test_a_table_holds_what_a_dict_would(history: Callable[[Store], None], sizes: list[int]) -> None:
    with memory_store() as store:
        history(store)
        for size in sizes:
            catch_up(store, limit=size)
        catch_up(store)

        assert fold_ledger(store.ledger, PROJECTIONS)[0] == in_tables(store)
        assert [] == check(store)


@given(histories, st.data())
def test_folding_in_two_goes_is_folding_in_one(history: Callable[[Store], None], data: st.DataObject) -> None:
    with memory_store() as store:
        history(store)
        events = everything(store.ledger)
    middle = data.draw(st.integers(0, len(events)))
    for projection in PROJECTIONS:
        once: dict[Key, Any] = {}
        twice: dict[Key, Any] = {}
        fold(projection, once, events)
        fold(projection, twice, events[:middle])
        fold(projection, twice, events[middle:])

        assert once == twice


@given(histories)
def test_a_rebuilt_view_is_the_same(history: Callable[[Store], None]) -> None:
    with memory_store() as store:
        history(store)
        catch_up(store)
        before = in_tables(store)
        rebuild(store)

        assert before == in_tables(store)


@given(histories)
def test_a_state_comes_out_of_its_row_as_it_went_in(history: Callable[[Store], None]) -> None:
    with memory_store() as store:
        history(store)
        folded, _ = fold_ledger(store.ledger, PROJECTIONS)
    for projection in PROJECTIONS:
        for key, state in folded[projection.name].items():
            assert state == projection.rows.load(projection.rows.dump(state))
            assert key == projection.rows.key_of(state)
