"""Decisions about fire times that are still to come.

What a fire time means depends on the job and on how late it is looked at. Decided as if one looked a moment
later than it comes, it may turn out to be one run and nothing else; then it is that at every instant from the
fire time to that moment: there is no other fire time in between, and what is not too late then is not too
late before.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cronledger.domain import job
from cronledger.domain.job import Decision, JobState

HOLDS = timedelta(milliseconds=900)
"""How long after its fire time a decision that was made ahead is the one that would be made then."""


def foresee(state: JobState, fire_at: datetime) -> Decision | None:
    """Decide a job's next fire time before it has come; None if that has to wait until then.

    The decision holds from `fire_at` on for `HOLDS`, as long as the state is the same.
    """
    decision = job.due(state, fire_at + HOLDS)
    if decision.skips or decision.replaced or [each.fire_at for each in decision.triggers] != [fire_at]:
        return None
    return decision
