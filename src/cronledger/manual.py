"""Manual runs: triggered by a person or a program, beside the schedule and never moving it.

A run is performed by a living instance that provides the job. Where there is none, this process performs it
itself, under the same rules: it has a row as an instance, claims only its own runs, and never leads.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import msgspec

from cronledger.clock import Clock
from cronledger.config.resolve import Resolution
from cronledger.domain import events as e
from cronledger.domain import run
from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import InstanceId, RunId, keyed_run, manual_run, retry_run, run_stream
from cronledger.domain.job import JobState
from cronledger.domain.overlap import Overlap as OverlapPolicy
from cronledger.domain.overlap import admit
from cronledger.domain.requests import Requested
from cronledger.domain.run import Phase, RunState
from cronledger.engine.plan import Kind, Plan
from cronledger.entropy import Entropy, uuid7
from cronledger.errors import LedgerUnreachable, Overlap, Refusal, SomeRefused, UnknownJob, UsageError
from cronledger.jobs.parameters import fitted
from cronledger.jobs.registry import Registry
from cronledger.jobs.together import together
from cronledger.ledger import instances
from cronledger.ledger.api import Item, Quiet, Write, despite_conflicts, require_current
from cronledger.ledger.borrowed import Home, write
from cronledger.ledger.database import Store
from cronledger.ledger.normal import MESSAGE_BYTES, cleaned, normalised, truncated
from cronledger.ledger.parameters import checked_parameters
from cronledger.projections import job_status
from cronledger.projections.replay import current

if TYPE_CHECKING:
    from cronledger.scheduler import Scheduler

log = logging.getLogger("cronledger.instance")
POLL_SECONDS = 0.2
WITHDRAWN = e.Actor.engine("instance")
ENDS_ONCE_UP = "it ends once an instance is up: `cronledger up`"
NOBODY_PROVIDES_IT = "no living instance provides it: name its code with --app"


Look = Callable[[Store, Sequence[RunId]], None]
"""What shows runs to somebody who waits for them."""


class Request(msgspec.Struct, frozen=True):
    """What somebody wants to run, and on whose word.

    Attributes:
        parameters: As the ledger keeps them.
        key: The same key from the same actor asks for one run, however often.
        of: The run that is to be repeated; from_step: the step from which on nothing is taken over from it.
    """

    definition: JobDefinition
    parameters: dict[str, Any]
    actor: str
    reason: str | None = None
    key: str | None = None
    of: RunState | None = None
    from_step: str | None = None


def definition_of(resolution: Resolution, name: str) -> JobDefinition:
    """Find a job by its label or as `extension:job`. Raises UnknownJob with what was probably meant."""
    by_name = {definition.name: definition for definition in resolution.every}
    if not isinstance(name, str):
        raise UnknownJob(str(normalised(name)))
    if name in by_name:
        return by_name[name]  # type: ignore[index] # a text that equals a JobName is one
    extension, _, job = name.partition(":")
    found = [each for each in resolution.every if job and (each.extension, each.code) == (extension, job)]
    if len(found) == 1:
        return found[0]
    close = difflib.get_close_matches(name, by_name, n=1)
    raise UnknownJob(name, hint=f"did you mean '{close[0]}'?" if close else None)


def requests(
    scheduler: Scheduler,
    jobs: Sequence[str | JobDefinition],
    parameters: Mapping[Any, Any] | None,
    *,
    actor: str,
    reason: str | None = None,
    key: str | None = None,
) -> list[Request]:
    """Return what is asked for. Raises UnknownJob, or UsageError for what is no text or does not fit."""
    for what, text in (("actor", actor), ("reason", reason), ("key", key)):
        if text is not None and not isinstance(text, str):
            raise UsageError(f"{what} is {normalised(text)!r}, which is not a text")
    found = scheduler.resolution
    definitions = [each if isinstance(each, JobDefinition) else definition_of(found, each) for each in jobs]
    given = [fitted_parameters(scheduler.registry, each, parameters) for each in definitions]
    return [Request(each, own, actor, reason, key) for each, own in zip(definitions, given, strict=True)]


def fitted_parameters(
    registry: Registry, definition: JobDefinition, given: Mapping[Any, Any] | None
) -> dict[str, Any]:
    """Return parameters as the ledger keeps them, and as the code of a job declares them if it is here.

    Raises UsageError.
    """
    given = checked_parameters(given or {})
    code = registry.code_of(definition.extension, definition.code)
    return checked_parameters(fitted(code, definition.name, given, definition.parameters)) if code else given


def provided_by_the_living(store: Store) -> frozenset[str]:
    """Return the jobs that some living instance can perform."""
    now = store.ledger.head().clock
    with store.reading() as connection:
        rows = [row for row in instances.known(connection) if row.kind == "service"]
    dead = store.dead_instances(rows, now)
    return frozenset(
        job for row in rows if row.id not in dead and row.state != "draining" for job in row.jobs
    )


def trigger(
    store: Store, request: Request, clock: Clock, entropy: Entropy, *, bound_to: InstanceId | None = None
) -> RunId:
    """Append the trigger of a manual run, or of a retry, under the job's overlap policy.

    Raises Overlap or Conflict, or an `Outdated` if only a newer version may decide here.
    """
    require_current(store.ledger)
    definition = request.definition
    actor = e.Actor.operator(request.actor)
    unique = request.key or uuid7(clock.now(), entropy)

    def decide() -> RunId:
        run_id = _name(store, request, unique)
        event = run.trigger(
            definition,
            run_id,
            e.Cause.RETRY if request.of else e.Cause.MANUAL,
            actor,
            fire_at=request.of.fire_at if request.of else None,
            parameters=request.parameters,
            of=request.of.run_id if request.of else None,
            from_step=request.from_step,
            instance=bound_to,
            reason=request.reason,
        )
        state = _state(store, definition)
        if request.key and store.ledger.read_stream(run_stream(run_id)):
            return run_id  # looked at last: the run that is in the way may be this very one
        policy = (state.definition or definition).overlap
        if not admit(policy, 1, in_flight=len(state.in_the_way)):
            raise _overlap(store, state, policy)
        quiet = None if policy is OverlapPolicy.ALLOW else Quiet(definition.name, state.position)
        writes = [Write(run_stream(run_id), (event,), quiet_since=quiet)]
        writes += _replaced(store, state, actor) if policy is OverlapPolicy.REPLACE else []
        store.ledger.append(*writes)
        return run_id

    return despite_conflicts(decide)


def request_over(
    connection: object, home: Home, request: Request, *, clock: Clock, entropy: Entropy
) -> RunId:
    """Ask for a run over an application's connection, in its transaction; return the run's name.

    Raises UsageError before anything is written; see `cronledger.ledger.borrowed`.
    """
    for what, text in (("the key", request.key), ("the actor", request.actor)):
        if text is not None and cleaned(text) != text:
            raise UsageError(f"{what} cannot be kept", hint="use text without NUL and lone surrogates")
    now = clock.now()
    requested = Requested(
        id=uuid7(now, entropy),
        job=request.definition.name,
        actor=request.actor,
        parameters=request.parameters,
        key=request.key or None,
        reason=request.reason and truncated(request.reason, MESSAGE_BYTES),
    )
    write(connection, home, requested, now)
    return requested.run_id


async def perform(
    scheduler: Scheduler,
    store: Store,
    requests: Sequence[Request],
    look: Look | None = None,
    *,
    local: bool,
    wait: bool,
    seconds: float | None,
) -> list[RunState]:
    """Trigger every request and follow the runs to their end; perform here what nobody else can.

    Meanwhile `look` is shown them, in a thread. Requests that are refused keep no other from its run; they
    are raised afterwards, as SomeRefused where there were several requests.
    """
    mine: list[RunId] = []
    others: list[RunId] = []
    refused: list[Refusal] = []

    def triggered() -> None:
        living = frozenset() if local else provided_by_the_living(store)
        if any(request.definition.name not in living for request in requests):
            scheduler.databases().close()  # what cannot be had here is better told before there is a run
        for request in requests:
            is_theirs = request.definition.name in living
            bound_to = None if is_theirs else store.ledger.instance
            try:
                run_id = trigger(store, request, scheduler.clock, scheduler.entropy, bound_to=bound_to)
            except Refusal as refusal:
                refused.append(refusal)
            else:
                (others if is_theirs else mine).append(run_id)

    await anyio.to_thread.run_sync(triggered)
    async with together() as tasks:
        if look is not None and wait:
            tasks.start_soon(_show, look, store, [*mine, *others])
        states = await see_through(scheduler, store, mine, others, wait=wait, seconds=seconds)
        tasks.cancel_scope.cancel()
    if refused:
        raise refused[0] if len(requests) == 1 else SomeRefused(refused, states)
    return states


async def _show(look: Look, store: Store, run_ids: Sequence[RunId]) -> None:
    while True:
        with suppress(LedgerUnreachable):
            await anyio.to_thread.run_sync(look, store, run_ids)
        await anyio.sleep(POLL_SECONDS)


async def see_through(
    scheduler: Scheduler,
    store: Store,
    mine: Sequence[RunId],
    others: Sequence[RunId] = (),
    *,
    wait: bool,
    seconds: float | None,
) -> list[RunState]:
    """Perform `mine` here and follow all runs to their end; TimeoutError once `seconds` have passed."""
    with anyio.move_on_after(seconds) as deadline:
        if mine:
            await _perform_here(scheduler, store, mine, deadline)
        if not deadline.cancel_called:
            states = await followed(store, [*mine, *others], wait=wait)
    if deadline.cancel_called:
        raise TimeoutError(f"not all runs had ended after {seconds:g} s")
    return states


async def _perform_here(
    scheduler: Scheduler, store: Store, mine: Sequence[RunId], deadline: anyio.CancelScope
) -> None:
    """Be an instance for these runs only; when time is up, hand them back before going."""
    plan = Plan(
        kind=Kind.ONESHOT,
        max_runs=min(len(mine), scheduler.settings.max_runs),
        only=frozenset(mine),
        drain_seconds=scheduler.settings.drain_seconds,
    )
    have_ended = False
    with anyio.CancelScope(shield=True):
        try:
            async with scheduler.instance_at_work(store, plan) as engine:
                try:
                    with anyio.CancelScope(deadline=deadline.deadline) as limit:
                        await followed(store, mine, wait=True)
                        have_ended = True
                except BaseException:
                    engine.abandon()
                    raise
                if limit.cancelled_caught:
                    deadline.cancel()
                    engine.abandon()
        finally:
            if not have_ended:
                await anyio.to_thread.run_sync(_withdraw, store, mine)


def _withdraw(store: Store, mine: Sequence[RunId]) -> None:
    """End those that wait for this process alone, as far as the ledger listens."""
    with suppress(LedgerUnreachable):
        asked = [
            Item((Write(run_stream(run_id), tuple(events), expected=state.version),))
            for run_id in mine
            if (events := run.withdraw(state := folded(store, run_id), WITHDRAWN))
        ]
        store.ledger.submit([store.ledger.prepare(item) for item in asked])


async def followed(
    store: Store, run_ids: Sequence[RunId], *, wait: bool, look: Callable[[RunState], None] = lambda _: None
) -> list[RunState]:
    """Read the runs' streams until all have ended, however long the ledger is away: they go on meanwhile.

    Of thousands only the next one is read again, and `look` is shown it each time, in a thread.
    """
    ended: list[RunState] = []

    def look_on() -> None:
        for run_id in run_ids[len(ended) :]:
            state = folded(store, run_id)
            look(state)
            if wait and state.phase is not Phase.ENDED:
                break
            ended.append(state)

    trouble = ""
    while True:
        try:
            await anyio.to_thread.run_sync(look_on)
        except LedgerUnreachable as error:
            if not wait:
                raise
            if str(error) != trouble:
                log.warning("the ledger does not answer: %s", error)
            trouble = str(error)
        if len(ended) == len(run_ids):
            return ended
        await anyio.sleep(POLL_SECONDS)


def folded(store: Store, run_id: RunId) -> RunState:
    """Return a run that is known to be in the ledger, as its stream tells it."""
    state = run.folded(store.ledger.read_stream(run_stream(run_id)))
    assert state is not None, f"{run_id} has been triggered"
    return state


def is_left_behind(store: Store, state: RunState) -> bool:
    """Whether the process of an unfinished run is provably gone, and no instance leads that would end it."""
    owner = state.instance if state.phase is Phase.RUNNING else state.bound_to
    head = store.ledger.head()
    if owner is None or not head.is_vacant:
        return False
    with store.reading() as connection:
        known = instances.known(connection)
    return owner in store.dead_instances(known, head.clock)


def _overlap(store: Store, state: JobState, policy: OverlapPolicy) -> Overlap:
    """Return the refusal of another run, with what becomes of those in its way."""
    first, *waiting = state.in_the_way
    if is_left_behind(store, folded(store, first)):
        return Overlap(state.name, first, ", whose process is gone", hint=ENDS_ONCE_UP)
    if policy is OverlapPolicy.QUEUE and waiting:
        hint = "wait for one to end, or set `overlap: allow` with `max_concurrent: 1` to let any number wait"
        return Overlap(state.name, first, f", and {waiting[0]} waits", hint=hint)
    return Overlap(state.name, first)


def _name(store: Store, request: Request, unique: str) -> RunId:
    """Name the run that is asked for; a retry is numbered after those that there are."""
    if request.of is None:
        name = request.definition.name
        return keyed_run(name, request.actor, unique) if request.key else manual_run(name, unique)
    numbered = (retry_run(request.of.run_id, number) for number in count(1))
    return next(run_id for run_id in numbered if not store.ledger.read_stream(run_stream(run_id)))


def _state(store: Store, definition: JobDefinition) -> JobState:
    with current(store) as views, views.reading() as connection:
        known = job_status.one(connection, definition.name)
    return known or JobState(name=definition.name)


def _replaced(store: Store, state: JobState, actor: e.Actor) -> list[Write]:
    """Ask the runs in the way to stop."""
    writes = []
    for run_id in state.in_the_way:
        other = folded(store, run_id)
        events = run.request_cancel(other, actor, "replaced by a manual run")
        if events:
            writes.append(Write(run_stream(run_id), tuple(events), expected=other.version))
    return writes
