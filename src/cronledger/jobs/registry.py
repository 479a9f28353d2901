"""Which jobs the code provides: one registry, fed by submitted jobs, decorated functions and extensions."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, get_origin

import msgspec

from cronledger.domain.definition import Isolation
from cronledger.domain.ids import is_name
from cronledger.errors import RegistryError
from cronledger.jobs.api import Job, member
from cronledger.jobs.calling import makes_generator


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A job that code provides, with its defaults; `module` says where it was written."""

    extension: str
    name: str
    description: str
    schedule: str
    run_on_startup: bool
    tags: tuple[str, ...]
    idempotent: bool
    isolation: Isolation = Isolation.THREAD
    module: str
    job: Job


class Extension:
    """An installable set of jobs under one name. Subclass it and define `jobs`, or pass them.

    Members of a subclass may be attributes or methods, as those of a job.

    >>> class Tidy(Job):
    ...     name = "tidy"
    >>> [job.name for job in Extension(name="house", jobs=[Tidy()]).jobs()]
    ['tidy']
    """

    name: Any = ""
    services: Any = ()
    _jobs: Iterable[Job] = ()

    def __init__(
        self, name: str | None = None, jobs: Iterable[Job] = (), services: Sequence[object] = ()
    ) -> None:
        if name is not None:
            self.name = name
        self._jobs = list(jobs)
        if services:
            self.services = tuple(services)

    def jobs(self) -> Iterable[Job]:
        """Return the jobs this extension provides."""
        return self._jobs


class Registry:
    """All jobs by (extension, job). Made once, in the scheduler; nothing registers itself at import."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Registered] = {}
        self._extensions: dict[str, object] = {}
        self.services: list[object] = []

    def add(self, job: Job, extension: str) -> None:
        """Register one job under an extension's name; the same object twice is once.

        Raises RegistryError for what is no job or could not be performed, if the name is unusable, and if
        another job has it.
        """
        _require_job(job, extension)
        name = str(member(job, "name") or "")
        source = job.__module__
        for what, text in (("extension", extension), ("job", name)):
            if not is_name(text):
                raise RegistryError(
                    f"{source}: {text!r} cannot be the name of a{'n' if what == 'extension' else ''} {what}",
                    hint="use lower-case letters, digits, '_' and '-', beginning with a letter, at most 64",
                )
        known = self._jobs.get((extension, name))
        if known is not None and known.job is not job:
            raise RegistryError(
                f"two jobs are called '{name}' in extension '{extension}': "
                f"one in {known.module}, one in {source}",
                hint="rename one of them, or give it another extension",
            )
        refuse_generator(job.execute, f"{source}: `execute` of job '{name}'")
        _require_struct(job, f"{extension}:{name}")
        self._extensions.setdefault(extension, None)
        self._jobs[extension, name] = Registered(
            extension=extension,
            name=name,
            description=str(member(job, "description", "")),
            schedule=str(member(job, "schedule", "") or ""),
            run_on_startup=bool(member(job, "run_on_startup")),
            tags=_tags(job, f"{extension}:{name}"),
            idempotent=bool(member(job, "idempotent")),
            isolation=_isolation(job, f"{extension}:{name}"),
            module=source,
            job=job,
        )

    def add_extension(self, extension: Extension) -> None:
        """Register an extension's jobs and services."""
        name = str(member(extension, "name"))
        if not name:
            name = _snake(type(extension).__name__.removesuffix("Extension"))
        self._extensions.setdefault(name, extension)
        for job in member(extension, "jobs"):
            self.add(job, name)
        provided = member(extension, "services")
        self.services.extend(service for service in provided if service not in self.services)

    def registered(self) -> list[Registered]:
        """Return every job, by extension and name."""
        return [self._jobs[key] for key in sorted(self._jobs)]

    def find(self, extension: str, job: str) -> Registered | None:
        """Return the job that an extension provides under a name."""
        return self._jobs.get((extension, job))

    def code_of(self, extension: str, job: str) -> Job | None:
        """Return the code of the job that an extension provides under a name."""
        registered = self.find(extension, job)
        return registered.job if registered else None

    def extensions(self) -> dict[str, list[Registered]]:
        """Return the jobs of each loaded extension; one without jobs is there with an empty list."""
        grouped: dict[str, list[Registered]] = {name: [] for name in sorted(self._extensions)}
        for registered in self.registered():
            grouped[registered.extension].append(registered)
        return grouped


def is_built_in(job: Job) -> bool:
    """Whether a job comes with this package."""
    return type(job).__module__.startswith("cronledger.extensions.")


def default_extension(module: str) -> str:
    """Name the extension of jobs that do not say: the last part of the module's name.

    >>> default_extension("shop.jobs.blog")
    'blog'
    """
    name = module.rpartition(".")[2]
    if name == "__main__":
        path = getattr(sys.modules.get("__main__"), "__file__", None) or "main"
        name = re.split(r"[/\\]", str(path))[-1].removesuffix(".py")
    return _snake(name)


def refuse_generator(code: Callable[..., Any], title: str) -> None:
    """Raise RegistryError for code that a call would not perform."""
    if makes_generator(code):
        raise RegistryError(
            f"{title} has a `yield`: it is a generator, and a call would perform none of it",
            hint="return the result; what goes through items one by one uses a loop, or steps",
        )


def _require_job(job: object, extension: str) -> None:
    if isinstance(job, Job):
        return
    if isinstance(job, type):
        what, hint = f"the class {job.__name__}", f"give it a job: {job.__name__}()"
    else:
        what, hint = f"a value of type {type(job).__name__}", "make a job of a function with @job"
    raise RegistryError(f"extension '{extension}' is given {what}, which is not a job", hint=hint)


def _require_struct(job: Job, title: str) -> None:
    said: Any = job.params
    kind = get_origin(said) or said
    if said is not None and not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise RegistryError(
            f"{title}: params is {said!r}, which is not a msgspec struct",
            hint="declare the parameters as `class Limits(msgspec.Struct): ...`, and give the class",
        )


def _isolation(job: Job, title: str) -> Isolation:
    said = member(job, "isolation", Isolation.THREAD)
    try:
        return Isolation(said)
    except ValueError:
        raise RegistryError(
            f"{title}: isolation is {said!r}, which is not a choice", hint="use 'thread' or 'process'"
        ) from None


def _tags(job: Job, title: str) -> tuple[str, ...]:
    said = member(job, "tags", ()) or ()
    if isinstance(said, str) or not isinstance(said, Collection) or not all(map(_is_word, said)):
        raise RegistryError(
            f"{title}: tags is {said!r}, which is not a list of words", hint="use ['nightly']"
        )
    return tuple(said)


def _is_word(tag: object) -> bool:
    return isinstance(tag, str) and bool(tag)


def _snake(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9_-]", "_", words).strip("_")
