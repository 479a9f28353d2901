"""How the cluster stands: who leads, who is up, by which files, and why nothing fires if nothing does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import typer

from cronledger.cli.cluster import shown, up_and_silent
from cronledger.cli.context import Application, application
from cronledger.cli.finding import counted
from cronledger.cli.render import emit
from cronledger.cli.runs import AsOf
from cronledger.domain.events import ConfigApplied, ConfigLoaded, ConfigRejected, Recorded
from cronledger.domain.ids import CONFIG, JobName
from cronledger.domain.job import JobState
from cronledger.domain.run import Phase, RunState
from cronledger.errors import CronledgerError, Outdated
from cronledger.ledger.api import Head, Ledger, require_current
from cronledger.ledger.instances import Instance
from cronledger.projections import fold, job_status, leadership, run_history
from cronledger.projections.moments import fire_time, moment
from cronledger.projections.replay import Views

app = typer.Typer()

JOBS_NAMED = 5


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger and the rows beside it say now."""

    head: Head
    jobs: Mapping[JobName, JobState]
    runs: list[RunState]
    living: list[Instance]
    enabled_here: bool
    refusal: str | None
    """Why an instance of this version would neither lead nor claim."""

    @property
    def active(self) -> list[JobState]:
        """The jobs whose fire times become due."""
        return [state for state in self.jobs.values() if state.is_active]


@app.command()
def status(ctx: typer.Context, *, as_of: AsOf = None) -> None:
    """Show who leads, who is up, by which configuration, and why nothing fires if nothing does.

    As of an earlier moment only what the ledger itself tells: who was up is not history.
    """
    opened = application(ctx)
    lag = fold.lag(opened.existing())
    views = opened.views(as_of)
    if as_of is not None:
        document = _past(views)
    else:
        document = _present(opened, views) | {"views": lag}
    emit(ctx, document, text="\n".join(_text(document)))


def _past(views: Views) -> dict[str, Any]:
    with views.reading() as connection:
        reign = next(iter(leadership.terms(connection, 1)), None)
        runs = run_history.unfinished(connection)
    return {
        "position": views.position,
        "leader": reign.leader if reign is not None and reign.ended_at is None else None,
        "term": 0 if reign is None else reign.term,
        "lease_until": None,
        "config": _config(views, None, None),
        "runs": _counts(runs),
        "next": None,
        "instances": None,
        "why": [],
        "views": None,
    }


def _present(opened: Application, views: Views) -> dict[str, Any]:
    living, silent = up_and_silent(opened.store())
    with views.reading() as connection:
        jobs = job_status.all_jobs(connection)
        runs = run_history.unfinished(connection)
    here, enabled = _here(opened)
    head = views.ledger.head()
    standing = Standing(
        head=head, jobs=jobs, runs=runs, living=living, enabled_here=enabled, refusal=_refusal(views.ledger)
    )
    config = _config(views, here, living)
    differing = {each["instance"] for each in config["differing"]}
    return {
        "position": head.position,
        "leader": None if head.is_vacant else head.leader,
        "term": head.term,
        "lease_until": moment(head.lease_until),
        "config": config,
        "runs": _counts(runs),
        "next": _next(standing),
        "instances": [
            {**shown(each), "alive": each in living, "differs": each.id in differing}
            for each in [*living, *silent]
        ],
        "why": list(_why(standing)),
    }


def _here(opened: Application) -> tuple[str | None, bool]:
    """Return the revision of the files here, None if they are wrong, and whether an instance may plan."""
    try:
        return opened.resolution.revision, opened.settings.enabled
    except CronledgerError:
        return None, True


def _refusal(ledger: Ledger) -> str | None:
    try:
        require_current(ledger)
    except Outdated as error:
        return error.message
    return None


def _config(views: Views, here: str | None, living: list[Instance] | None) -> dict[str, Any]:
    said = [each for each in views.ledger.read_stream(CONFIG) if each.position <= views.position]
    applied = next((each for each in reversed(said) if isinstance(each.body, ConfigApplied)), None)
    current = applied.body.revision if applied and isinstance(applied.body, ConfigApplied) else None
    return {
        "current": current,
        "applied_at": moment(applied.recorded_at) if applied else None,
        "applied_by": str(applied.actor) if applied else None,
        "here": here,
        "differing": [
            {"instance": each.id, "revision": each.config_revision}
            for each in living or ()
            if each.kind == "service" and each.config_revision not in (None, current)
        ],
        "rejected": list(_rejected(said, living)),
    }


def _rejected(said: list[Recorded], living: list[Instance] | None) -> Iterator[dict[str, Any]]:
    """Yield what each living instance has rejected since it last read files that are right.

    Where nobody knows who was up, it is what any instance has.
    """
    standing = {each.instance for each in said} if living is None else {each.id for each in living}
    for recorded in reversed(said):
        body = recorded.body
        if isinstance(body, ConfigLoaded):
            standing.discard(recorded.instance)
        elif isinstance(body, ConfigRejected) and recorded.instance in standing:
            at, problems = moment(recorded.recorded_at), list(body.problems)
            yield {"instance": recorded.instance, "at": at, "problems": problems, "count": body.count}


