"""The assets of a site: its own, and those of the default templates where it has none of that name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from cronledger.extensions.site.folder import Folder, NotPlain, Parts
from cronledger.extensions.site.output import Output
from cronledger.extensions.site.settings import Site

DEFAULTS = Path(__file__).parent / "defaults" / "assets"
"""What the default templates need."""
STEPS = ("asset_copy", "asset_organization")
"""Who writes assets to the output."""


class Asset(msgspec.Struct, frozen=True):
    """A file among the assets, and where it ends."""

    path: str
    final: str
    folder: Folder


class Incomplete(Exception):
    """It is not known which assets the site has."""


def assets(site: Site, output: Output, problem: Callable[[Exception], None]) -> Iterator[Asset]:
    """Yield each asset, in order; a link is told as NotPlain, and what it replaces is kept.

    Where not all could be found, that is told as Incomplete, and the output keeps everything: what was not
    seen may still be there.
    """
    seen: set[str] = set()

    def refused(parts: Parts, error: OSError) -> None:
        path = "/".join(parts)
        if isinstance(error, NotPlain):
            seen.add(final_path(path).casefold())
            output.keep(path)
            output.keep(final_path(path))
            problem(error)
        else:
            output.keep_everything()
            where = site.assets.joinpath(*parts)
            problem(Incomplete(f"{where} cannot be read, so no asset is removed: {error.strerror}"))

    try:
        own = Folder(site.assets)
    except FileNotFoundError:
        if count := _published(output):
            output.keep_everything()
            problem(
                Incomplete(
                    f"there is no folder {site.assets}, but the output has files from it ({count}): "
                    "put it back, or an empty one if they are to be removed"
                )
            )
    else:
        with own:
            for parts in own.files(refused, hidden=is_hidden):
                asset = _asset(parts, own)
                seen.add(asset.final.casefold())
                yield asset
    with Folder(DEFAULTS) as defaults:
        for parts in defaults.files(refused):
            asset = _asset(parts, defaults)
            # What was not found may be the site's own file of that name: it is not replaced.
            may_be_own = output.keeps_everything and output.is_there(asset.final)
            if asset.final.casefold() not in seen and not may_be_own:
                yield asset


def is_hidden(name: str) -> bool:
    """Whether a file or folder is nobody's asset: `.git`, `.env`, what an editor leaves behind.

    >>> is_hidden(".env"), is_hidden(".well-known"), is_hidden("site.css")
    (True, False, False)
    """
    return name.startswith(".") and name != ".well-known"


def final_path(path: str) -> str:
    """Return where an asset ends: style sheets and scripts of the top in a folder of their own.

    >>> final_path("site.css"), final_path("app.js"), final_path("img/loaf.svg")
    ('css/site.css', 'js/app.js', 'img/loaf.svg')
    """
    suffix = path.rpartition(".")[2].lower()
    return f"{suffix}/{path}" if "/" not in path and suffix in ("css", "js") else path


def _asset(parts: Parts, folder: Folder) -> Asset:
    path = "/".join(parts)
    return Asset(path, final_path(path), folder)


def _published(output: Output) -> int:
    """Return how many files of the output are assets, and not those of the default templates."""
    with Folder(DEFAULTS) as folder:
        paths = ["/".join(parts) for parts in folder.files(lambda *_: None)]
    return len(set(output.written_by(*STEPS)) - {*paths, *map(final_path, paths)})
