"""Parameters in the files against those that the code of a job declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Generic, TypeVar

import msgspec
import pytest

from cronledger import Job, JobContext
from cronledger.config.load import load
from cronledger.config.resolve import Resolution, resolve
from cronledger.errors import ConfigError
from cronledger.jobs.registry import Registry
from cronledger.strict_yaml.problem import recordable

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    """Every run fails if it is given anything else."""

    room: str
    days: Annotated[int, msgspec.Meta(ge=1)] = 30
    rooms: list[str] = []
    is_dry: bool = False


class Lax(msgspec.Struct):
    """Whatever else a run is given is ignored."""

    days: int = 30


class Either(msgspec.Struct, Generic[T], forbid_unknown_fields=True):
    """Of a type that is said later."""

    value: T


class Inner(msgspec.Struct):
    """With a check of its own that goes wrong."""

    days: int

    def __post_init__(self) -> None:
        """Look for what is not there."""
        raise KeyError(self.days)


class Outer(msgspec.Struct):
    """With the other inside."""

    inner: Inner | None = None


class Unreadable(msgspec.Struct):
    """Its type is there for a type checker only."""

    part: Decimal | None = None


class Code(Job):
    """A job that declares its parameters, or not."""

    def __init__(
        self, name: str, params: object = None, *, schedule: str = "", at_start: bool = False
    ) -> None:
        self.name = name
        self.params = params  # type: ignore[assignment] # a generic struct is one, too
        self.schedule = schedule
        self.run_on_startup = at_start

    async def execute(self, ctx: JobContext) -> None:
        """Do nothing."""


JOBS = [
    Code("strict", Strict),
    Code("lax", Lax),
    Code("free"),
    Code("either", Either[int]),
    Code("outer", Outer),
    Code("unreadable", Unreadable),
    Code("nightly", Strict, schedule="0 0 3 * * *"),
    Code("early", Strict, at_start=True),
]


@pytest.fixture(autouse=True)
def _in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def resolved(text: str, profile: str = "") -> Resolution:
    registry = Registry()
    for job in JOBS:
        registry.add(job, "core")
    Path("c.yaml").write_text(text)
    Path("p.yaml").write_text(profile)
    return resolve(load(Path("c.yaml"), Path("p.yaml") if profile else None), registry)


def entries(*items: str) -> str:
    return "scheduler:\n  jobs:\n" + "".join(f"    - {{extension: core, {item}}}\n" for item in items)


def problems(text: str, profile: str = "") -> list[str]:
    try:
        resolved(text, profile)
    except ConfigError as error:
        return [problem.partition("\n")[0] for problem in error.problems]
    return []


# --- values ---


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("days: x", "parameters.days: cannot be 'x': expected `int`, got `str`"),
        ("days: -4", "parameters.days: cannot be -4: expected `int` >= 1"),
        ("room: 5", "parameters.room: cannot be 5: expected `str`, got `int`"),
        ("rooms: '[]'", "parameters.rooms: cannot be '[]': expected `array`, got `str`"),
        ("rooms: [5]", "parameters.rooms: cannot be list: expected `str`, got `int` - at `$[0]`"),
        ("dais: 7", "the job has no parameter 'dais'"),
        ("dais: '${env:DAYS}'", "the job has no parameter 'dais'"),
    ],
)
def test_what_would_fail_every_run_is_refused_where_it_stands(parameters: str, problem: str) -> None:
    text = entries(f"job: strict, parameters: {{{parameters}}}")

    assert [f"c.yaml:3:51: error: jobs[0] 'strict': {problem}"] == problems(text)


@pytest.mark.parametrize(
    "parameters",
    [
        "days: 7",
        "days: '7'",
        "days: '${env:DAYS}'",
        "rooms: ['${env:ROOM}', attic]",
        "rooms: '${env:ROOMS}'",
        "is_dry: 'true'",
        "is_dry: 1",
    ],
)
def test_what_a_run_can_read_is_kept_as_it_is_written(parameters: str) -> None:
    (definition, *_) = resolved(entries(f"job: strict, parameters: {{{parameters}}}")).definitions
    (undeclared, *_) = resolved(entries(f"job: free, parameters: {{{parameters}}}")).definitions

    assert undeclared.parameters == definition.parameters


def test_the_message_says_what_was_meant_and_what_is_declared() -> None:
    with pytest.raises(ConfigError) as error:
        resolved(entries("job: strict, parameters: {dais: 7}"))

    assert (
        "did you mean 'days'? declared: room: str, days: int = 30, rooms: list[str], is_dry: bool = False"
    ) in error.value.problems[0]


def test_every_parameter_of_every_entry_is_told_at_once_also_of_those_that_are_disabled() -> None:
    text = entries(
        "name: one, job: strict, enabled: false, parameters: {days: x, dais: 7}",
        "name: two, job: either, parameters: {value: x}",
        "name: three, job: free, parameters: {days: x, dais: 7}",
    )

    assert [
        "c.yaml:3:78: error: jobs[0] 'one': parameters.days: cannot be 'x': expected `int`, got `str`",
        "c.yaml:3:87: error: jobs[0] 'one': the job has no parameter 'dais'",
        "c.yaml:4:62: error: jobs[1] 'two': parameters.value: cannot be 'x': expected `int`, got `str`",
    ] == problems(text)


def test_each_layer_answers_for_what_it_says() -> None:
    text = entries("job: strict, parameters: {room: 5, days: x}").replace(
        "scheduler:\n", "scheduler:\n  defaults: {parameters: {dais: 7}}\n"
    )
    profile = entries("job: strict, parameters: {room: attic, rooms: x}")

    assert [
        "c.yaml:2:27: error: jobs[0] 'strict': the job has no parameter 'dais'",
        "c.yaml:4:60: error: jobs[0] 'strict': parameters.days: cannot be 'x': expected `int`, got `str`",
        "p.yaml:3:64: error: jobs[0] 'strict': parameters.rooms: cannot be 'x': expected `array`, got `str`",
    ] == problems(text, profile)


def test_a_value_of_several_lines_stands_where_its_name_does() -> None:
    text = entries("job: strict, parameters: {dais:\n      [7]}")

    assert ["c.yaml:3:51: error: jobs[0] 'strict': the job has no parameter 'dais'"] == problems(text)


def test_a_value_does_not_get_into_the_ledger() -> None:
    (problem,) = problems(entries("job: strict, parameters: {days: s3cret}"))

    assert "c.yaml:3:51: error: jobs[0] 'strict': parameters: a value cannot be used" == recordable(problem)


def test_a_name_that_is_ignored_is_worth_a_second_look() -> None:
    text = entries("job: lax, parameters: {dais: 7}").replace(
        "scheduler:\n", "scheduler:\n  defaults: {parameters: {hours: 7}}\n"
    )

    known = "did you mean 'days'? declared: days: int = 30"
    about = [warning for warning in resolved(text).warnings if "parameter" in warning]

    assert [f"c.yaml:4: jobs[0] 'lax': the job has no parameter 'dais' ({known})"] == about


# --- what is missing ---


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (entries("job: strict, schedule: '0 0 3 * * *'"), "c.yaml:3:30: error: jobs[0] 'strict'"),
        (entries("job: nightly"), "c.yaml:3:30: error: jobs[0] 'nightly'"),
        (entries("job: nightly, enabled: false"), "c.yaml:3:30: error: jobs[0] 'nightly'"),
        (entries("name: a, job: early"), "c.yaml:3:39: error: jobs[0] 'a'"),
        ("scheduler:\n  bootstrap_jobs: [strict]\n", "c.yaml:2:20: error: job 'strict'"),
    ],
)
def test_what_no_layer_gives_is_missed_where_runs_come_by_themselves(text: str, place: str) -> None:
    assert [f"{place}: the job needs the parameter 'room' of type str"] == problems(text)


@pytest.mark.parametrize(
    "text",
    [
        entries("job: strict"),
        entries("job: nightly, schedule: ''"),
        entries("job: early, startup: never"),
        entries("job: early, enabled: false"),
        entries("job: nightly, parameters: {room: '${env:ROOM}'}"),
        "scheduler:\n  defaults: {parameters: {room: attic}}\n" + entries("job: nightly").partition("\n")[2],
        "scheduler:\n  defaults: {parameters: {room: 5, dais: 7}}\n",
    ],
)
def test_what_a_run_by_hand_can_be_given_is_not_missed(text: str) -> None:
    assert [] == problems(text)


# --- code that is itself wrong ---


@pytest.mark.parametrize(
    ("entry", "job", "problem"),
    [
        ("parameters: {part: 1}", "unreadable", "NameError: name 'Decimal' is not defined"),
        ("parameters: {inner: {days: 1}}", "outer", "KeyError: 1"),
    ],
)
def test_a_struct_that_fails_is_a_problem_of_its_entry(entry: str, job: str, problem: str) -> None:
    what = f"parameters: what core:{job} declares cannot be read"

    assert [f"c.yaml:3:30: error: jobs[0] '{job}': {what}: {problem}"] == problems(
        entries(f"job: {job}, {entry}")
    )
