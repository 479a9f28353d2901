"""The extension `blog`: Markdown files to rows.

provided.py  the extension: every job below
"""

from __future__ import annotations

from cronledger.extensions.blog.provided import blog

__all__ = ["blog"]
