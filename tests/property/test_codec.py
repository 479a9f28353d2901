"""Whatever is sealed is read back as it was, on every database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import BODIES, Body, Event, StepSucceeded
from cronledger.entropy import SeededEntropy
from cronledger.ledger import codec
from cronledger.ledger.normal import BODY_BYTES, DEPTH, bounded, cleaned, normalised, truncated
from tests.events import PLANNER
from tests.property.test_calendars import CALENDARS

LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
INSTANTS = st.datetimes(timezones=st.just(UTC))
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | LETTERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=12,
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes()
    | st.uuids() | st.decimals() | st.timedeltas() | st.complex_numbers() | st.builds(object),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text() | st.integers() | st.floats() | st.none() | st.booleans(), inner, max_size=4)
    | st.tuples(inner, inner),
    max_leaves=12,
)  # fmt: skip
DEFINITIONS = st.builds(
    JobDefinition,
    name=st.just("tidy"),
    description=LETTERS,
    schedule=LETTERS,
    parameters=st.dictionaries(LETTERS, JSON, max_size=3),
    tags=st.lists(LETTERS, max_size=3).map(tuple),
    max_concurrent=st.none() | st.integers(1, 9),
    timeout_seconds=st.none() | st.floats(0, 1e6),
    queue_limit=st.none() | st.integers(1, 9),
    calendar=st.none() | CALENDARS,
)
NAMES = st.lists(LETTERS, max_size=3).map(tuple)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "definition": st.none() | DEFINITIONS,
    "parameters": st.dictionaries(LETTERS, JSON, max_size=4),
    "result": JSON,
    **dict.fromkeys(("registered", "redefined", "retired", "problems", "runs", "stack"), NAMES),
    "zones": st.dictionaries(
        LETTERS, st.lists(st.tuples(INTEGERS, INTEGERS), max_size=3).map(tuple), max_size=3
    ),
}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": LETTERS,
    "int": INTEGERS,
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "datetime": INSTANTS,
}


def bodies(shape: type[Body]) -> st.SearchStrategy[Body]:
    fields = {field.name: of_field(field) for field in msgspec.structs.fields(shape)}
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: shape(**values))


def of_field(field: msgspec.structs.FieldInfo) -> st.SearchStrategy[Any]:
    if field.name in FIELDS:
        return FIELDS[field.name]
    options = getattr(field.type, "__args__", (field.type,))
    return st.one_of(*[st.none() if option is type(None) else of_type(option) for option in options])


def of_type(option: Any) -> st.SearchStrategy[Any]:
    while hasattr(option, "__supertype__"):
        option = option.__supertype__
    return BY_TYPE[option.__name__]


@pytest.mark.parametrize("shape", BODIES.values(), ids=BODIES)
def test_every_body_is_read_back_as_it_was(shape: type[Body]) -> None:
    @given(bodies(shape))
    def holds(body: Body) -> None:
        sealed = codec.seal(Event(body=body, actor=PLANNER), SeededEntropy(), bytes(6))

        assert body == codec.decode(body.type, body.schema, sealed.body)
        assert sealed.body == codec.encode(msgspec.json.decode(sealed.body)).decode()

    holds()


@given(ANYTHING)
def test_what_a_job_returns_is_kept_or_noted_and_stays_as_it_is(value: object) -> None:
    plain = normalised(value)
    text = codec.encode(plain).decode()

    assert plain == msgspec.json.decode(text)
    assert plain == normalised(plain)
    assert r"\u0000" not in text.replace(r"\\", "")


@given(JSON)
def test_a_json_value_is_kept_as_it_is(value: object) -> None:
    assert value == normalised(value)


@given(ANYTHING, st.text(), st.integers())
def test_a_bounded_body_stays_as_it_is(value: object, message: str, count: int) -> None:
    body = bounded(StepSucceeded(result=value, message=message, items_processed=count))

    assert body == bounded(body)
    assert len(codec.encode(body)) <= BODY_BYTES


@given(st.text())
def test_cleaned_text_fits_every_database(text: str) -> None:
    clean = cleaned(text)

    assert "\0" not in clean
    assert clean == clean.encode().decode()


@given(st.text(st.characters(), max_size=300), st.integers(60, 200))
def test_truncated_text_fits(text: str, limit: int) -> None:
    short = truncated(text, limit)
    whole = cleaned(text)

    assert "\0" not in short
    assert len(short.encode()) <= limit
    assert (short == whole) == (len(whole.encode()) <= limit)


@given(st.integers(1, 200), st.sampled_from([lambda x: [x], lambda x: {"k": x}, lambda x: (x,)]))
def test_nothing_is_nested_more_deeply_than_the_limit(levels: int, wrap: Callable[[object], object]) -> None:
    value: object = 1
    for _ in range(levels):
        value = wrap(value)

    assert min(levels, DEPTH) == depth(normalised(value))


def depth(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case _:
            return 0
