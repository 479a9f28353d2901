"""Every exception, with its facts as attributes.

Refusals (`Conflict`, `Fenced`, `Early`) are normal in a world of several instances and are caught in one
place each. Problems are for a person: the message says what, where and what to do. `exit_code` is the
documented exit code of the command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, ClassVar


class CronledgerError(Exception):
    """Something this package refuses or cannot do."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


# --- refusals -------------------------------------------------------------------------------------------


class Refusal(CronledgerError):
    """The ledger did not take an item; the caller decides again."""

    code = "refused"
    exit_code = 4


class Conflict(Refusal):
    """The stream has moved past the expected version, or the job is no longer quiet."""

    code = "conflict"

    def __init__(self, stream: str, expected: int | None, actual: int | None) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class Fenced(Refusal):
    """A later term has begun: whoever claimed this one no longer leads."""

    code = "fenced"

    def __init__(self, fence: int, term: int) -> None:
        super().__init__(f"term {fence} is over; the ledger is in term {term}")
        self.fence = fence
        self.term = term


class Led(Refusal):
    """Somebody else leads and the lease has not run out."""

    code = "led"

    def __init__(self, leader: str | None, lease_until: datetime | None) -> None:
        super().__init__(f"{leader} leads until {lease_until}")
        self.leader = leader
        self.lease_until = lease_until


class Early(Refusal):
    """A trigger stands before its fire time by the ledger's clock."""

    code = "early"

    def __init__(self, fire_at: datetime, clock: datetime) -> None:
        super().__init__(
            f"fire time {fire_at.isoformat()} has not come: the ledger's clock says {clock.isoformat()}"
        )
        self.fire_at = fire_at
        self.clock = clock


class Overlap(Refusal):
    """Another run of the job is in flight and its overlap policy does not let this one join."""

    code = "overlap"

    def __init__(self, job: str, in_the_way: str | None, more: str = "", *, hint: str | None = None) -> None:
        super().__init__(
            f"job '{job}' is already running as {in_the_way}{more}",
            hint=hint or "wait for it to end, or set `overlap: queue` or `overlap: allow` for this job",
        )
        self.job = job
        self.in_the_way = in_the_way


class SomeRefused(Refusal):
    """Some of several requests were refused, a line for each; `runs` is how those of the others stand."""

    def __init__(self, refusals: Sequence[Refusal], runs: Sequence[Any]) -> None:
        super().__init__("\n".join(each.message for each in refusals), hint=refusals[0].hint)
        self.runs = runs


class Superseded(Refusal):
    """The cluster has moved on from a configuration, and a living instance carries the current one."""

    code = "superseded"

    def __init__(self, revision: str, current: str | None, carried_by: str) -> None:
        super().__init__(
            f"configuration {revision} was superseded by {current}, which {carried_by} carries",
            hint="give all instances these files, or say --force to make them current all the same",
        )
        self.revision = revision
        self.current = current
        self.carried_by = carried_by


# --- problems -------------------------------------------------------------------------------------------


class LedgerDamaged(CronledgerError):
    """The ledger holds, or was asked to hold, something that cannot be true."""

    code = "ledger_damaged"
    exit_code = 7


class LedgerGap(LedgerDamaged):
    """Positions are not contiguous: an event is missing."""

    code = "ledger_gap"

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(
            f"position {expected} is missing from the ledger (the next event has position {found})",
            hint="run `cronledger ledger verify`; somebody has deleted events or restored a partial copy",
        )
        self.expected = expected
        self.found = found


class LedgerRegressed(CronledgerError):
    """The database no longer knows an event that it had acknowledged."""

    code = "ledger_regressed"
    exit_code = 7

    def __init__(self, position: int, event_id: str) -> None:
        super().__init__(
            f"event {event_id} was durable at position {position} and is not there any more",
            hint="the database was failed over to a copy that lagged, or restored from an earlier backup",
        )
        self.position = position
        self.event_id = event_id


class LedgerUnreachable(CronledgerError):
    """The database does not answer, or may not be written."""

    code = "ledger_unreachable"
    exit_code = 6


class SchemaOutdated(CronledgerError):
    """The database has no schema, or not the one this version needs."""

    code = "schema_outdated"
    exit_code = 6

    def __init__(self, url: str, current: str | None, head: str) -> None:
        state = "has no cronledger schema" if current is None else f"is at schema {current}"
        message = f"the database {url} {state}; this version needs {head}"
        super().__init__(message, hint="run `cronledger db upgrade`")
        self.current = current
        self.head = head


class MigrationBlocked(CronledgerError):
    """The schema could not be upgraded in time, because others were in the way; nothing was changed."""

    code = "migration_blocked"
    exit_code = 6

    def __init__(self, url: str, seconds: float, why: str) -> None:
        super().__init__(
            f"the schema of {url} was not upgraded within {seconds:g} s, and nothing was changed: {why}",
            hint="let whoever is in the way end, then run `cronledger db upgrade` again",
        )


class Outdated(CronledgerError):
    """The ledger holds something that only a newer version may go on from."""

    code = "version_outdated"
    exit_code = 6


class NotUnderstood(Outdated):
    """An event that must be understood is of a type that this version does not know."""

    code = "event_not_understood"

    def __init__(self, position: int, type: str, schema: int) -> None:  # noqa: A002 - the contract's word
        super().__init__(
            f"the event at position {position} is of type '{type}' (schema {schema}), which this version of "
            "cronledger does not know and must not skip",
            hint="use the newer version of cronledger that wrote it; this one can show earlier moments",
        )
        self.position = position
        self.type = type


