"""Finding jobs: entry points, modules named in the configuration, modules given on the command line.

A module provides what it submits or decorates, its `Extension` objects and classes, and what the modules
it imports from submit. An import that fails names the module and hides nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from cronledger.errors import RegistryError
from cronledger.file_rights import writable_by_everyone
from cronledger.jobs.api import Job, member
from cronledger.jobs.decorator import NOTES
from cronledger.jobs.registry import Extension, Registry, default_extension

ENTRY_POINTS = "cronledger.extensions"


def discover(registry: Registry, *, extensions: Sequence[str] = (), app: Sequence[str] = ()) -> None:
    """Fill a registry from entry points, configured modules and `--app` modules, in this order.

    Raises RegistryError naming the module that cannot be imported or the names that collide.
    """
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        add(registry, _loaded(point.value), f"entry point {point.name}")
    with suppress(FileNotFoundError):  # the current folder has been removed: nothing is imported from it
        _make_importable(Path.cwd())
    for reference in (*extensions, *app):
        _refuse_writable_by_others(reference)
        add(registry, _loaded(reference), reference)


def add(registry: Registry, provider: Any, source: str) -> None:
    """Add whatever provides jobs: a module, an extension (object or class), a job, or a list of these.

    Raises RegistryError if it is none of them.
    """
    if isinstance(provider, ModuleType):
        _add_module(registry, provider)
    elif isinstance(provider, Extension):
        registry.add_extension(provider)
    elif isinstance(provider, type) and issubclass(provider, Extension):
        registry.add_extension(provider())
    elif isinstance(provider, Job):
        extension = member(provider, "extension") or default_extension(provider.__module__)
        registry.add(provider, str(extension))
    elif isinstance(provider, list | tuple):
        for each in provider:
            add(registry, each, source)
    else:
        raise RegistryError(
            f"{source} is a {type(provider).__name__}, not a module, an Extension, a Job or a list of these"
        )


def _add_module(registry: Registry, module: ModuleType) -> None:
    for noted in _modules_of(module):
        for job, extension in vars(noted).get(NOTES, ()):
            registry.add(job, extension)
    for value in vars(module).values():
        if isinstance(value, Extension) or _is_own_extension(value, module):
            add(registry, value, module.__name__)


def _is_own_extension(value: object, module: ModuleType) -> bool:
    """Whether a class is an extension written here, not one that was only imported to build on."""
    return (
        isinstance(value, type)
        and issubclass(value, Extension)
        and value is not Extension
        and value.__module__ == module.__name__
        and not any(isinstance(other, value) for other in vars(module).values())
    )


def _modules_of(module: ModuleType, seen: set[str] | None = None) -> Iterator[ModuleType]:
    """Yield the module and, transitively, those it imports from that submit jobs."""
    seen = set() if seen is None else seen
    if module.__name__ in seen:
        return
    seen.add(module.__name__)
    yield module
    for name in list(_referenced(module)):
        other = sys.modules.get(name)
        if other is not None and (NOTES in vars(other) or name.startswith(module.__name__ + ".")):
            yield from _modules_of(other, seen)


def _referenced(module: ModuleType) -> Iterable[str]:
    for value in vars(module).values():
        name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(name, str):
            yield name


def _loaded(reference: str) -> Any:
    """Import `module` or `module:object`."""
    module_name, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except RegistryError:  # a job there cannot be one, and the message says which
        raise
    except (Exception, SystemExit) as error:
        raise RegistryError(
            f"cannot import {module_name!r}: {type(error).__name__}: {error}",
            hint="the current folder is importable, unless everybody may write it; check the name, and what "
            "the module itself imports",
        ) from error
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            raise RegistryError(f"module {module_name!r} has no {attribute!r}") from None
    return found


def _make_importable(folder: Path) -> None:
    """Let modules be imported from a folder, unless anybody could add a module to it."""
    if str(folder) not in sys.path and not folder.stat().st_mode & stat.S_IWOTH:
        sys.path.insert(0, str(folder))


def _refuse_writable_by_others(reference: str) -> None:
    """Refuse to run code that any user of the machine may change.

    Packages are looked at from the outermost inwards: to find a module, Python runs those round it.
    """
    parts = reference.partition(":")[0].split(".")
    for depth in range(1, len(parts) + 1):
        module_name = ".".join(parts[:depth])
        for place in _places(module_name):
            culprit = writable_by_everyone(place)
            if culprit is not None:
                raise RegistryError(
                    f"{module_name!r} is not imported: everybody may write {culprit}",
                    hint=f"chmod o-w {culprit}",
                )
        if depth < len(parts):
            _loaded(module_name)


def _places(module_name: str) -> Iterator[Path]:
    """Yield the files and folders that a module's code comes from."""
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):  # importing it will say so
        return
    if spec is None:
        return
    if spec.has_location and spec.origin is not None:
        yield Path(spec.origin)
        yield Path(spec.origin).parent / "__pycache__"
    yield from map(Path, spec.submodule_search_locations or ())
