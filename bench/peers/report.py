"""What an adapter says, read and judged; a peer that says nothing is reported as such."""

from __future__ import annotations

import msgspec

from bench.figures import percentile


class Speed(msgspec.Struct, frozen=True, tag_field="work", tag="throughput"):
    """No-op jobs, from before their enqueueing to the recorded end of the last."""

    jobs: int
    enqueue_seconds: float
    drain_seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Return jobs a second, enqueueing included."""
        return self.jobs / (self.enqueue_seconds + self.drain_seconds)

    @property
    def cpu_micros(self) -> float:
        """Return the microseconds of its process's CPU a job; the server of the database is not in it."""
        return self.cpu_seconds / self.jobs * 1e6


class Lateness(msgspec.Struct, frozen=True, tag_field="work", tag="lateness"):
    """Jobs that are due each second of a window: how late each one that started did so."""

    jobs: int
    due: int
    late_ms: list[float]
    doubled: int
    cpu_seconds: float

    @property
    def missed(self) -> int:
        """Return how many due times had no start."""
        return self.due - len(self.late_ms)

    def late(self, percent: float) -> float | None:
        """Return the milliseconds that so many per cent of the starts did not exceed; None without any."""
        return percentile(self.late_ms, percent) if self.late_ms else None


class Silence(msgspec.Struct, frozen=True):
    """No figure, and why."""

    reason: str


def parsed(output: str, kind: type[Speed | Lateness]) -> Speed | Lateness:
    r"""Read the last line of an adapter's output: libraries may print before it.

    >>> parsed('hello\n{"work":"throughput","jobs":6,"enqueue_seconds":1,"drain_seconds":2,"cpu_seconds":1}',
    ...        Speed).per_second
    2.0

    Raises:
        ValueError: If that is no answer to what was asked.
    """
    lines = output.strip().splitlines() or ["nothing"]
    try:
        return msgspec.json.decode(lines[-1], type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an answer: {lines[-1][:200]!r} ({error})") from None
