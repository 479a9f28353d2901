"""The assets of a site: its own, and those of the default templates where it has none of that name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from cronledger.extensions.site.folder import Folder, NotPlain
from cronledger.extensions.site.settings import Site

DEFAULTS = Path(__file__).parent / "defaults" / "assets"
"""What the default templates need."""


def assets(site: Site, refused: Callable[[NotPlain], None]) -> Iterator[tuple[str, Folder]]:
    """Yield each asset's path and the folder it is read from, in order; links are told and left out."""
    seen: set[str] = set()
    for folder in (site.assets, DEFAULTS):
        with suppress(FileNotFoundError), Folder(folder) as opened:
            for parts in opened.files(refused):
                path = "/".join(parts)
                if path not in seen:
                    seen.add(path)
                    yield path, opened


def final_path(path: str) -> str:
    """Return where an asset ends: style sheets and scripts of the top in a folder of their own.

    >>> final_path("site.css"), final_path("app.js"), final_path("img/loaf.svg")
    ('css/site.css', 'js/app.js', 'img/loaf.svg')
    """
    suffix = path.rpartition(".")[2].lower()
    return f"{suffix}/{path}" if "/" not in path and suffix in ("css", "js") else path
