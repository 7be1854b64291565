"""The log over HTTP as C2SP's tlog-tiles says: checkpoint, hash tiles, entry bundles; and the log's key.

Source: https://c2sp.org/tlog-tiles. Everything but the checkpoint is immutable, so any cache in between may
keep it. Hashes and heads are public; the entries are account data and need a sign-in.
"""

from __future__ import annotations

import struct
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from ledger.api.problems import method_not_allowed, problem
from ledger.errors import LedgerError
from ledger.store import journal, succession, tree, tree_heads
from ledger.store.connection import connection
from ledger.store.recorded import canonical_bytes
from ledger.store.tiles import LEVEL_MAX, TILE_WIDTH, parse_index_path, width_at
from ledger.store.tree_heads import NoTreeHead

SAFE = ("GET", "HEAD")
TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"
IMMUTABLE = "public, max-age=31536000, immutable"
PRIVATE_IMMUTABLE = "private, max-age=31536000, immutable"
# The specification: no caching beyond a few seconds. A new head comes every second at most.
BRIEF = "public, max-age=1"


class NoSuchTile(LedgerError):
    """The tile is not part of the tree under the last head, or its path is not spelled as the specification says."""

    code = "no_such_tile"
    status = 404


def with_problems(view: Any) -> Any:
    """Answer expected failures as problems, as everywhere; nobody is to keep them."""

    @wraps(view)
    def answer(*args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(*args, **kwargs)
        except LedgerError as error:
            response = problem(error)
            response["Cache-Control"] = "no-store"
            return response

    return answer


def public(view: Any) -> Any:
    """Let everybody read, and nobody do anything else: no form is posted here, so none is checked for being one."""

    @csrf_exempt
    @with_problems
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method in SAFE:
            return view(request, *args, **kwargs)
        return method_not_allowed(request.method, SAFE)

    return answer


@public
def checkpoint(request: HttpRequest, tree_size: int | None = None) -> HttpResponse:
    """The last signed head, or the one of a size."""
    with connection() as conn:
        head = tree_heads.at_size(conn, tree_size)
    return _cached(HttpResponse(head.note, content_type=TEXT), BRIEF if tree_size is None else IMMUTABLE)


@public
def key(request: HttpRequest) -> HttpResponse:
    """The verifier key of C2SP's signed-note, of whoever signed the last head; /log/keys has those before it."""
    with connection() as conn:
        head, changes = tree_heads.last(conn), succession.changes(conn)
    verifier = succession.verifier_at(changes, head.tree_size if head else 0)
    return _cached(HttpResponse(f"{verifier.vkey}\n", content_type=TEXT), BRIEF)


@public
def keys(request: HttpRequest) -> HttpResponse:
    """Every key of the log in order, from which tree size on it signs, and the note in which two say so."""
    with connection() as conn:
        changes = succession.changes(conn)
    first = {"key": succession.verifier_at(changes, 0).vkey, "from_tree_size": 0, "note": None}
    later = [{"key": c.new.vkey, "from_tree_size": c.position, "note": c.note} for c in changes]
    return _cached(JsonResponse({"keys": [first, *later]}), BRIEF)


@public
def hash_tile(request: HttpRequest, level: str, path: str, width: str | None = None) -> HttpResponse:
    """256 hashes of one level of the tree, or the first `width` of a partial tile."""
    if int(level) > LEVEL_MAX:
        raise NoSuchTile(f"there is no level {level}")
    with connection() as conn:
        index, wanted = _existing(conn, int(level), path, width)
        hashes = tree.read_tile(conn, int(level), index, wanted)
    return _cached(HttpResponse(hashes, content_type=BINARY), IMMUTABLE)


class EntryBundle(APIView):
    """The canonical bytes of up to 256 events, each after its length in two bytes."""

    @extend_schema(exclude=True)
    @method_decorator(gzip_page)
    @method_decorator(with_problems)
    def get(self, request: Request, path: str, width: str | None = None) -> HttpResponse:
        with connection() as conn:
            index, wanted = _existing(conn, 0, path, width)
        events = journal.read(index * TILE_WIDTH, wanted)
        entries = [canonical_bytes(sequenced.event) for sequenced in events]
        bundle = b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)
        return _cached(HttpResponse(bundle, content_type=BINARY), PRIVATE_IMMUTABLE)


def _existing(conn: tree.Connection, level: int, path: str, width: str | None) -> tuple[int, int]:
    """Return a tile's index and the width asked for. Raises: NoSuchTile unless the signed tree has that much of it."""
    index = parse_index_path(path)
    if index is None:
        raise NoSuchTile("a tile's index is written in groups of three digits, as x001/x234/067")
    head = tree_heads.last(conn)
    if head is None:
        raise NoTreeHead("no tree head was signed yet")
    wanted = TILE_WIDTH if width is None else int(width)
    if wanted > width_at(level, index, head.tree_size):
        raise NoSuchTile(f"the tree of size {head.tree_size} has no such tile")
    return index, wanted


def _cached(response: HttpResponse, policy: str) -> HttpResponse:
    response["Cache-Control"] = policy
    return response
