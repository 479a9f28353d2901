"""What an event says as a log line.

Ends and beginnings are INFO, what somebody should look at is WARN, what went wrong is ERROR with the error's
text; the rest is DEBUG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cronledger.domain import events as e
from cronledger.domain.events import Recorded
from cronledger.domain.line import LEVEL_OF, Line
from cronledger.domain.run import Outcome
from cronledger.projections.moments import fire_time
from cronledger.projections.step_state import Step

Words = Callable[[Recorded, Any], str]


def line_of(recorded: Recorded) -> Line:
    """Return the log line that an event stands for."""
    body = recorded.body
    level, words = _LINES.get(type(body), ("DEBUG", _type))
    return Line(
        at=recorded.recorded_at,
        level=level,
        logger="cronledger." + recorded.type.partition(".")[0],
        instance=recorded.instance,
        message=words(recorded, body),
        job=recorded.job,
        run_id=recorded.run_id,
        step=body.name if isinstance(body, Step) else None,
    )


def _type(recorded: Recorded, body: e.Body) -> str:
    del body
    return recorded.type


def _triggered(recorded: Recorded, body: e.RunTriggered) -> str:
    due = fire_time(recorded.fire_at)
    said = f"triggered ({recorded.cause}{', due ' + due if due else ''})"
    return _with(said, body.reason)


def _started(recorded: Recorded, body: e.RunStarted) -> str:
    del body
    return f"started (attempt {recorded.attempt or 1})"


def _ended(recorded: Recorded, body: e.RunEnded) -> str:
    said = recorded.type.removeprefix("run.").replace("_", " ")
    return _with(said, body.error or body.message or body.reason) + _counts(body)


def _attempt(recorded: Recorded, body: e.AttemptEnded) -> str:
    said = f"attempt {recorded.attempt or 1} {recorded.type.removeprefix('attempt.')}"
    return _with(said, body.error or body.reason)


def _late(recorded: Recorded, body: e.RunLateResult) -> str:
    said = f"a late result of attempt {recorded.attempt or 1} changes nothing: {body.outcome}"
    return _with(said, body.error or body.message)


def _step(recorded: Recorded, body: e.StepStarted) -> str:
    del recorded
    return f"step {body.name} started"


def _step_ended(recorded: Recorded, body: e.StepSucceeded | e.StepFailed | e.StepSkipped) -> str:
    said = f"step {body.name} {recorded.type.removeprefix('step.')}"
    why = body.error if isinstance(body, e.StepFailed) else body.message
    return _with(said, why or getattr(body, "reason", None)) + _counts(body)


def _skipped(recorded: Recorded, body: e.FireTimesSkipped) -> str:
    del recorded
    if body.count == 1:
        return f"fire time {fire_time(body.first_at)} skipped: {body.reason}"
    between = f"from {fire_time(body.first_at)} to {fire_time(body.last_at)}"
    return f"{body.count} fire times {between} skipped: {body.reason}"


def _decision(recorded: Recorded, body: Any) -> str:
    verb = recorded.type.partition(".")[2].replace("_", " ")
    return _with(f"{verb} by {recorded.actor.name}", body.reason)


def _elected(recorded: Recorded, body: e.LeaderElected) -> str:
    return _with(f"{recorded.instance} leads term {recorded.term} (epoch {body.epoch})", body.why)


def _resigned(recorded: Recorded, body: e.LeaderResigned) -> str:
    return _with(f"{recorded.instance} no longer leads", body.reason)


def _came(recorded: Recorded, body: e.InstanceStarted) -> str:
    return f"{body.kind or 'instance'} {recorded.instance} started on {body.host} (build {body.build})"


def _went(recorded: Recorded, body: e.InstanceStopped) -> str:
    return _with(f"instance {recorded.instance} stopped", body.reason)


def _blocked(recorded: Recorded, body: e.LoopBlocked) -> str:
    said = f"the loop of {recorded.instance} has been blocked for {body.seconds:g} s"
    return _with(said, body.stack[-1] if body.stack else None)


def _stepped(recorded: Recorded, body: e.ClockStepped) -> str:
    if body.against == "ledger":
        return f"the clock of {recorded.instance} differs from the ledger's by {body.seconds:+g} s"
    return f"the clock of {recorded.instance} was set by {body.seconds:+g} s"


def _applied(recorded: Recorded, body: e.ConfigApplied) -> str:
    del recorded
    numbers = (
        f"{len(body.registered)} registered, {len(body.redefined)} redefined, {len(body.retired)} retired"
    )
    return _with(f"configuration {body.revision} applied ({numbers})", body.reason)


def _feature(recorded: Recorded, body: e.FeatureEnabled) -> str:
    del recorded
    return f"feature {body.name} enabled: every living instance knows it"


def _with(said: str, why: str | None) -> str:
    return f"{said}: {why}" if why else said


def _counts(body: Any) -> str:
    facts = [
        f"{number} {unit}"
        for number, unit in (
            (body.items_processed, "processed"),
            (body.items_failed, "failed"),
            (body.duration_ms, "ms"),
        )
        if number is not None
    ]
    return f" ({', '.join(facts)})" if facts else ""


_LINES: dict[type[e.Body], tuple[str, Words]] = {
    e.RunTriggered: ("DEBUG", _triggered),
    e.RunStarted: ("INFO", _started),
    e.RunSucceeded: (LEVEL_OF[Outcome.SUCCEEDED], _ended),
    e.RunPartial: (LEVEL_OF[Outcome.PARTIAL], _ended),
    e.RunCancelled: (LEVEL_OF[Outcome.CANCELLED], _ended),
    e.RunFailed: (LEVEL_OF[Outcome.FAILED], _ended),
    e.RunTimedOut: (LEVEL_OF[Outcome.TIMED_OUT], _ended),
    e.RunLost: (LEVEL_OF[Outcome.LOST], _ended),
    e.RunLateResult: ("WARN", _late),
    e.RunCancelRequested: ("INFO", _decision),
    e.AttemptFailed: ("ERROR", _attempt),
    e.AttemptLost: ("ERROR", _attempt),
    e.AttemptInterrupted: ("WARN", _attempt),
    e.StepStarted: ("DEBUG", _step),
    e.StepSucceeded: ("INFO", _step_ended),
    e.StepSkipped: ("INFO", _step_ended),
    e.StepFailed: ("ERROR", _step_ended),
    e.FireTimesSkipped: ("WARN", _skipped),
    e.JobEnabled: ("INFO", _decision),
    e.JobDisabled: ("INFO", _decision),
    e.JobReset: ("INFO", _decision),
    e.JobPaused: ("INFO", _decision),
    e.JobResumed: ("INFO", _decision),
    e.LeaderElected: ("INFO", _elected),
    e.LeaderResigned: ("INFO", _resigned),
    e.InstanceStarted: ("INFO", _came),
    e.InstanceStopped: ("INFO", _went),
    e.LoopBlocked: ("ERROR", _blocked),
    e.ClockStepped: ("WARN", _stepped),
    e.ConfigApplied: ("INFO", _applied),
    e.FeatureEnabled: ("INFO", _feature),
}
