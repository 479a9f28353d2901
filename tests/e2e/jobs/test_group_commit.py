"""A process that dies in a commit that a hundred requests wait for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.checker import problems
from tests.conftest import lines_of
from tests.e2e.jobs import waiters
from tests.e2e.jobs.failpoints import DIED
from tests.e2e.jobs.nursery import Nursery
from tests.e2e.jobs.waiters import RUNS, WAITERS


def heard(notes: Path) -> dict[str, str]:
    """Return who got which answer."""
    return dict(line.split() for line in notes.read_text().splitlines())


def recorded(url: str) -> Counter[str]:
    """Count the events of each run."""
    return Counter(str(line["run_id"]) for line in lines_of(url))


@pytest.mark.parametrize(
    ("case", "kept"),
    [
        ("sqlite before", WAITERS),
        ("sqlite within", WAITERS),
        ("sqlite after", 2 * WAITERS),
        ("postgres before", WAITERS),
        ("postgres after", 2 * WAITERS),
    ],
)
def test_each_request_is_kept_or_can_be_asked_again_and_none_is_half(
    case: str,
    kept: int,
    tmp_path: Path,
    nursery: Nursery,
    request: pytest.FixtureRequest,
) -> None:
    """Fault 87."""
    database, where = case.split()
    url = request.getfixturevalue(f"{database}_url")
    first, second = tmp_path / "first", tmp_path / "second"
    words = (url, str(first))
    child = nursery.fork(waiters.__name__, words, tmp_path, environment={"FAILPOINT": f"{where}:2"})
    code = child.wait(60)
    after_the_death = recorded(url)
    waiters.main((url, str(second)))

    assert DIED == code
    assert set(RUNS[:WAITERS]) == heard(first).keys()
    assert Counter(dict.fromkeys(RUNS[:kept], 2)) == after_the_death
    assert Counter({"Conflict": kept, "Appended": 2 * WAITERS - kept}) == Counter(heard(second).values())
    assert Counter(dict.fromkeys(RUNS, 2)) == recorded(url)
    found = problems(lines_of(url), all_ended=False)
    assert [] == [each for each in found if not each.startswith("T2: ")]  # nobody has defined the job
