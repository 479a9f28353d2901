"""The program's own log: what an instance does, line by line, on standard error."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from cronledger.cli.options import LogFormat, LogLevel
from cronledger.cli.render import clean

ABOUT = ("job", "run", "step", "instance")
"""What a line may say it is about."""


def configure(level: LogLevel, form: LogFormat) -> None:
    """Write lines of `level` and above in the wanted form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form is LogFormat.JSON else _Text())
    logger = logging.getLogger("cronledger")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.value.upper())


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        about = "".join(f" {key}={value}" for key, value in _about(record).items())
        lines = [f"{_at(record)} {record.levelname:<7} {record.name}: {record.getMessage()}{about}"]
        if record.exc_info:
            lines += self.formatException(record.exc_info).splitlines()
        return "\n".join(clean(line) for line in lines)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_about(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _about(record: logging.LogRecord) -> dict[str, str]:
    return {key: str(value) for key in ABOUT if (value := getattr(record, key, None)) is not None}
