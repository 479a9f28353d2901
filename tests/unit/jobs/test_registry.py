"""What is taken as a job or an extension, and what is refused when it is registered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import pytest

from cronledger import Extension, Job, JobContext, JobResult, Scheduler, job
from cronledger.errors import RegistryError
from cronledger.jobs.discovery import add, discover
from cronledger.jobs.registry import Registry

T = TypeVar("T")
HERE = __name__.rpartition(".")[2]


class Tidy(Job):
    """A job with any members."""

    name = "tidy"

    def __init__(self, **members: object) -> None:
        self.__dict__.update(members)

    async def execute(self, ctx: JobContext) -> JobResult | None:
        """Do nothing."""


class Mailer:
    """A service."""


def registered(job: Any, extension: str = "house") -> Registry:
    registry = Registry()
    registry.add(job, extension)
    return registry


# --- code that a call would not perform ---


def numbers(ctx: JobContext) -> Any:
    yield ctx


async def later_numbers(ctx: JobContext) -> Any:
    yield ctx


class Numbers:
    def __call__(self, ctx: JobContext) -> Any:
        yield ctx


@pytest.mark.parametrize("function", [numbers, later_numbers, functools.partial(numbers), Numbers()])
def test_a_function_with_a_yield_is_no_job(function: Callable[..., Any]) -> None:
    """Its runs were recorded as succeeded, and not a line of it was performed."""
    with pytest.raises(RegistryError, match="job 'nightly' has a `yield`") as caught:
        job(name="nightly")(function)

    assert caught.value.hint


@pytest.mark.parametrize("execute", [numbers, later_numbers])
def test_a_class_with_a_yield_in_execute_is_no_job(execute: Any) -> None:
    with pytest.raises(RegistryError, match=f"{HERE}: `execute` of job 'tidy' has a `yield`"):
        registered(Tidy(execute=execute))


def test_a_module_with_such_a_function_is_named_without_a_word_of_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop_of_yields.py").write_text("from cronledger import job\n@job\ndef nightly(ctx): yield 1\n")
    with pytest.raises(RegistryError) as caught:
        discover(Registry(), app=["shop_of_yields"])

    assert caught.value.message.startswith("shop_of_yields: job 'nightly' has a `yield`")


# --- parameters ---


class Limits(msgspec.Struct):
    days: int = 30


class Held(msgspec.Struct, Generic[T]):
    """A struct of any kind of thing."""

    thing: T


class Plain:
    days: int = 30


@pytest.mark.parametrize("params", [Plain, dict, Limits(), 3, dict[str, int]])
def test_parameters_that_no_struct_declares_are_refused(params: Any) -> None:
    """A run of such a job ended in a traceback."""
    with pytest.raises(RegistryError, match=r"house:tidy: params is .*, which is not a msgspec struct"):
        registered(Tidy(params=params))


@pytest.mark.parametrize("params", [Limits, Held[int], None])
def test_a_struct_may_declare_the_parameters(params: Any) -> None:
    assert registered(Tidy(params=params)).find("house", "tidy")


# --- what is given as a job ---


@pytest.mark.parametrize("given", [Tidy, numbers, "tidy", None])
def test_what_is_no_job_is_refused(given: Any) -> None:
    """A class was taken, and each of its runs failed."""
    with pytest.raises(RegistryError, match=r"extension 'house' is given .*, which is not a job"):
        Registry().add_extension(Extension("house", jobs=[given]))


def test_a_class_is_refused_with_what_to_write() -> None:
    with pytest.raises(RegistryError) as caught:
        registered(Tidy)

    assert "give it a job: Tidy()" == caught.value.hint


# --- where a job belongs ---


@job
def send(ctx: JobContext) -> None:
    """Send."""


def test_a_function_given_as_an_object_belongs_to_its_module() -> None:
    """Its extension was called `decorator`."""
    registry = Registry()
    add(registry, send, "a test")
    (found,) = registry.registered()

    assert (HERE, "send") == (found.extension, found.name)
    assert send.function.__module__ == found.module


def test_a_module_provides_the_functions_that_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It did so of classes only."""
    monkeypatch.chdir(tmp_path)
    Path("shop_of_sending.py").write_text("from cronledger import job\n@job\ndef send(): pass\n")
    Path("app_of_sending.py").write_text("from shop_of_sending import send\n")
    registry = Registry()
    discover(registry, app=["app_of_sending"])

    assert registry.find("shop_of_sending", "send")


def test_two_functions_of_one_name_are_told_apart_by_their_modules() -> None:
    registry = registered(send)
    with pytest.raises(RegistryError, match=f"one in {send.function.__module__}, one in "):
        registry.add(job(name="send")(lambda ctx: None), "house")


def test_an_extension_may_be_a_method_of_a_job() -> None:
    registry = Registry()
    add(registry, Tidy(extension=lambda: "house"), "a test")

    assert registry.find("house", "tidy")


# --- subclasses of Extension ---


class Bare(Extension):
    """Says nothing of its own beginnings to Extension."""

    name = "bare"

    def __init__(self) -> None:
        self.greeting = "hello"

    def jobs(self) -> list[Job]:
        return [Tidy()]


class Lists(Extension):
    """Has attributes where others have methods."""

    name = "lists"
    jobs: ClassVar[Any] = [Tidy()]
    services: ClassVar[Any] = [Mailer()]


class Methods(Extension):
    """Has methods where others have attributes."""

    def name(self) -> str:
        return "methods"

    def jobs(self) -> list[Job]:
        return [Tidy()]

    def services(self) -> list[object]:
        return [Mailer()]


@pytest.mark.parametrize(("made", "services"), [(Bare, 0), (Lists, 1), (Methods, 1)])
def test_a_subclass_has_its_members_as_it_likes(made: type[Extension], services: int) -> None:
    """Services of a class were dropped, and `__init__` without `super()` ended in a traceback."""
    registry = Registry()
    registry.add_extension(made())

    assert [(made.__name__.lower(), "tidy")] == [(one.extension, one.name) for one in registry.registered()]
    assert services == len(registry.services)


def test_services_that_are_passed_are_had() -> None:
    mailer = Mailer()
    registry = Registry()
    registry.add_extension(Lists(services=[mailer]))

    assert [mailer] == registry.services


def test_a_submitted_class_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop_of_classes.py").write_text(
        "from cronledger import Job, submit_job\n"
        "class Report(Job):\n    name = 'report'\n"
        "submit_job(Report)\n"
    )
    with pytest.raises(RegistryError, match="extension 'shop_of_classes' is given the class Report"):
        discover(Registry(), app=["shop_of_classes"])


def test_what_is_given_to_a_scheduler_as_an_extension_is_one_or_is_refused() -> None:
    """Whatever was no object of an extension, and no text, was left out without a word."""
    given: Any = Bare
    wrong: Any = 5
    registry = Scheduler(database_url="memory://classes", extensions=[given]).registry

    assert ("bare", "tidy") in [(one.extension, one.name) for one in registry.registered()]
    with pytest.raises(RegistryError, match=r"Scheduler\(extensions=...\) is a int, not a module"):
        _ = Scheduler(database_url="memory://classes", extensions=[wrong]).registry
