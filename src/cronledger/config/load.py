"""Files to settings: every file, every include, and every problem of all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cronledger.config import calendars, check, fields
from cronledger.config.files import Document, Marks, Reading
from cronledger.config.model import Fields, JobEntry, NamedEntry, Override, Settings, Written
from cronledger.config.schedule import check_written
from cronledger.strict_yaml import check as plain
from cronledger.strict_yaml.problem import Place, Problems, quoted
from cronledger.strict_yaml.text import Value

__all__ = ["find_config", "find_profile", "load"]

CONFIG_FILES = ("services/config/config.yaml", "services/scheduler/config.yaml")
PROFILE_FILE = "profile.yaml"


def load(
    config: Path | None, profile: Path | None, *, marks: Marks | None = None, spoken: set[Path] | None = None
) -> Settings:
    """Read the configuration and what it includes, then the profile.

    >>> load(None, None).jobs
    ()

    Raises ConfigError with all problems of all files. `marks` learns what each file looked like, also where
    it could not be read; `spoken` holds those that have said something before, and learns of more: such a
    file is refused once it says nothing.
    """
    problems = Problems()
    reading = Reading(problems, marks, spoken)
    merge = _Merge(problems)
    files: list[str] = []
    for document in reading.read(config, includes=True) if config else ():
        files.append(document.file)
        merge.add(document)
    for document in reading.read(profile, includes=False) if profile else ():
        files.append(document.file)
        merge.add_profile(document)
    settings = merge.settings(tuple(files))
    problems.refuse()
    return settings


def find_config(folder: Path) -> Path | None:
    """Return the configuration of a project: the first of the usual places that exists."""
    return next((folder / name for name in CONFIG_FILES if _is_there(folder / name)), None)


def find_profile(config: Path | None, folder: Path) -> Path | None:
    """Return `profile.yaml` beside the configuration, else the one in the folder, if there is one."""
    folders = [config.parent, folder] if config else [folder]
    return next((each / PROFILE_FILE for each in folders if _is_there(each / PROFILE_FILE)), None)


def _is_there(path: Path) -> bool:
    """Whether there is such a file, or nobody can tell: whoever reads it then says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError:
        return True
    return True


