"""An event-sourced job scheduler: each job once, and a ledger that proves it.

Everything a first day needs stands here; the heavy parts are imported when they are first used.

- `job`, `submit_job`, `Job`, `Extension`: defining jobs, and giving a set of them a name.
- `JobContext`, `JobResult`: what a job is given, and what it may return.
- `Pipeline`, `PipelineStep`, `StepFailed`, `DuplicateStep`: jobs that are made of steps.
- `Scheduler`: taking part in a ledger, or triggering runs on it, from an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cronledger._version import __version__

if TYPE_CHECKING:
    from cronledger.domain.result import JobResult
    from cronledger.jobs.api import Job, JobContext
    from cronledger.jobs.decorator import job, submit_job
    from cronledger.jobs.pipeline import Pipeline, PipelineStep
    from cronledger.jobs.registry import Extension
    from cronledger.jobs.steps import DuplicateStep, StepFailed
    from cronledger.scheduler import Scheduler

__all__ = [
    "DuplicateStep",
    "Extension",
    "Job",
    "JobContext",
    "JobResult",
    "Pipeline",
    "PipelineStep",
    "Scheduler",
    "StepFailed",
    "__version__",
    "job",
    "submit_job",
]

_HOMES = {
    "DuplicateStep": "cronledger.jobs.steps",
    "Extension": "cronledger.jobs.registry",
    "Job": "cronledger.jobs.api",
    "JobContext": "cronledger.jobs.api",
    "JobResult": "cronledger.domain.result",
    "Pipeline": "cronledger.jobs.pipeline",
    "PipelineStep": "cronledger.jobs.pipeline",
    "Scheduler": "cronledger.scheduler",
    "StepFailed": "cronledger.jobs.steps",
    "job": "cronledger.jobs.decorator",
    "submit_job": "cronledger.jobs.decorator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the lazy names are this module's purpose

    return getattr(import_module(_HOMES[name]), name)
