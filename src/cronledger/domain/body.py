"""What the body of every event has in common."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The particulars of an event; `type` is its written tag, `schema` the number of its shape."""

    type: ClassVar[str]
    schema: ClassVar[int] = 1
    must_understand: ClassVar[bool] = False


class Decision(Body, frozen=True, kw_only=True):
    """The body of what somebody decided, with the reason they gave."""

    type: ClassVar[str]
    reason: str | None = None
