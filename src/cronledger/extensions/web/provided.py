"""The jobs of `web`, gathered."""

from __future__ import annotations

from cronledger import Extension
from cronledger.extensions.web.publish_pipeline import PublishPipeline

web = Extension(name="web", jobs=[PublishPipeline()])
