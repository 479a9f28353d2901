"""Step 2: the site's assets to the output, under the same names."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import MOST_BYTES, Output, PathRefused, checked
from cronledger.extensions.site.tally import Tally, look_up
from cronledger.extensions.web.assets import assets, final_path


def asset_copy(ctx: JobContext) -> JobResult:
    """Copy what is new or has changed; what is at its final place already is left alone."""
    site = load_site(ctx)
    tally = Tally(ctx)
    ends: dict[str, str] = {}
    moved = 0
    with Output(site.output, "asset_copy", enforce=ctx.enforce) as output:
        for path, folder in assets(site, tally.problem):
            look_up(ctx, tally.done, tally.done + 1, "assets")
            final = final_path(path)
            if (other := ends.setdefault(final.casefold(), path)) != path:
                tally.problem(f"assets {other} and {path} would both be {final}: give one another name")
                continue
            try:
                data = folder.read(checked(path), MOST_BYTES)
                if data is None:  # removed a moment ago
                    continue
                if final != path and output.has(final, data):
                    moved += 1
                else:
                    output.put(path, data)
            except (PathRefused, OSError) as error:
                output.keep(path)
                tally.problem(error)
            else:
                tally.done += 1
        output.counts.unchanged += moved
        counts = output.finish()
        for problem in output.failed:
            tally.problem(problem)
    return tally.result(f"{tally.done} assets: {counts}")
