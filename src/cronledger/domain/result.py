"""What a job's code reports back."""

from __future__ import annotations

import msgspec


class JobResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Success or failure, counts, a duration and a message; a value, each `with_...` makes a new one.

    >>> JobResult.success().with_stats(42, 1).with_message("Processed 42 items").items_processed
    42

    Attributes:
        ok: Whether the work was done.
        message: One line for history; the error text if not `ok`.
        items_processed, items_failed: Counts, where the job counts.
        duration_ms: Milliseconds; measured by the engine when not set.
    """

    ok: bool
    message: str | None = None
    items_processed: int | None = None
    items_failed: int | None = None
    duration_ms: int | None = None

    @classmethod
    def success(cls) -> JobResult:
        """Report that the work was done."""
        return cls(ok=True)

    @classmethod
    def failure(cls, message: str) -> JobResult:
        """Report that the work could not be done, and why; for what is expected to go wrong at times."""
        return cls(ok=False, message=message)

    def with_stats(self, processed: int, errors: int) -> JobResult:
        """Add how many items were processed and how many failed."""
        return msgspec.structs.replace(self, items_processed=processed, items_failed=errors)

    def with_duration(self, milliseconds: int) -> JobResult:
        """Set the duration instead of letting it be measured."""
        return msgspec.structs.replace(self, duration_ms=milliseconds)

    def with_message(self, text: str) -> JobResult:
        """Add one line for history."""
        return msgspec.structs.replace(self, message=text)
