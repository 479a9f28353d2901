"""Step 9: style sheets and scripts to their final places, `css/` and `js/`, and nowhere else."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import Output
from cronledger.extensions.site.tally import Tally
from cronledger.extensions.web.assets import STEPS, Incomplete, assets, final_path


def asset_organization(ctx: JobContext) -> JobResult:
    """Move them from the top of the output, and remove those that the site no longer has.

    What somebody else has put there is moved likewise, and never removed.
    """
    site = load_site(ctx)
    tally = Tally(ctx)
    step = STEPS[1]

    def told(problem: Exception) -> None:
        if isinstance(problem, Incomplete):  # all else has been told by asset_copy
            tally.problem(problem)

    with Output(site.output, step, enforce=ctx.enforce) as output:
        own = {asset.path: asset.final for asset in assets(site, output, told)}
        names = {name: final_path(name) for name in output.top() if final_path(name) != name}
        output.move({name: final for name, final in names.items() if name in own}, owner=step)
        if not output.keeps_everything:  # else it may be ours
            output.move({name: final for name, final in names.items() if name not in own}, owner="found")
        for path, final in own.items():
            if path != final:
                output.keep(final)
        counts = tally.finish(output)
    tally.done = counts.written
    return tally.result(f"{counts.written} moved, {counts.removed} removed")
