"""What an instance and the process of an isolated run say, and which jobs such a process can find."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from cronledger import Job, JobResult, Pipeline, Scheduler, job
from cronledger.errors import ConfigError, RegistryError
from cronledger.jobs import isolation_messages as m
from cronledger.jobs.decorator import FunctionJob
from cronledger.jobs.isolation import obstacle
from cronledger.jobs.registry import Registry
from tests.e2e.jobs import apart

RESULT = JobResult.success().with_stats(3, 1).with_message("done")
UPWARD = [
    m.Said("shop", 30, "sold out", None),
    m.Moved(1.5, None, "half"),
    m.StepAsked(1, "fetch", "continue", is_block=True),
    m.StepAsked(2, "third", skipped="nothing to do"),
    m.StepWorked(1, "it broke", processed=3, failed=1, message="no"),
    m.StepWorked(2, value={"rows": [1, None, 2.5]}),
    m.Ended(RESULT),
    m.Ended(error="ValueError: bad"),
]
DOWNWARD = [
    m.Stop(),
    m.StepBegun(1),
    m.StepGiven(1, value=[1, "two"]),
    m.StepGiven(2, result=RESULT),
    m.StepRefused(3, "disk full", failed_step="store"),
    m.StepRefused(4, "twice", "say it once", is_duplicate=True),
]


class Held(Job):
    """A job whose object holds what cannot be given away."""

    name = "held"
    isolation = "process"

    def __init__(self, thing: Any) -> None:
        self.thing = thing


def unpacked(frame: bytes) -> bytes:
    (size,) = m.HEADER.unpack(frame[: m.HEADER.size])
    assert len(frame) == m.HEADER.size + size
    return frame[m.HEADER.size :]


@pytest.mark.parametrize("message", UPWARD, ids=lambda message: type(message).__name__)
def test_the_instance_reads_what_the_process_sent(message: m.Upward) -> None:
    assert message == m.read_upward(unpacked(m.framed(message)))


@pytest.mark.parametrize("message", DOWNWARD, ids=lambda message: type(message).__name__)
def test_the_process_reads_what_the_instance_sent(message: m.Downward) -> None:
    assert message == m.read_downward(unpacked(m.framed(message)))


@pytest.mark.parametrize(
    "wrong", [{"type": "Ended", "error": 7}, {"type": "Setup"}, {"type": "StepBegun", "number": 1}, 7]
)
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(msgspec.MsgspecError):
        m.read_upward(msgspec.msgpack.encode(wrong))


@pytest.mark.parametrize("code", [apart.fails, apart.Configured("a word"), Pipeline([apart.one], name="p")])
def test_what_a_module_defines_is_found_again(code: Job) -> None:
    assert None is obstacle(code)
    assert code.name == pickle.loads(pickle.dumps(code)).name


def test_a_decorated_function_is_found_by_its_name() -> None:
    assert apart.fails is pickle.loads(pickle.dumps(apart.fails))


def local() -> Job:
    @job(extension="tests", isolation="process")
    def inside() -> None:
        """Be defined in a function."""

    return inside


def in_the_main_module() -> Job:
    def alone() -> None:
        """Be defined in the program."""

    alone.__module__, alone.__qualname__ = "__main__", "alone"
    return _made(alone)


def in_no_file(monkeypatch: pytest.MonkeyPatch) -> Job:
    module = ModuleType("made_up")
    monkeypatch.setitem(sys.modules, "made_up", module)

    def alone() -> None:
        """Be defined nowhere."""

    alone.__module__, alone.__qualname__ = "made_up", "alone"
    made = _made(alone)
    module.alone = made  # type: ignore[attr-defined]
    return made


def _made(function: Callable[..., Any]) -> Job:
    made = FunctionJob(function, name=None, description=None)
    made.isolation = "process"
    return made


def test_what_another_process_cannot_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for code, words in (
        (local(), "local.<locals>.inside"),
        (Held(lambda: None), "lambda"),
        (Pipeline([("step", lambda: None)], name="p"), "lambda"),
        (in_the_main_module(), "alone is defined in the program's main module"),
        (in_no_file(monkeypatch), "the module made_up of alone was not imported from a file"),
    ):
        assert words in (obstacle(code) or "")


def test_it_is_refused_before_anything_starts() -> None:
    scheduler = Scheduler(database_url="memory://isolation", jobs=[Held(lambda: None)])

    with pytest.raises(ConfigError) as refused:
        _ = scheduler.resolution

    (problem,) = refused.value.problems
    assert "job 'held': isolation: a process of its own cannot find this job: " in problem
    assert "define it at the top level of a module" in problem


def test_an_unknown_isolation_is_refused() -> None:
    held = Held(1)
    held.isolation = "container"

    with pytest.raises(RegistryError, match="tests:held: isolation is 'container', which is not a choice"):
        Registry().add(held, "tests")
