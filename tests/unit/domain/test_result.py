"""What a job's code reports back."""

from __future__ import annotations

import pytest

from cronledger.domain.result import JobResult

FULL = JobResult(ok=True, message="done", items_processed=3, items_failed=1, duration_ms=12)


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (JobResult.success(), JobResult(ok=True)),
        (JobResult.failure("no disk"), JobResult(ok=False, message="no disk")),
        (JobResult.success().with_stats(3, 1).with_duration(12).with_message("done"), FULL),
        (JobResult.success().with_message("done").with_duration(12).with_stats(3, 1), FULL),
        (JobResult.failure("no disk").with_message("no room"), JobResult(ok=False, message="no room")),
    ],
)
def test_a_result_is_put_together_from_what_the_job_says(reported: JobResult, expected: JobResult) -> None:
    assert expected == reported
