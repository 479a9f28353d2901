"""What a job says is told on without the secrets that it was given."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from cronledger.domain.events import Event

Hide = Callable[[Any], Any]
"""Stars out secrets in a text, or in every text of a plain value."""

_SAID = ("error", "message", "reason", "result")


def discreet(event: Event, hide: Hide) -> Event:
    """Return an event whose body tells no secret."""
    said = {name: getattr(event.body, name, None) for name in _SAID}
    changes = {name: hide(value) for name, value in said.items() if value}
    return msgspec.structs.replace(event, body=msgspec.structs.replace(event.body, **changes))


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """The log that a job writes to: each line says which run it is of, and tells no secret."""

    def __init__(self, logger: logging.Logger, about: dict[str, object], hide: Hide) -> None:
        super().__init__(logger, about)
        self._hide = hide

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line."""
        if self.isEnabledFor(level):
            super().log(level, "%s", self._hide(_formatted(msg, args)), **kwargs)


def _formatted(msg: object, args: tuple[object, ...]) -> str:
    try:
        return logging.LogRecord("", 0, "", 0, msg, args, None).getMessage()
    except (TypeError, ValueError):
        return f"{msg} {args}"
