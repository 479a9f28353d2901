"""The jobs of `blog`, gathered."""

from __future__ import annotations

from cronledger import Extension

blog = Extension(name="blog", jobs=[])
