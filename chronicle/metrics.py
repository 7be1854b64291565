"""/metrics for Prometheus: how far the journal and the read models are, and what this process uses.

Readable by an administrator, and without signing in from the loopback address; a request that a proxy
passed on never counts as local. The positions are read when they are asked for; a database that does not
answer shows as `chronicle_up 0`, and the rest is still told.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from django.db import DatabaseError
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from rest_framework.request import Request

from ledger import selectors as ledger
from ledger.api.authentication import MayAdminister
from ledger.api.base import ApiView, in_thread
from ledger.errors import StoreUnavailable
from projections import overview

QUANTILES = ("0.5", "0.95", "0.99")
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP")


class MayScrape(MayAdminister):
    def has_permission(self, request: Request, view: object) -> bool:
        return _is_local(request) or super().has_permission(request, view)


def _is_local(request: Request) -> bool:
    address = request.META.get("REMOTE_ADDR") or ""
    if not address or any(header in request.headers for header in _FORWARDED):
        return False
    return ipaddress.ip_address(address).is_loopback


class Positions(Collector):
    """The journal's head, the outbox and every projection, as they are at the moment of the scrape."""

    def describe(self) -> Iterator[Metric]:
        return iter(())  # or registering it would already ask the databases

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("chronicle_up", "Whether a database answered this scrape", labels=["database"])
        head: int | None = None
        try:
            backlog = ledger.backlog()
            head = backlog.head_position
            yield GaugeMetricFamily("chronicle_journal_head_position", "Events in the journal", value=head)
            yield GaugeMetricFamily(
                "chronicle_outbox_commands", "Accepted commands not ordered yet", value=backlog.outbox_commands
            )
            yield GaugeMetricFamily(
                "chronicle_late_events", "Events that became visible too late: incidents", value=ledger.late_events()
            )
            up.add_metric(["event_store"], 1)
        except StoreUnavailable:
            up.add_metric(["event_store"], 0)
        try:
            yield from _projections(head)
            up.add_metric(["read_model"], 1)
        except (DatabaseError, StoreUnavailable):
            up.add_metric(["read_model"], 0)
        yield up


def _projections(head: int | None) -> Iterator[Metric]:
    """Yield where each read model stands; without a head nothing is said of what it would be set against."""
    labels = ["projection"]
    position = GaugeMetricFamily("chronicle_projection_position", "Last position applied", labels=labels)
    proven = GaugeMetricFamily(
        "chronicle_projection_proven_position", "Proven complete up to this position; 0 when not", labels=labels
    )
    lag = GaugeMetricFamily("chronicle_projection_lag_events", "Journal head - position", labels=labels)
    lag_ms = GaugeMetricFamily(
        "chronicle_projection_lag_ms", "Age of the first event not applied; of none, what the last took just now",
        labels=labels,
    )  # fmt: skip
    percentiles = GaugeMetricFamily(
        "chronicle_projection_lag_minute_ms", "recorded_at to visible, per batch, over the last minute",
        labels=[*labels, "quantile"],
    )  # fmt: skip
    alarm = GaugeMetricFamily("chronicle_projection_alarm", "1 when it stands still", labels=labels)
    parked = GaugeMetricFamily("chronicle_projection_parked_events", "Events waiting for a person", labels=labels)
    for standing in overview.standings(head):
        name = [standing.projection]
        position.add_metric(name, standing.position)
        alarm.add_metric(name, 1 if standing.alarm else 0)
        parked.add_metric(name, standing.parked)
        for quantile, value in zip(QUANTILES, standing.lag_percentiles_ms or (), strict=False):
            percentiles.add_metric([*name, quantile], value)
        if standing.behind is not None and standing.lag_ms is not None and standing.proven_to is not None:
            lag.add_metric(name, standing.behind)
            lag_ms.add_metric(name, standing.lag_ms)
            proven.add_metric(name, standing.proven_to)
    yield from (position, proven, lag, lag_ms, percentiles, alarm, parked)


REGISTRY.register(Positions())


class MetricsView(ApiView):
    permission_classes = (MayScrape,)

    @extend_schema(exclude=True)
    async def get(self, request: Request) -> HttpResponse:
        text = await in_thread(generate_latest, REGISTRY)
        return HttpResponse(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
