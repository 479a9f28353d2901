"""The tables of the application's database that the built-in jobs touch, with a history of their own.

env.py      what Alembic runs
opening.py  the database by its URL, with one sentence for each way in which that can fail
runner.py   upgrade and current, on any engine
versions/   what each revision adds
"""

from __future__ import annotations

from cronledger.migrations.application.opening import OpenDatabase, opened
from cronledger.migrations.application.runner import HEAD, current, upgrade

__all__ = ["HEAD", "OpenDatabase", "current", "opened", "upgrade"]