def _counts(runs: list[RunState]) -> dict[str, int]:
    return {
        phase.value: sum(each.phase is phase for each in runs) for phase in (Phase.WAITING, Phase.RUNNING)
    }


def _next(standing: Standing) -> dict[str, str | None] | None:
    """Return the fire time that comes next, if somebody is there to plan it."""
    if standing.head.is_vacant:
        return None
    now = standing.head.clock
    times = [(at, state.name) for state in standing.active if (at := job_status.next_fire_at(state, now))]
    return {"job": min(times)[1], "fire_at": fire_time(min(times)[0])} if times else None


def _why(standing: Standing) -> Iterator[str]:
    """Yield what keeps everything from firing, or some runs from being performed."""
    services = [each for each in standing.living if each.kind == "service"]
    if not services:
        start = "" if standing.refusal else ": start one with `cronledger up`"
        yield f"no instance is up{start}"
    elif standing.head.is_vacant:
        yield "no instance leads yet: nothing is planned until one does"
    if standing.refusal and (standing.head.is_vacant or not services):
        yield f"no instance of this version may lead: {standing.refusal}"
    if services and not any(each.jobs for each in services):
        yield "no instance takes runs: their files say scheduler.enabled: false, or they have no job's code"
    if not standing.enabled_here:
        yield "the files here say scheduler.enabled: false: an instance with them neither plans nor claims"
    if not standing.active:
        yield _inactive(list(standing.jobs.values()))
    provided = {name for each in services for name in each.jobs}
    if waiting := sorted({each.job for each in standing.runs if each.phase is Phase.WAITING} - provided):
        named = ", ".join(waiting[:JOBS_NAMED]) + (", ..." if len(waiting) > JOBS_NAMED else "")
        yield f"runs wait for an instance that has the code of {named}"
    yield from _full_queues(standing)


def _full_queues(standing: Standing) -> Iterator[str]:
    """Name the queues in which runs wait for their turn."""
    limits: dict[str, int] = {}
    running: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    held = Counter(each.job for each in standing.runs if each.phase is Phase.WAITING)
    for name, state in standing.jobs.items():
        if state.definition is not None and state.definition.queue_limit is not None:
            queue = state.definition.queue
            limits[queue] = state.definition.queue_limit
            running[queue] += len(state.running)
            waiting[queue] += held[name]
    for queue, limit in sorted(limits.items()):
        if waiting[queue] and running[queue] >= limit:
            are = f"{running[queue]} of {limit} running, {counted(waiting[queue], 'run')} waiting"
            yield f"queue {queue} is full: {are}"


def _inactive(jobs: list[JobState]) -> str:
    known = [each for each in jobs if each.definition and not each.retired]
    if not known:
        return "the ledger knows no job: an instance registers what its configuration lists"
    disabled = sum(not each.is_enabled for each in known)
    paused = sum(each.paused and each.is_enabled for each in known)
    manual = len(known) - disabled - paused
    return f"no job has fire times: {disabled} disabled, {paused} paused, {manual} manual only"


# --- for people -----------------------------------------------------------------------------------------


def _text(document: dict[str, Any]) -> Iterator[str]:
    config, runs, coming = document["config"], document["runs"], document["next"]
    term, until = document["term"], document["lease_until"]
    lease = f", with a lease until {until}" if until else ""
    yield _line("leader", f"{document['leader']} in term {term}{lease}" if document["leader"] else "none")
    yield _line("position", document["position"])
    by = f", applied at {config['applied_at']} by {config['applied_by']}" if config["current"] else ""
    yield _line("config", f"{config['current'] or 'none is current yet'}{by}")
    if config["here"] not in (None, config["current"]):
        yield _line("", f"the files here are {config['here']}")
    for each in config["rejected"]:
        yield _line("", f"{each['instance']} rejected its files at {each['at']}: {each['problems'][0]}")
    yield _line("runs", f"{runs['waiting']} waiting, {runs['running']} running")
    if coming:
        yield _line("next", f"{coming['job']} at {coming['fire_at']}")
    if document["views"] is not None:
        behind = [f"{name} {count}" for name, count in document["views"].items() if count]
        yield _line("views", f"behind by events: {', '.join(behind)}" if behind else "at the head")
    if document["instances"] is not None:
        yield _line("instances", counted(len(document["instances"]), "instance"))
        yield from (_line("", _instance(each)) for each in document["instances"])
    yield from (_line("why" if not number else "", each) for number, each in enumerate(document["why"]))


def _line(head: str, said: object) -> str:
    return f"{head:<10} {said}"


def _instance(each: Mapping[str, Any]) -> str:
    state = each["state"] if each["alive"] else f"silent since {each['beat_at']}"
    differs = ", which differs from the ledger's" if each["differs"] else ""
    return f"{each['instance']}  {state}  {each['kind']}  configuration {each['config_revision']}{differs}"
