"""Document 003, step 7: the package exports what its modules define."""

from .cleanup import CleanupJob
from .ingestion import ContentIngestionJob
from .publish import PublishJob

__all__ = ["CleanupJob", "ContentIngestionJob", "PublishJob"]
