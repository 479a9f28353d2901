"""What the files say, merged, and where each word of it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cronledger.config.files import here
from cronledger.domain.calendar import Calendar
from cronledger.domain.definition import DayMatch
from cronledger.strict_yaml.problem import Place


class Written(msgspec.Struct, frozen=True, gc=False):
    """A value and where it was written; without a place it comes from the code."""

    value: Any
    place: Place | None = None

    @property
    def origin(self) -> str:
        """Name the source for a person: `code`, or a file and line."""
        return "code" if self.place is None else str(self.place)


Fields = dict[str, Written]
"""Values by field. A part of a mapping has a dotted name: `retry.max_attempts`, `parameters.days`."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an item of `scheduler.jobs` says of a job.

    `title` is how messages begin: `jobs[1] 'publish_content': `. `fields` holds only what was written.
    """

    extension: str
    job: str
    title: str
    place: Place
    fields: Fields

    def place_of(self, *fields: str) -> Place:
        """Return where the first of these fields that was written stands, else where the item begins."""
        places = [written.place for field in fields if (written := self.fields.get(field))]
        return next((place for place in places if place), self.place)


class JobEntry(Item, frozen=True, kw_only=True, gc=False):
    """The operator's decision that a job shall run."""

    name: str


class Override(Item, frozen=True, kw_only=True, gc=False):
    """What the profile changes in the entries of one job, or in the one called `name`."""

    name: str | None


class NamedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One calendar or queue as it was written, under its name."""

    name: str
    title: str
    place: Place
    fields: Fields


class KnownCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar with all that it extends, and where each of its rules was written.

    `depth` says how many calendars stand below one another in it.
    """

    calendar: Calendar
    origins: dict[str, tuple[str, ...]]
    depth: int = 1


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the files say, the profile's scalars already in place. Without files: the defaults.

    >>> Settings().enabled, Settings().timezone, Settings().jobs
    (True, 'UTC', ())

    Attributes:
        enabled: False: this instance neither plans, runs startup jobs nor claims.
        extensions: Modules (`module` or `module:object`) that provide jobs.
        bootstrap_jobs: Entries or registered jobs that run at start whatever their code says.
        startup_wait_seconds: How long readiness waits for the startup runs of this boot.
        drain_seconds: How long a stopping instance waits for its runs.
        max_runs: How many runs one instance performs at once.
        calendars: What calendars there are, each complete.
        queues: How many runs of a queue are performed at once, by its name.
        defaults: Fields for every job, weaker than its entry.
        application_database_url: The application's database, or a reference to it.
        application: Whatever else stands under `application:`; jobs see it as `ctx.config`.
        files: In reading order.
        places: Where each scalar setting and each bootstrap job (`bootstrap_jobs.NAME`) was written.
    """

    enabled: bool = True
    timezone: str = "UTC"
    day_match: DayMatch = DayMatch.OR
    extensions: tuple[str, ...] = ()
    bootstrap_jobs: tuple[str, ...] = ()
    startup_wait_seconds: float = 300
    drain_seconds: float = 25
    max_runs: int = 100
    jobs: tuple[JobEntry, ...] = ()
    overrides: tuple[Override, ...] = ()
    calendars: dict[str, KnownCalendar] = {}
    queues: Fields = {}
    defaults: Fields = {}
    application_database_url: str | None = None
    application: dict[str, Any] = {}
    files: tuple[str, ...] = ()
    places: dict[str, Place] = {}

    @property
    def root(self) -> Path:
        """The application's folder: as said, else the one that holds `services/`.

        Without either it is where the configuration stands, and without files the current folder.

        >>> str(Settings(files=("/srv/shop/services/config/config.yaml",)).root)
        '/srv/shop'
        >>> str(Settings(files=("/srv/shop/config.yaml",), application={"root": "site"}).root)
        '/srv/shop/site'
        """
        home = (here() / self.files[0]).parent if self.files else here()
        named = (each.parent for each in (home, *home.parents) if each.name == "services")
        return next(named, home) / str(self.application.get("root", ""))
