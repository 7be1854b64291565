"""What the proofs add under /api/v1/."""

from django.urls import path

from ledger.api.log_proofs import EventProof

urlpatterns = [path("events/<uuid:event_id>/proof", EventProof.as_view(), name="event-proof")]