class _Merge:
    """What the files have said so far. Of two different words on the same thing neither wins."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._scalars: Fields = {}
        self._application: Fields = {}
        self._defaults: Fields = {}
        self._extensions: Fields = {}
        self._bootstrap: Fields = {}
        self._calendars: dict[str, NamedEntry] = {}
        self._queues: dict[str, NamedEntry] = {}
        self._jobs: list[JobEntry] = []
        self._overrides: list[Override] = []

    def add(self, document: Document) -> None:
        top = self._top(document, fields.TOP)
        self._join(self._application, self._application_of(top), "application.")
        scheduler = self._block(top, "scheduler", fields.SCHEDULER)
        self._join(self._scalars, self._scalars_of(scheduler), "scheduler.")
        self._extensions |= self._list(scheduler, "extensions", check.module)
        self._bootstrap |= self._list(scheduler, "bootstrap_jobs", check.bootstrap)
        if block := scheduler.get("calendars"):
            found = fields.named(block, "calendars", fields.CALENDAR, self._problems)
            self._add_named(self._calendars, found)
        if block := scheduler.get("queues"):
            found = fields.named(block, "queues", fields.QUEUE, self._problems, needed="max_concurrent")
            self._add_named(self._queues, found)
        defaults = self._block(scheduler, "defaults", fields.DEFAULTS)
        self._join(self._defaults, self._checked(defaults, "defaults: "), "defaults.")
        self._jobs += [entry for item in self._items(scheduler) if (entry := self._entry(*item))]

    def add_profile(self, document: Document) -> None:
        top = self._top(document, fields.PROFILE_TOP)
        self._application |= self._application_of(top)
        scheduler = self._block(top, "scheduler", fields.PROFILE_SCHEDULER)
        self._scalars |= self._scalars_of(scheduler)
        self._overrides += [found for item in self._items(scheduler) if (found := self._override(*item))]

    def settings(self, files: tuple[str, ...]) -> Settings:
        application = {key: written.value for key, written in self._application.items()}
        placed = {**self._scalars, **{f"bootstrap_jobs.{key}": each for key, each in self._bootstrap.items()}}
        scalars: dict[str, Any] = {key: written.value for key, written in self._scalars.items()}
        said = [("defaults: ", self._defaults), *((each.title, each.fields) for each in self._jobs)]
        said += [(each.title, each.fields) for each in self._overrides]
        calendars.check_names(self._calendars, said, self._problems)
        return Settings(
            **scalars,
            extensions=tuple(self._extensions),
            bootstrap_jobs=tuple(self._bootstrap),
            jobs=tuple(self._jobs),
            overrides=tuple(self._overrides),
            calendars=calendars.resolved(self._calendars, self._problems),
            queues=self._limits(),
            defaults=self._defaults,
            application_database_url=application.pop("database_url", None),
            application=application,
            files=files,
            places={key: written.place for key, written in placed.items() if written.place},
        )

    # --- parts of a document ---

    def _top(self, document: Document, known: frozenset[str]) -> dict[str, Value]:
        whole = Value(document.entries, Place(document.file, 1, 1))
        return plain.known_entries(whole, known, "", self._problems)

    def _add_named(self, known: dict[str, NamedEntry], entries: list[NamedEntry]) -> None:
        for entry in entries:
            first = known.setdefault(entry.name, entry)
            if first is not entry:
                self._problems.add(entry.place, f"{entry.title}already defined at {first.place}")

    def _limits(self) -> Fields:
        limited = (each for each in self._queues.values() if "max_concurrent" in each.fields)
        return {each.name: each.fields["max_concurrent"] for each in limited}

    def _block(self, entries: dict[str, Value], key: str, known: frozenset[str]) -> dict[str, Value]:
        if key not in entries:
            return {}
        return plain.known_entries(entries[key], known, f"{key}: ", self._problems)

    def _scalars_of(self, scheduler: dict[str, Value]) -> Fields:
        scalars = {key: value for key, value in scheduler.items() if key in fields.SCALARS}
        return self._checked(scalars, "")

    def _application_of(self, top: dict[str, Value]) -> Fields:
        value = top.get("application")
        known = frozenset(value.data) if value is not None and isinstance(value.data, dict) else frozenset()
        found: Fields = {}
        for key, entry in self._block(top, "application", known).items():
            kind = fields.APPLICATION.get(key, check.free)
            fields.keep(found, key, entry, kind, title="application.", problems=self._problems)
        return found

    def _list(self, scheduler: dict[str, Value], key: str, kind: plain.Check) -> Fields:
        found: Fields = {}
        if key in scheduler:
            fields.keep(found, key, scheduler[key], plain.several(kind), title="", problems=self._problems)
        items = scheduler[key].data or () if found else ()
        return {item.data: Written(item.data, item.place) for item in items}

    def _items(self, scheduler: dict[str, Value]) -> list[tuple[int, Value]]:
        value = scheduler.get("jobs")
        if value is None or value.data is None:
            return []
        if not isinstance(value.data, list):
            self._problems.add(value.place, f"jobs: must be a list, not {plain.spelled(value)}")
            return []
        return list(enumerate(value.data))

    def _entry(self, index: int, item: Value) -> JobEntry | None:
        title = _title(index, item, "name", "job")
        found = self._checked(plain.known_entries(item, fields.ENTRY, title, self._problems), title)
        label = found.get("name") or found.get("job")
        if label is None:
            self._needs(item, title, "name or job", "name", "job")
            return None
        job = found.get("job") or label
        return JobEntry(
            name=label.value,
            extension=found["extension"].value if "extension" in found else "core",
            job=job.value,
            title=title,
            place=item.place,
            fields=found,
        )

    def _override(self, index: int, item: Value) -> Override | None:
        title = _title(index, item, "job", "name")
        found = self._checked(plain.known_entries(item, fields.ENTRY, title, self._problems), title)
        if "job" not in found:
            self._needs(item, title, "extension and job", "job")
            return None
        return Override(
            name=found["name"].value if "name" in found else None,
            extension=found["extension"].value if "extension" in found else "core",
            job=found["job"].value,
            title=title,
            place=item.place,
            fields=found,
        )

    def _needs(self, item: Value, title: str, what: str, *keys: str) -> None:
        if isinstance(item.data, dict) and not any(key in item.data for key in keys):
            self._problems.add(item.place, f"{title}{what} is missing")
        elif item.data is None:
            self._problems.add(item.place, f"{title}the item is empty")

    def _checked(self, entries: dict[str, Value], title: str) -> Fields:
        found = fields.checked(entries, title, self._problems)
        check_written(found, title, self._problems)
        return found

    def _join(self, known: Fields, more: Fields, prefix: str) -> None:
        for key, written in more.items():
            first = known.setdefault(key, written)
            if written.place and first.value != written.value:
                self._problems.add(
                    written.place, f"{prefix}{key} is already set to something else at {first.origin}"
                )


def _title(index: int, item: Value, *keys: str) -> str:
    entries = item.data if isinstance(item.data, dict) else {}
    names = [entries[key].data for key in keys if key in entries and isinstance(entries[key].data, str)]
    return f"jobs[{index}] {quoted(names[0])}: " if names else f"jobs[{index}]: "
