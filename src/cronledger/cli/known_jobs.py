"""Jobs as the ledger and the configuration know them together.

The ledger knows what happened, what operators decided and by which definitions the cluster goes; the
configuration of this process knows what is defined here, which counts where the ledger has no definition. A
job may be known to one of them alone: one that has never been up, or one whose code is elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce

import msgspec
import typer

from cronledger.cli.context import Application, application
from cronledger.cli.render import note
from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import JobRetired
from cronledger.domain.ids import CONFIG, JobName, job_stream
from cronledger.domain.job import JobState
from cronledger.domain.revisions import Revisions, evolve
from cronledger.domain.schedule import schedule_for
from cronledger.errors import CronledgerError, UnknownJob, UsageError
from cronledger.ledger.api import Ledger
from cronledger.projections import job_status
from cronledger.projections.moments import moment
from cronledger.projections.replay import Views


class Retired(CronledgerError):
    """No configuration lists the job any more; the ledger remembers it."""

    code = UnknownJob.code
    exit_code = UnknownJob.exit_code


class KnownJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job: how it stands, how it is defined, and where each field of that comes from, if that is known.

    Attributes:
        definition: By which the cluster goes; before any instance was up, that of the files here.
        here: That of the files here, if they have the job.
    """

    state: JobState
    definition: JobDefinition
    here: JobDefinition | None = None
    origin: Mapping[str, str] | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the job is switched on: an operator's word, else the definition's."""
        return self.definition.enabled if self.state.override is None else self.state.override

    @property
    def by_hand(self) -> JobDefinition:
        """By which definition the job is run by hand: that of the files here, if they have the job."""
        return self.here or self.definition

    def next_fire_at(self, now: datetime) -> datetime | None:
        """Return when the job fires next; what no instance has planned yet counts from now."""
        if _in_force(self.state):
            return job_status.next_fire_at(self.state, now)
        schedule = schedule_for(self.definition)
        is_active = self.is_enabled and self.definition.scheduled and not self.state.paused
        return schedule.next_after(now) if schedule and is_active else None


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs as of a position, and beside them those that the ledger remembers as retired."""

    views: Views
    jobs: dict[JobName, KnownJob]
    retired: dict[JobName, JobDefinition]


def known_jobs(opened: Application, as_of: str | None) -> Known:
    """Return every job that is defined here or in the ledger; as of an earlier moment, the ledger's alone."""
    views = opened.views(as_of)
    with views.reading() as connection:
        states = job_status.all_jobs(connection)
    jobs: dict[JobName, KnownJob] = {}
    if as_of is None:
        resolution = opened.resolution
        for definition in resolution.every:
            state = states.get(definition.name) or JobState(name=definition.name)
            effective = _in_force(state) or definition
            origin = resolution.origins.get(definition.name) if effective == definition else None
            jobs[definition.name] = KnownJob(
                state=state, definition=effective, here=definition, origin=origin
            )
    others = {name: state for name, state in states.items() if name not in jobs}
    for name, state in others.items():
        if (in_force := _in_force(state)) is not None:
            jobs[name] = KnownJob(state=state, definition=in_force)
    retired = {name: state.definition for name, state in others.items() if state.retired and state.definition}
    return Known(views=views, jobs=jobs, retired=retired)


def _in_force(state: JobState) -> JobDefinition | None:
    """Return by which definition the cluster goes, if it knows the job."""
    return None if state.retired else state.definition


def find(known: Known, name: str) -> KnownJob:
    """Return a job by its label or as `extension:job`.

    Raises Retired, or UnknownJob with what was probably meant.
    """
    label = named(name, [job.definition for job in known.jobs.values()])
    if label is not None:
        return known.jobs[label]
    gone = named(name, known.retired.values())
    raise unknown(name, known.jobs) if gone is None else _retired(known.views, gone)


def _retired(views: Views, name: JobName) -> Retired:
    """Say since when a job is retired, and how to see more of it."""
    last = next(
        recorded
        for recorded in reversed(views.ledger.read_stream(job_stream(name)))
        if recorded.type == JobRetired.type and recorded.position <= views.position
    )
    return Retired(
        f"job '{name}' was retired at {moment(last.recorded_at)}",
        hint=f"`cronledger infra jobs history --job {name}` shows its runs, and "
        f"`infra jobs show {name} --as-of position:{last.position - 1}` how it was defined",
    )


def find_state(
    opened: Application, states: Mapping[JobName, JobState], name: str, *, as_of: str | None = None
) -> JobState:
    """Return how a job stands in the ledger; one that is only defined here has not begun.

    Raises UnknownJob with what was probably meant; as of an earlier moment, the ledger alone knows jobs.
    """
    in_ledger = [state.definition or JobDefinition(name=state.name) for state in states.values()]
    label = named(name, in_ledger)
    if label is not None:
        return states[label]
    every = opened.resolution.every if as_of is None else ()
    definitions = {definition.name: definition for definition in every}
    label = named(name, definitions.values())
    if label is None:
        raise unknown(name, [*states, *definitions])
    return states.get(label) or JobState(name=label, definition=definitions[label])


def as_defined(opened: Application, state: JobState) -> JobState:
    """Return how a job stands; before any instance has registered it, by the files that are here."""
    if state.definition is not None:
        return state
    here = {each.name: each for each in opened.resolution.every}
    return msgspec.structs.replace(state, definition=here.get(state.name))


def named(name: str, definitions: Iterable[JobDefinition]) -> JobName | None:
    """Return the label of the job that a text names: as it stands, or as the only `extension:job`.

    Raises UsageError if there are several of those.
    """
    found: list[JobName] = []
    for definition in definitions:
        if definition.name == name:
            return definition.name
        if f"{definition.extension}:{definition.code}" == name:
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


def note_other_files(ctx: typer.Context, as_of: str | None = None) -> None:
    """Say so if the files here are not those by which the cluster goes; what was earlier, no file tells."""
    opened = application(ctx)
    current = current_revision(opened.store().ledger) if as_of is None else None
    if here := other_files(opened, current):
        note(
            ctx,
            f"the files here ({here}) are not the current configuration ({current}), by which jobs fire; "
            "`cronledger config show` shows the files",
        )


def current_revision(ledger: Ledger) -> str | None:
    """Return which revision of the configuration is current in the cluster."""
    return reduce(evolve, ledger.read_stream(CONFIG), Revisions()).current


def other_files(opened: Application, current: str | None) -> str | None:
    """Return the revision of the files here if they are not the current configuration; raises ConfigError.

    Where there are no files, nobody can take them for the cluster's.
    """
    here = opened.resolution.revision
    return here if opened.settings.files and current not in (None, here) else None
