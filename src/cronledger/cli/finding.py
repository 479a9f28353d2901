"""What one check of `doctor` found: a status, a sentence, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from cronledger.errors import ConfigError, CronledgerError

LINES_SHOWN = 20

Status = Literal["ok", "warn", "fail", "skipped"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a check. `details` are for programs, `lines` say the same to people."""

    check: str
    status: Status
    message: str
    hint: str | None = None
    details: dict[str, Any] = {}
    lines: tuple[str, ...] = ()
    exit_code: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        said = {"check": self.check, "status": self.status, "message": self.message, "hint": self.hint}
        return said | self.details

    def text(self) -> Iterator[str]:
        """Yield it as people read it."""
        yield f"{self.status:<7}  {self.check:<13}  {self.message}"
        yield from (f"{'':24}{line}" for line in self.lines[:LINES_SHOWN])
        if len(self.lines) > LINES_SHOWN:
            yield f"{'':24}... and {len(self.lines) - LINES_SHOWN} more, with -o json"
        if self.hint:
            yield f"{'':24}hint: {self.hint}"


def failed(check: str, error: CronledgerError) -> Finding:
    """Turn an error into a finding; the exit code is the error's."""
    found = Finding(
        check=check,
        status="fail",
        message=error.message,
        hint=error.hint,
        details={"code": error.code},
        exit_code=error.exit_code,
    )
    if not isinstance(error, ConfigError):
        return found
    return msgspec.structs.replace(
        found,
        message=counted(len(error.problems), "problem"),
        details=found.details | {"problems": list(error.problems)},
        lines=tuple(error.message.splitlines()),
    )


def skipped(check: str, why: str) -> Finding:
    """Say that a check could not be made."""
    return Finding(check=check, status="skipped", message=why)


def counted(count: int, noun: str) -> str:
    """Say how many there are of something.

    >>> counted(1, "job"), counted(2, "job")
    ('1 job', '2 jobs')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
