"""Libraries that publishing needs and a scheduler does not: they come with the extra `site`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ExtraMissing(Exception):
    """A library is not installed."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Say which extra of this package is to be installed if an import in the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(f"{error.name} is not installed: pip install 'cronledger[{name}]'") from error
