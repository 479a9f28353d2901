"""What a job says is told on without the secrets that it was given."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from cronledger.domain.events import Body, Event
from cronledger.jobs.calling import said
from cronledger.ledger.normal import normalised

Hide = Callable[[Any], Any]
"""Stars out secrets in a text, or in every text of a plain value."""

AnyBody = TypeVar("AnyBody", bound=Body)
_WORDS = ("error", "message", "reason", "result")


@lru_cache(maxsize=256)
def _words_of(body: type[Body]) -> tuple[str, ...]:
    """Return the fields of a body that hold words of a job."""
    return tuple(name for name in _WORDS if name in body.__struct_fields__)


def discreet(event: Event, hide: Hide) -> Event:
    """Return an event whose body tells no secret."""
    body = discreet_body(event.body, hide)
    return event if body is event.body else msgspec.structs.replace(event, body=body)


def discreet_body(body: AnyBody, hide: Hide) -> AnyBody:
    """Return a body that tells no secret."""
    changes = {name: hide(value) for name in _words_of(type(body)) if (value := getattr(body, name))}
    return msgspec.structs.replace(body, **changes) if changes else body


class JobLog(logging.LoggerAdapter[logging.Logger]):
    """The log that a job writes to: each line says which run it is of, and tells no secret.

    `keep` is given level and text of each line from INFO on, and of those below that the program logs too.
    """

    def __init__(
        self,
        logger: logging.Logger,
        about: dict[str, object],
        hide: Hide,
        keep: Callable[[int, str], None] | None = None,
    ) -> None:
        super().__init__(logger, about)
        self._hide = hide
        self._keep = keep

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is given
        """Whether a line of this level goes anywhere."""
        return level >= logging.INFO or super().isEnabledFor(level)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write a line, and keep it."""
        if self.isEnabledFor(level):
            error = _exception(kwargs.get("exc_info"))
            stand_in = error and _stand_in(error, self._hide)
            text = self._hide(_formatted(msg, args))
            super().log(level, "%s", text, **kwargs | {"exc_info": stand_in})
            if self._keep is not None:
                told = ["\n", *traceback.format_exception(stand_in)] if stand_in else []
                self._keep(level, self._hide("".join([text, *told]).rstrip("\n")) if told else text)


def _exception(exc_info: object) -> BaseException | None:
    """Return what `exc_info` of a logging call stands for."""
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case _:
            return sys.exc_info()[1] if exc_info else None


def _stand_in(error: BaseException, hide: Hide, told: frozenset[int] = frozenset()) -> BaseException:
    """Return an exception that is printed as another one is, but for the secrets in its words."""
    kind = type(error)
    stand_in: BaseException = type(kind.__name__, (Exception,), {"__module__": kind.__module__})(
        hide(said(error))
    )
    before, told = error.__cause__ or error.__context__, told | {id(error)}
    if before is not None and id(before) not in told:
        stand_in.__context__ = _stand_in(before, hide, told)
        stand_in.__cause__ = stand_in.__context__ if error.__cause__ else None
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in.with_traceback(error.__traceback__)


def _formatted(msg: object, args: tuple[object, ...]) -> str:
    try:
        return logging.LogRecord("", 0, "", 0, msg, args, None).getMessage()
    except Exception:  # noqa: BLE001 - whatever somebody else's arguments do when they are formatted
        return f"{normalised(msg)} {normalised(args)}"
