"""The jobs of `blog`, gathered."""

from __future__ import annotations

from cronledger import Extension
from cronledger.extensions.blog.content_ingestion import ContentIngestion

blog = Extension(name="blog", jobs=[ContentIngestion()])
