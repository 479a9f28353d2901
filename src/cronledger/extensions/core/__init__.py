"""The extension `core`: what keeps an application's tables tidy.

provided.py  the extension: every job below
"""

from __future__ import annotations

from cronledger.extensions.core.provided import core

__all__ = ["core"]
