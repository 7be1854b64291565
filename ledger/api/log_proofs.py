"""Proofs over HTTP: one event under a tree head, and one head after another.

An inclusion proof comes as JSON, or with `?form=tlog-proof` as a C2SP tlog-proof file. Both carry the signed
head, so each stands on its own. That format knows inclusion only: a consistency proof comes as JSON, or with
`?form=add-checkpoint` as the text in which C2SP has one log tell a witness (ADR 17).
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from ledger.api import parameters
from ledger.api.base import POSITION_HEADER
from ledger.api.log import TEXT
from ledger.api.schema import query, read
from ledger.errors import Malformed
from ledger.store import journal, proofs
from ledger.store.connection import connection
from ledger.store.recorded import canonical_bytes

TLOG_PROOF, ADD_CHECKPOINT = "tlog-proof", "add-checkpoint"
SIZE, SIZE_MAX = re.compile(r"[0-9]{1,19}"), 2**63 - 1
_PARAMETERS = [
    query("tree_size", int, "prove it under the head of this size; under the last one when absent"),
    query("form", {"type": "string", "enum": [TLOG_PROOF]}, "a C2SP tlog-proof file instead of JSON"),
]


class InvalidTreeSize(Malformed):
    """A tree size is a whole number of at least 1."""

    code = "invalid_tree_size"


class EventProof(APIView):
    """GET events/{event_id}/proof?tree_size=: that the event is in the log, under a head of this size or the last."""

    @read("get_event_proof", OpenApiTypes.OBJECT, 404, tag="events", parameters=_PARAMETERS)
    def get(self, request: Request, event_id: UUID) -> HttpResponse:
        tree_size = _size(request, "tree_size")
        with connection() as conn:
            proof = proofs.prove_inclusion(conn, proofs.position_of(conn, event_id), tree_size)
        if request.query_params.get("form") == TLOG_PROOF:
            return _for_position(_file(proof.to_tlog_proof(), f"{event_id}.tlog-proof"), proof.head.tree_size)
        (sequenced,) = journal.read(proof.position - 1, 1)
        # The exact text that is hashed, so that checking it needs no canonical JSON of one's own.
        response = JsonResponse({**proof.to_json(), "entry": canonical_bytes(sequenced.event).decode()})
        return _for_position(response, proof.head.tree_size)


class Consistency(APIView):
    """GET consistency?first=&second=&form=: that the tree of one size, or the last one, continues a smaller one."""

    permission_classes = (AllowAny,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        first, second = _size(request, "first"), _size(request, "second")
        if first is None:
            raise InvalidTreeSize("`first` says from which tree size", field="first")
        form = parameters.choice(request, "form", (ADD_CHECKPOINT,))
        with connection() as conn:
            proof = proofs.prove_consistency(conn, first, second)
        if form is None:
            return JsonResponse(proof.to_json())
        name = f"consistency-{proof.first.tree_size}-{proof.second.tree_size}.txt"
        return _file(proof.to_add_checkpoint(), name)


def _file(text: str, name: str) -> HttpResponse:
    response = HttpResponse(text, content_type=TEXT)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _for_position(response: HttpResponse, tree_size: int) -> HttpResponse:
    response[POSITION_HEADER] = str(tree_size)
    return response


def _size(request: Request, name: str) -> int | None:
    text: Any = request.query_params.get(name)
    if text is None:
        return None
    if not (SIZE.fullmatch(text) and 0 < int(text) <= SIZE_MAX):
        raise InvalidTreeSize(f"{name} is a whole number of at least 1", field=name)
    return int(text)
