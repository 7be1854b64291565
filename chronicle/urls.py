"""Every address of the site. The API's own are listed in `ledger.api.urls` and `projections.api.urls`."""

from __future__ import annotations

from typing import Any

from django.urls import include, path
from django.views import defaults
from drf_spectacular.views import SpectacularAPIView

from chronicle.health import healthz, readyz
from chronicle.metrics import MetricsView
from ledger.api import errors
from ledger.api import proof_urls as proofs
from ledger.api import urls as write_side
from ledger.api.documentation import DocumentationView, ErrorsView
from ledger.api.problems import page_for
from ledger.domain.errors import Malformed
from ledger.errors import InternalError
from projections.api import urls as read_side

_api: list[Any] = [*write_side.urlpatterns, *proofs.urlpatterns, *read_side.urlpatterns]
# The same views with a slash at the end, which some clients cannot help; left out of the OpenAPI document.
_api_with_slash = [path(f"{pattern.pattern}/", pattern.callback) for pattern in _api]

urlpatterns: list[Any] = [
    path("api/v1/", include([*_api, *_api_with_slash])),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", DocumentationView.as_view(), name="docs"),
    path("api/errors", ErrorsView.as_view(), name="errors"),
    path("log/", include("ledger.api.log_urls")),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", MetricsView.as_view()),
    path("", include("auditor.urls")),
]

handler400 = page_for(Malformed("the request was refused"), defaults.bad_request)
handler403 = page_for(errors.Forbidden("this is not allowed"), defaults.permission_denied)
handler404 = page_for(errors.NotFound("there is nothing at this address"), defaults.page_not_found)
handler500 = page_for(InternalError("the server failed; its log has the cause"), defaults.server_error)
