"""Every exception, with its facts as attributes.

Refusals (`Conflict`, `Fenced`, `Early`) are normal in a world of several instances and are caught in one
place each. Problems are for a person: the message says what, where and what to do. `exit_code` is the
documented exit code of the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar


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

    def __init__(self, job: str, in_the_way: str | None) -> None:
        super().__init__(
            f"job '{job}' is already running as {in_the_way}",
            hint="wait for it to end, or set `overlap: queue` or `overlap: allow` for this job",
        )
        self.job = job
        self.in_the_way = in_the_way


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
        super().__init__(
            f"the database {url} {state}; this version needs {head}",
            hint="run `cronledger db upgrade`",
        )
        self.current = current
        self.head = head


class InvalidCron(CronledgerError):
    """A text is not a schedule in the six-field dialect."""

    code = "invalid_cron"
    exit_code = 5

    def __init__(self, text: str, reason: str, *, field: str | None = None, hint: str | None = None) -> None:
        place = f"{field}: " if field else ""
        super().__init__(f"invalid schedule {text!r}: {place}{reason}", hint=hint)
        self.text = text
        self.reason = reason
        self.field = field


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
        super().__init__(
            "Database not available",
            hint="set `application: {database_url: ...}` in the configuration",
        )


class ServiceNotAvailable(CronledgerError):
    """The job asked for a service that nobody provides."""

    code = "service_not_available"

    def __init__(self, service: str) -> None:
        super().__init__(
            f"service {service} is not available",
            hint="pass it with Scheduler(services=[...]) or let an extension provide it",
        )
        self.service = service
