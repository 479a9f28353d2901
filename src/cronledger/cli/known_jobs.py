"""Jobs as the ledger and the configuration know them together.

The ledger knows what happened and what operators decided; the configuration of this process knows what is
defined here. A job may be known to one of them alone: one that has never been up, or one whose code is
elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from cronledger.cli.context import Application
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName, Position
from cronledger.domain.job import JobState
from cronledger.domain.schedule import schedule_for
from cronledger.errors import UnknownJob, UsageError
from cronledger.projections import job_status


class KnownJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job: how it stands, how it is defined, and where each field of that comes from, if that is known."""

    state: JobState
    definition: JobDefinition
    origin: Mapping[str, str] | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the job is switched on: an operator's word, else the files'."""
        return self.definition.enabled if self.state.override is None else self.state.override

    def next_fire_at(self, now: datetime) -> datetime | None:
        """Return when the job fires next; what no instance has planned yet counts from now."""
        if self.state.definition is not None and not self.state.retired:
            return job_status.next_fire_at(self.state, now)
        schedule = schedule_for(self.definition)
        is_active = self.is_enabled and self.definition.scheduled and not self.state.paused
        return schedule.next_after(now) if schedule and is_active else None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs as of a position."""

    position: Position
    jobs: dict[JobName, KnownJob]


def known_jobs(application: Application, as_of: str | None) -> Known:
    """Return every job that is defined here or in the ledger; as of an earlier moment, the ledger's alone."""
    views = application.views(as_of)
    with views.reading() as connection:
        states = job_status.all_jobs(connection)
    jobs: dict[JobName, KnownJob] = {}
    if as_of is None:
        resolution = application.resolution
        for definition in resolution.every:
            state = states.get(definition.name) or JobState(name=definition.name)
            origin = resolution.origins.get(definition.name)
            jobs[definition.name] = KnownJob(state=state, definition=definition, origin=origin)
    for name, state in states.items():
        if name not in jobs and not state.retired and state.definition is not None:
            jobs[name] = KnownJob(state=state, definition=state.definition)
    return Known(position=views.position, jobs=jobs)


def find(known: Known, name: str) -> KnownJob:
    """Return a job by its label or as `extension:job`; raises UnknownJob with what was probably meant."""
    label = named(name, [job.definition for job in known.jobs.values()])
    if label is None:
        raise unknown(name, known.jobs)
    return known.jobs[label]


def find_state(
    application: Application, states: Mapping[JobName, JobState], name: str, *, as_of: str | None = None
) -> JobState:
    """Return how a job stands in the ledger; one that is only defined here has not begun.

    Raises UnknownJob with what was probably meant; as of an earlier moment, the ledger alone knows jobs.
    """
    in_ledger = [state.definition or JobDefinition(name=state.name) for state in states.values()]
    label = named(name, in_ledger)
    if label is not None:
        return states[label]
    every = application.resolution.every if as_of is None else ()
    definitions = {definition.name: definition for definition in every}
    label = named(name, definitions.values())
    if label is None:
        raise unknown(name, [*states, *definitions])
    return states.get(label) or JobState(name=label, definition=definitions[label])


def as_defined(application: Application, state: JobState) -> JobState:
    """Return how a job stands; before any instance has registered it, by the files that are here."""
    if state.definition is not None:
        return state
    here = {each.name: each for each in application.resolution.every}
    return msgspec.structs.replace(state, definition=here.get(state.name))


def named(name: str, definitions: Iterable[JobDefinition]) -> JobName | None:
    """Return the label of the job that a text names: as it stands, or as the only `extension:job`.

    Raises UsageError if there are several of those.
    """
    found: list[JobName] = []
    for definition in definitions:
        if definition.name == name:
            return definition.name
        if f"{definition.extension}:{definition.job or definition.name}" == name:
            found.append(definition.name)
    if len(found) > 1:
        raise UsageError(
            f"'{name}' may be {len(found)} jobs: {', '.join(found)}", hint="name one of them as it is called"
        )
    return found[0] if found else None


def unknown(name: str, candidates: Iterable[str]) -> UnknownJob:
    """Say that no job has a name, and which one was probably meant."""
    close = difflib.get_close_matches(name, sorted(set(candidates)), n=1)
    return UnknownJob(name, hint=f"did you mean '{close[0]}'?" if close else None)
