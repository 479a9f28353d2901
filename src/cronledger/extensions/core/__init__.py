"""The extension `core`: what keeps an application's tables tidy, and its content in them.

provided.py  the extension: every job below
cleaning.py  removing and changing rows a batch at a time, or only counting them
vacuum.py    giving back what removed rows took
"""

from __future__ import annotations

from cronledger.extensions.core.provided import core

__all__ = ["core"]
