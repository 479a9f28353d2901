"""What many jobs say alike is kept once, and nobody can tell."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from cronledger.domain.definition import JobDefinition
from cronledger.domain.ids import JobName
from cronledger.domain.job import JobState
from cronledger.domain.sharing import Instants, share


def read(name: str, **fields: object) -> JobState:
    """Return a job as it comes out of the ledger: with copies of its own of everything."""
    definition = JobDefinition(
        name=JobName(name), job="invoice", schedule="0 5 3 * * *", timezone="Europe/Berlin", **fields
    )
    state = JobState(
        name=JobName(name), definition=definition, revision="0123456789ab",
        planned_until=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(state), type=JobState)


def test_a_shared_job_equals_the_one_that_was_read() -> None:
    given = read("a", parameters={"tenant": "acme"})

    assert given == share(read("a", parameters={"tenant": "acme"}), {})


def test_two_jobs_have_one_copy_of_what_they_say_alike() -> None:
    known: Instants = {}
    one, other = share(read("a"), known), share(read("b"), known)

    assert one.definition is not None
    assert other.definition is not None
    assert one.revision is other.revision
    assert one.planned_until is other.planned_until
    assert one.definition.schedule is other.definition.schedule
    assert one.definition.timezone is other.definition.timezone
    assert one.definition.parameters is other.definition.parameters
    assert one.definition.name is one.name


def test_parameters_of_its_own_stay_its_own() -> None:
    one, other = (share(read(name, parameters={"tenant": name}), {}) for name in "ab")

    assert one.definition is not None
    assert other.definition is not None
    assert ({"tenant": "a"}, {"tenant": "b"}) == (one.definition.parameters, other.definition.parameters)
