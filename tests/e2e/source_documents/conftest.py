"""The documents' jobs run on asyncio, the loop that the engine's database threads answer to."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Return the loop that async tests run on."""
    return "asyncio"
