"""Jobs from functions, and jobs submitted by a module.

Nothing is registered at import: a job is only noted in the module that speaks (`__cronledger_jobs__`), and
whoever builds a registry reads the notes of the modules it was told to read.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any, overload

import msgspec

from cronledger.domain.result import JobResult
from cronledger.jobs.api import Job, JobContext, member
from cronledger.jobs.calling import call
from cronledger.jobs.registry import default_extension, refuse_generator

NOTES = "__cronledger_jobs__"
Function = Callable[..., Any]


class FunctionJob(Job):
    """A job made from a function: async ones are awaited, plain ones run in a thread."""

    def __init__(self, function: Function, *, name: str | None, description: str | None) -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", "")
        documented = inspect.getdoc(function) or ""
        self.description = description if description is not None else documented.partition("\n")[0]
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        refuse_generator(function, f"{self.__module__}: job '{self.name}'")
        self._takes_context = bool(inspect.signature(function).parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as if it were not decorated."""
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[[str, str], FunctionJob], tuple[str, str]]:
        """Be known by name, as a function is. Raises PicklingError if that name does not lead here."""
        module, name = self.function.__module__, self.function.__qualname__
        check_importable(module, name)
        if _decorated(module, name) is not self:
            raise pickle.PicklingError(f"its module {module} has something else under the name {name}")
        return _decorated, (module, name)

    async def execute(self, ctx: JobContext) -> JobResult | None:
        """Perform the function; whatever it returns that is not a JobResult means success."""
        args = (ctx,) if self._takes_context else ()
        returned = await call(self.function, *args, threads=ctx.threads)
        return returned if isinstance(returned, JobResult) else None


@overload
def job(function: Function, /) -> FunctionJob: ...
@overload
def job(
    *,
    name: str | None = None,
    schedule: str = "",
    description: str | None = None,
    extension: str | None = None,
    run_on_startup: bool = False,
    tags: Sequence[str] = (),
    idempotent: bool = False,
    isolation: str = "thread",
    params: type[msgspec.Struct] | None = None,
) -> Callable[[Function], FunctionJob]: ...
def job(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    schedule: str = "",
    description: str | None = None,
    extension: str | None = None,
    run_on_startup: bool = False,
    tags: Sequence[str] = (),
    idempotent: bool = False,
    isolation: str = "thread",
    params: type[msgspec.Struct] | None = None,
) -> FunctionJob | Callable[[Function], FunctionJob]:
    """Make a job of a function; the name defaults to the function's, the extension to the module's last name.

    Raises RegistryError for a function with a `yield`: a call would perform none of it.

    >>> @job(schedule="0 0 3 * * *", tags=["nightly"])
    ... def tidy():
    ...     "Remove what nobody needs."
    >>> tidy.name, tidy.description, tidy.schedule
    ('tidy', 'Remove what nobody needs.', '0 0 3 * * *')
    """

    def decorate(decorated: Function) -> FunctionJob:
        made = FunctionJob(decorated, name=name, description=description)
        made.schedule = schedule
        made.extension = extension
        made.run_on_startup = run_on_startup
        made.tags = tags
        made.idempotent = idempotent
        made.isolation = isolation
        made.params = params
        _note(made, extension, decorated.__module__)
        return made

    return decorate if function is None else decorate(function)


def submit_job(submitted: Job, extension: str | None = None) -> Job:
    """Provide a job from the module that calls this.

    The extension is the argument, else the job's own `extension`, else the module's last name.
    """
    _note(submitted, extension, sys._getframe(1).f_globals["__name__"])  # noqa: SLF001 - who is calling?
    return submitted


def check_importable(module: str, name: str) -> None:
    """Refuse what another process could not import. Raises PicklingError."""
    if module == "__main__":
        raise pickle.PicklingError(f"{name} is defined in the program's main module")
    if getattr(sys.modules.get(module), "__spec__", None) is None:
        raise pickle.PicklingError(f"the module {module} of {name} was not imported from a file")


def _decorated(module: str, name: str) -> Any:
    """Return what a module has under a name, None if it has nothing."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _note(noted: Job, extension: str | None, module: str) -> None:
    name = extension or member(noted, "extension") or default_extension(module)
    vars(sys.modules[module]).setdefault(NOTES, []).append((noted, str(name)))
