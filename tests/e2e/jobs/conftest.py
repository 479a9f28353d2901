"""Processes for the tests of jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.jobs.nursery import Nursery


@pytest.fixture(scope="session")
def shared_nursery() -> Iterator[Nursery]:
    """Give what all tests take their processes from."""
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def nursery(shared_nursery: Nursery) -> Iterator[Nursery]:
    """Give processes that are gone after the test."""
    yield shared_nursery
    shared_nursery.clear()
