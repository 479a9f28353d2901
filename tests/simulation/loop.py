"""An asyncio loop whose time passes only when everybody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class _Instant(selectors.SelectSelector):
    """Waits for nothing: adds the time that would have been waited to the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that nobody will do")
            self.elapsed += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which a day takes as long as what happens in it."""

    def __init__(self) -> None:
        self._instant = _Instant()
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.elapsed


def run(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function in virtual time."""
    return anyio.run(function, *args, backend_options={"loop_factory": VirtualLoop})
