"""Step 2: the site's assets to the output, under the same names."""

from __future__ import annotations

from cronledger import JobContext, JobResult
from cronledger.extensions.site.load import load_site
from cronledger.extensions.site.output import MOST_BYTES, Output, PathRefused, checked
from cronledger.extensions.site.tally import Tally, counted, look_up
from cronledger.extensions.web.assets import STEPS, assets


def asset_copy(ctx: JobContext) -> JobResult:
    """Copy what is new or has changed; what is at its final place already is left alone."""
    site = load_site(ctx)
    tally = Tally(ctx)
    ends: dict[str, str] = {}
    moved = 0
    own, heir_of = STEPS
    with Output(site.output, own, enforce=ctx.enforce, heir_of=heir_of) as output:
        for asset in assets(site, output, tally.problem):
            look_up(ctx, tally.done, tally.done + 1, "assets")
            path, final = asset.path, asset.final
            if final != path:
                output.keep(final)  # ours, if the asset was in that folder before
            if (other := ends.setdefault(final.casefold(), path)) != path:
                output.keep(path)
                tally.problem(f"assets {other} and {path} would both be {final}: give one another name")
                continue
            try:
                data = asset.folder.read(checked(path), MOST_BYTES)
                if data is None:  # removed a moment ago, perhaps to be written anew: the next run knows
                    output.keep(path)
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
        counts = tally.finish(output)
    return tally.result(f"{counted(tally.done, 'asset')}: {counts}")
