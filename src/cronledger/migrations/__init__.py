"""The schema's history, shipped with the package: `upgrade`, `current`, `check`.

Migrations only add within a minor version, so the previous release runs on the new schema. Every upgrade is
one transaction under a lock of its own: two that start together run one after the other, and one that fails
leaves nothing.
"""

from __future__ import annotations

from cronledger.migrations.runner import HEAD, check, current, upgrade

__all__ = ["HEAD", "check", "current", "upgrade"]
