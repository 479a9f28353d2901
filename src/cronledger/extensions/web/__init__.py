"""The extension `web`: a static site from rows and templates, and what is told about its visitors.

provided.py  the extension: every job below
steps/       one file per step of the publish pipeline; pages.py, assets.py and xml.py are what they share
defaults/    templates and a style sheet for sites that have none
"""

from __future__ import annotations

from cronledger.extensions.web.provided import web

__all__ = ["web"]
