"""The jobs of `core`, gathered."""

from __future__ import annotations

from cronledger import Extension
from cronledger.extensions.core.publish_content import PublishContent

core = Extension(name="core", jobs=[PublishContent()])
