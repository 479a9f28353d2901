"""Jobs whose runs are repeated, and what they have done in this process."""

from __future__ import annotations

from cronledger import JobContext, job

APP = "tests.repeated_jobs"
"""What `--app` takes to find the jobs below."""

performed: list[str] = []
"""The steps that were done, in order; a test begins with none."""
failing: set[str] = set()
"""The steps that fail."""
seen: list[JobContext] = []
"""What the runs were given."""


def begin(*broken: str) -> None:
    """Forget what was done, and let these steps fail."""
    performed.clear()
    seen.clear()
    failing.clear()
    failing.update(broken)


def _do(name: str) -> str:
    performed.append(name)
    if name in failing:
        raise OSError(f"{name} is broken")
    return name.upper()


@job(extension="bakery", idempotent=True)
async def bake(ctx: JobContext) -> None:
    """Bake bread in three steps."""
    seen.append(ctx)
    for name in ("mix", "knead", "heat"):
        await ctx.step(name, _do, name)
