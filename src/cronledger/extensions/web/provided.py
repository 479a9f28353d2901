"""The jobs of `web`, gathered."""

from __future__ import annotations

from cronledger import Extension
from cronledger.extensions.web.content_analytics_aggregation import ContentAnalyticsAggregation
from cronledger.extensions.web.daily_activity_summary import DailyActivitySummary
from cronledger.extensions.web.daily_traffic_report import DailyTrafficReport
from cronledger.extensions.web.publish_pipeline import PublishPipeline

web = Extension(
    name="web",
    jobs=[
        ContentAnalyticsAggregation(),
        DailyActivitySummary(),
        DailyTrafficReport(),
        PublishPipeline(),
    ],
)
