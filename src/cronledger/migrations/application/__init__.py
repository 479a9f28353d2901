"""The tables of the application's database that the built-in jobs touch, with a history of their own.

env.py      what Alembic runs
runner.py   upgrade and current, on any engine
versions/   what each revision adds
"""

from __future__ import annotations

from cronledger.migrations.application.runner import HEAD, current, upgrade

__all__ = ["HEAD", "current", "upgrade"]
