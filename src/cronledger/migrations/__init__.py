"""The schema's history, shipped with the package: `upgrade`, `current`, `check`.

Migrations only add within a minor version, so the previous release runs on the new schema: it takes a later
revision for its own. The one that takes something away, a release later, raises `head.min_writer`, and older
versions then only read. Every upgrade is one transaction under a lock of its own: two that start together run
one after the other, one that fails leaves nothing, and one that meets somebody's lock is soon out of the way
again and comes back, until a deadline.
"""

from __future__ import annotations

from cronledger.migrations.runner import HEAD, Steps, check, current, upgrade

__all__ = ["HEAD", "Steps", "check", "current", "upgrade"]
