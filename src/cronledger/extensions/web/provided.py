"""The jobs of `web`, gathered."""

from __future__ import annotations

from cronledger import Extension

web = Extension(name="web", jobs=[])
