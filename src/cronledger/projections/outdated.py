"""Views that a newer version has folded: this one leaves them alone and says so."""

from __future__ import annotations

from typing import ClassVar

from cronledger.errors import Outdated


class ViewNewer(Outdated):
    """The rows of a view were folded by a newer version."""

    code: ClassVar[str] = "view_newer"

    def __init__(self, projection: str, found: int, own: int) -> None:
        super().__init__(
            f"the view {projection} was folded by version {found} of its rules; "
            f"this instance has version {own}",
            hint="use the newer version of cronledger, or, to go back for good, run "
            "`cronledger projections rebuild` with this one",
        )
        self.projection = projection
        self.found = found
        self.own = own
