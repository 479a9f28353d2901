"""What two runs have done differently, field by field; steps are compared by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cronledger.domain.definition import JobDefinition
from cronledger.domain.events import JobRedefined, JobRegistered
from cronledger.domain.ids import job_stream
from cronledger.domain.run import RunState
from cronledger.ledger.api import Ledger
from cronledger.projections import run_history, step_history

OF_A_RUN = (
    "outcome", "attempt", "instance", "duration_ms", "items_processed", "items_failed", "message", "error",
)  # fmt: skip
OF_A_STEP = ("outcome", "attempt", "duration_ms", "items_processed", "items_failed", "message", "error")

Facts = Mapping[str, Any]


def facts_of(connection: Any, ledger: Ledger, state: RunState) -> Facts:
    """Return what can be compared of a run: of its definition when it was triggered, and of what it did."""
    definition, revision = _defined(ledger, state)
    parameters = {**(definition.parameters if definition else {}), **state.parameters}
    run = run_history.document(state)
    steps = {step.name: step_history.document(step) for step in step_history.of_run(connection, state.run_id)}
    return {
        "job": state.job,
        "cause": run["cause"],
        "revision": revision,
        **{f"parameters.{name}": value for name, value in parameters.items()},
        **{field: run[field] for field in OF_A_RUN},
        **{f"steps.{name}.{field}": step[field] for name, step in steps.items() for field in OF_A_STEP},
    }


def differences(left: Facts, right: Facts) -> list[dict[str, Any]]:
    """Return the fields in which two runs differ; what only one of them has is null for the other.

    >>> differences({"outcome": "failed", "parameters.days": 3}, {"outcome": "failed"})
    [{'field': 'parameters.days', 'left': 3, 'right': None}]
    """
    return [
        {"field": field, "left": left.get(field), "right": right.get(field)}
        for field in {**left, **right}
        if left.get(field) != right.get(field)
    ]


def _defined(ledger: Ledger, state: RunState) -> tuple[JobDefinition | None, str | None]:
    """Return the definition that a run was triggered by, and the revision that it came with."""
    definition, revision = None, None
    for recorded in ledger.read_stream(job_stream(state.job)):
        if recorded.position > state.position:
            break
        if isinstance(recorded.body, JobRegistered | JobRedefined):
            definition, revision = recorded.body.definition, recorded.body.revision
    return definition, revision
