"""A table whose columns are the fields of a struct, derived from its annotations once.

Instants are microseconds since 1970, enums and texts are text, booleans are 0 and 1; whatever is made of
parts (a struct, a tuple, a dict) is JSON text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from inspect import signature
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
from msgspec import inspect
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    select,
)
from sqlalchemy.types import TypeEngine

from cronledger.errors import LedgerDamaged
from cronledger.ledger.bulk import Bulk, Kind, bulk_of, fetched
from cronledger.ledger.instants import from_micros, to_micros
from cronledger.ledger.schema import BIG, KEY

T = TypeVar("T", bound=msgspec.Struct)
Key = tuple[Any, ...]
Convert = Callable[[Any], Any]

PAGE = 1000
_to_json = msgspec.json.Encoder(order="sorted").encode


class Rows(Generic[T]):
    """A table of one struct: what it looks like, and how its rows are read and written."""

    def __init__(self, struct: type[T], name: str, metadata: MetaData, *, key: tuple[str, ...]) -> None:
        fields = [_Field(field, hint) for field, hint in _fields(struct)]
        self.key = key
        self.names = tuple(field.name for field in fields)
        self.table = Table(
            name,
            metadata,
            *(Column(field.name, field.type, nullable=field.nullable) for field in fields),
            PrimaryKeyConstraint(*key),
            sqlite_strict=True,
        )
        self._made = _maker(struct, self.names)
        self._key = attrgetter(*key)
        self._dumps = [(at, field.dump) for at, field in enumerate(fields) if field.dump]
        self._kinds = {field.name: field.kind for field in fields}
        self._bulks: dict[str, Bulk] = {}
        self._loads = [(at, field.load) for at, field in enumerate(fields) if field.load]

    def key_of(self, state: T) -> Key:
        """Return the key under which a state is kept."""
        return (self._key(state),) if len(self.key) == 1 else self._key(state)

    def dump(self, state: T) -> tuple[Any, ...]:
        """Return the columns of a state, in order."""
        values = list(msgspec.structs.astuple(state))
        for at, convert in self._dumps:
            value = values[at]
            if value is not None:
                values[at] = convert(value)
        return tuple(values)

    def load(self, row: Sequence[Any]) -> T:
        """Return the state that a row stands for; raises LedgerDamaged if it stands for none."""
        values = list(row)
        try:
            for at, convert in self._loads:
                value = values[at]
                if value is not None:
                    values[at] = convert(value)
        except (KeyError, ValueError, LedgerDamaged) as error:
            raise LedgerDamaged(
                f"a row of the view {self.table.name} cannot be read: its {self.names[at]} is {value!r}",
                hint="run `cronledger projections rebuild`",
            ) from error
        return self._made(*values)

    def read(self, connection: Connection, statement: Select[Any]) -> list[T]:
        """Return the states that a SELECT of this table's columns finds."""
        return [self.load(row) for row in fetched(connection.execute(statement))]

    def each(self, connection: Connection, statement: Select[Any]) -> Iterator[T]:
        """Yield the states that a SELECT finds, however many, with a page of rows in memory at a time."""
        paged = statement.execution_options(yield_per=PAGE)
        return (self.load(tuple(row)) for row in connection.execute(paged))

    def select(self) -> Select[Any]:
        """Begin a SELECT of all columns."""
        return select(self.table)

    def find(self, connection: Connection, keys: Collection[Key]) -> dict[Key, T]:
        """Return the states that are kept under some of the keys, by one SELECT."""
        found = self._bulk(connection).find(connection, keys) if keys else ()
        return {self.key_of(state): state for state in map(self.load, found)}

    def put(self, connection: Connection, states: Iterable[T]) -> None:
        """Insert the states, or replace those kept under their keys."""
        self.put_rows(connection, [self.dump(state) for state in states])

    def put_rows(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Do the same with states that have been dumped already."""
        self._bulk(connection).put(connection, rows, replace=True)

    def fill_rows(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert states that have been dumped already, and whose keys are certainly not taken."""
        self._bulk(connection).fill(connection, rows)

    def add(self, connection: Connection, states: Iterable[T]) -> None:
        """Insert the states whose keys are not taken."""
        self._bulk(connection).put(connection, [self.dump(state) for state in states], replace=False)

    def _bulk(self, connection: Connection) -> Bulk:
        dialect = connection.dialect.name
        if dialect not in self._bulks:
            self._bulks[dialect] = bulk_of(dialect, self.table.name, columns=self._kinds, key=self.key)
        return self._bulks[dialect]


class _Field:
    """One column: its type, and how a value gets in and out."""

    def __init__(self, field: inspect.Field, hint: Any) -> None:
        self.name = field.name
        kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        bare = [kind for kind in kinds if not isinstance(kind, inspect.NoneType)]
        self.nullable = len(bare) < len(kinds) or isinstance(field.type, inspect.AnyType)
        self.type: TypeEngine[Any]
        self.dump: Convert | None
        self.load: Convert | None
        self.type, self.dump, self.load = _conversion(bare[0] if len(bare) == 1 else None, hint)
        self.kind: Kind = "text" if isinstance(self.type, Text) else "int8"


def _conversion(
    kind: inspect.Type | None, hint: Any
) -> tuple[TypeEngine[Any], Convert | None, Convert | None]:
    match kind:
        case inspect.StrType():
            return KEY, None, None
        case inspect.IntType():
            return BIG, None, None
        case inspect.BoolType():
            return Integer(), int, bool
        case inspect.DateTimeType():
            return BIG, to_micros, from_micros
        case inspect.EnumType(cls=enum):
            return KEY, str, {each.value: each for each in enum}.__getitem__
        case _:
            return Text(), _to_text, msgspec.json.Decoder(hint).decode


def _fields(struct: type[msgspec.Struct]) -> list[tuple[inspect.Field, Any]]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    hints = get_type_hints(struct)
    return [(field, hints[field.name]) for field in described.fields]


def _maker(struct: type[T], names: tuple[str, ...]) -> Callable[..., T]:
    """Return what makes a struct of the values of its fields, in order: by position is six times faster."""
    try:
        signature(struct).bind(*names)
    except TypeError:
        return lambda *values: struct(**dict(zip(names, values, strict=True)))
    return struct


def _to_text(value: Any) -> str:
    return _to_json(value).decode()
