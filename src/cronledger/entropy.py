"""The only source of randomness: ids of events, salts of commitments, names of manual runs."""

from __future__ import annotations

import os
import random
import threading
from datetime import datetime
from typing import Protocol

BLOCK = 65536
"""Bytes drawn at once: the call gives other threads the interpreter, and then waits until it is free."""


class Entropy(Protocol):
    """Sixteen bytes at a time."""

    def token(self) -> bytes:
        """Return 16 unpredictable bytes: an event's id or a body's salt."""


class SystemEntropy:
    """The operating system's randomness, drawn in blocks because a system call per id is dear."""

    def __init__(self) -> None:
        self._block = b""
        self._used = 0
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)

    def token(self) -> bytes:
        """Return 16 unpredictable bytes, to any thread."""
        with self._lock:
            if self._used == len(self._block):
                self._block = os.urandom(BLOCK)
                self._used = 0
            start = self._used
            self._used = start + 16
            return self._block[start : start + 16]

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._block = b""
        self._used = 0


class SeededEntropy:
    """Randomness from a seed: the same seed, the same ledger. For tests and the simulator."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def token(self) -> bytes:
        """Return 16 bytes that follow from the seed."""
        return self._random.randbytes(16)


def uuid7(now: datetime, entropy: Entropy) -> str:
    """Return a UUID of version 7 as 32 hexadecimal digits: it sorts by the time it was made (RFC 9562, 5.7).

    >>> from datetime import UTC, datetime
    >>> uuid7(datetime(2026, 1, 1, tzinfo=UTC), SeededEntropy(1))[:13]
    '019b76daa8007'
    """
    millis = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    rest = int.from_bytes(entropy.token()[:10])
    value = millis << 80 | rest
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"
