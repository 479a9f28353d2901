"""When a failed attempt is tried again, and how long that waits.

The default is one attempt: the next fire time is the recovery. Attempts belong to the same run and never
move the schedule. The pause is drawn from the run's name, so that a replay computes the same instant.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from enum import StrEnum

import msgspec


class RetryOn(StrEnum):
    """What an attempt may end with and be tried again."""

    ERROR = "error"
    """The job raised."""
    FAILURE = "failure"
    """The job returned `JobResult.failure(...)`."""
    TIMEOUT = "timeout"
    """The job took longer than `timeout_seconds`."""


class Retry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How often, and after which pauses (seconds), attempts are repeated."""

    max_attempts: int = 1
    backoff_seconds: float = 10.0
    backoff_factor: float = 2.0
    backoff_max_seconds: float = 3600.0
    jitter: bool = True
    on: tuple[RetryOn, ...] = (RetryOn.ERROR, RetryOn.FAILURE, RetryOn.TIMEOUT)


def pause(policy: Retry, run_id: str, attempt: int) -> timedelta:
    """Return how long to wait after attempt number `attempt` (from 1) has failed.

    Full jitter: a fraction of the exponential pause, the same for the same run and attempt.
    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    >>> pause(Retry(max_attempts=3, jitter=False), "tidy@20260101T030000Z", 2)
    datetime.timedelta(seconds=20)
    """
    try:
        seconds = min(
            policy.backoff_max_seconds, policy.backoff_seconds * policy.backoff_factor ** (attempt - 1)
        )
    except OverflowError:
        seconds = policy.backoff_max_seconds
    if policy.jitter:
        seconds *= stable_fraction(f"{run_id}#{attempt}")
    return timedelta(milliseconds=round(seconds * 1000))


def stable_fraction(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone: the first 53 bits of its SHA-256."""
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 11) / 2**53
