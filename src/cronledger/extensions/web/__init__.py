"""The extension `web`: a static site from rows and templates, and what is told about its visitors.

provided.py    the extension: every job below
steps/         one file per step of the publish pipeline; pages.py, assets.py and xml.py are what they share
defaults/      templates and a style sheet for sites that have none
engagement.py  which page an event is about, and what the events of a page come to
traffic.py     the numbers of the traffic report
reports.py     what every report goes through: it is kept, and posted once
discord.py     where a webhook may lead, what an embed may hold, what an answer means
wording.py     how reports write numbers
"""

from __future__ import annotations

from cronledger.extensions.web.provided import web

__all__ = ["web"]
