"""The jobs of `core`, gathered."""

from __future__ import annotations

from cronledger import Extension

core = Extension(name="core", jobs=[])
