"""A plugin for pytest: begin with cold caches, so that code which was changed since they were filled is run.

Mutation testing runs each change in a fork of a process that has run the tests before.
"""

from __future__ import annotations

import sys


def pytest_sessionstart() -> None:
    """Empty the cache of every function of the domain that has one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cronledger.domain"):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()