class WriterOutdated(Outdated):
    """Only newer versions may append to the ledger."""

    code = "writer_outdated"

    def __init__(self, needed: int, own: int) -> None:
        super().__init__(
            f"this version of cronledger writes in way {own} and the ledger takes {needed} or later: it is "
            "read here, and neither led nor appended to",
            hint="use the version of cronledger that the other instances run",
        )
        self.needed = needed
        self.own = own


class InvalidSchedule(CronledgerError):
    """A text does not say when a job is due."""

    code = "invalid_schedule"
    exit_code = 5

    def __init__(self, text: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"invalid schedule {text[:80]!r}: {reason}", hint=hint)
        self.text = text
        self.reason = reason


class InvalidCron(InvalidSchedule):
    """A text is not a schedule in the six-field dialect; as a string, with the place marked.

    >>> print(InvalidCron("0 60 * * * *", "60 is outside 0-59", field="minute", place=(2, 4)))
    minute: 60 is outside 0-59
      0 60 * * * *
        ^^
    """

    code = "invalid_cron"

    def __init__(
        self,
        text: str,
        reason: str,
        *,
        field: str | None = None,
        place: tuple[int, int] | None = None,
        hint: str | None = None,
    ) -> None:
        self.place = place or _place_of(field, text)
        """Offsets in the text: of the first character that is wrong, and behind the last."""
        self._headline = f"{field}: {reason}" if field else reason
        start, end = _view(text, self.place[0])
        shown = "..." * (start > 0) + text[start:end] + "..." * (end < len(text))
        super().__init__(shown, self._headline, hint=hint)
        self.text = text
        self.reason = reason
        self.field = field

    def __str__(self) -> str:
        return f"{self._headline}\n{self.marked}" if self.text.strip(" \t") else self._headline

    @property
    def marked(self) -> str:
        """The text and, on a second line, carets under the place; of a long text only what is round it."""
        (first, last), (start, end) = self.place, _view(self.text, self.place[0])
        before = "..." * (start > 0) + _visible(self.text[start:first])
        wrong = _visible(self.text[first : min(last, end)])
        after = _visible(self.text[min(last, end) : end]) + "..." * (end < len(self.text))
        return f"  {before}{wrong}{after}\n  {' ' * len(before)}{'^' * max(1, len(wrong))}"


_CRON_FIELDS = ("second", "minute", "hour", "day", "month", "weekday")
_COLUMNS, _COLUMNS_BEFORE, _COLUMNS_AFTER = 76, 26, 44


def _place_of(field: str | None, text: str) -> tuple[int, int]:
    """Return where a field stands; everything but the blanks around it if that cannot be said."""
    if field in _CRON_FIELDS:
        words = [found.span() for found in re.finditer("[^ \t]+", text)]
        if len(words) == len(_CRON_FIELDS):
            return words[_CRON_FIELDS.index(field)]
    inner = text.strip(" \t")
    start = text.find(inner)
    return start, start + len(inner)


def _view(text: str, place: int) -> tuple[int, int]:
    """Return the bounds of what is shown of a text: all of it, or what fits on a line round the place."""
    if len(text) <= _COLUMNS and len(_visible(text)) <= _COLUMNS:
        return 0, len(text)
    before = text[max(0, place - _COLUMNS_BEFORE) : place]
    after = text[place : place + _COLUMNS_AFTER]
    return place - _fitting(reversed(before), _COLUMNS_BEFORE), place + _fitting(after, _COLUMNS_AFTER)


def _fitting(chars: Iterable[str], columns: int) -> int:
    """Return how many characters fit."""
    widths = accumulate(len(_visible(char)) for char in chars)
    return sum(width <= columns for width in widths)


def _visible(text: str) -> str:
    """Show in ASCII, in one line, what a terminal would obey, hide or draw wider than one column."""
    return text.replace("\t", " ").encode("unicode_escape").decode().replace("\\\\", "\\")


class UnknownZone(CronledgerError):
    """No time zone has this name."""

    code = "unknown_zone"
    exit_code = 5

    def __init__(self, zone: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"unknown time zone {zone!r}", hint=hint or "use a name such as 'UTC' or 'Europe/Berlin'"
        )
        self.zone = zone


class ConfigError(CronledgerError):
    """The configuration has errors; all of them, each as `FILE:LINE:COLUMN: error: ...`."""

    code = "config_invalid"
    exit_code = 5

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class RegistryError(CronledgerError):
    """Extensions do not fit together: a name is taken, or a module cannot be imported."""

    code = "extension_invalid"
    exit_code = 5


class UnknownJob(CronledgerError):
    """No job has this name."""

    code = "unknown_job"
    exit_code = 3

    def __init__(self, name: str, *, hint: str | None = None) -> None:
        super().__init__(f"unknown job '{name}'", hint=hint or "see `cronledger infra jobs list`")
        self.name = name


class NotFound(CronledgerError):
    """What was asked for is not in the ledger."""

    code = "not_found"
    exit_code = 3


class UsageError(CronledgerError):
    """An argument or option cannot be used as given."""

    code = "usage"
    exit_code = 2


class DatabaseNotAvailable(CronledgerError):
    """The job asked for the application's database and none is configured."""

    code = "database_not_available"

    def __init__(self) -> None:
        hint = "set `application: {database_url: ...}` in the configuration"
        super().__init__("Database not available", hint=hint)


class ServiceNotAvailable(CronledgerError):
    """The job asked for a service that nobody provides."""

    code = "service_not_available"

    def __init__(self, service: str) -> None:
        super().__init__(
            f"service {service} is not available",
            hint="pass it with Scheduler(services=[...]) or let an extension provide it",
        )
        self.service = service
