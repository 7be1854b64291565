"""An account's balance at any microsecond, from the event store: one index probe, whatever the read model does."""

from __future__ import annotations

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from rest_framework.request import Request

from ledger import selectors
from ledger.api import fields, parameters
from ledger.api.base import ApiView, answer, in_thread
from ledger.api.schema import INSTANT, BalanceAtAnswer, query, read
from ledger.api.waiting import MIN_POSITION, journal_head, min_position
from ledger.domain.instants import format_instant
from ledger.domain.money import format_minor
from ledger.evidence.balance import prove_balance

_PARAMETERS = [
    query("timestamp", INSTANT, "RFC 3339 with an offset, to the microsecond", required=True),
    query("proof", str, "1: with the events that prove the balance, for verify_evidence.py"),
    MIN_POSITION,
]
# Hashes and signatures are base64 in JSON: a quarter less on the way to whoever takes gzip.
_gzip = GZipMiddleware(lambda request: HttpResponse())


class BalanceAtView(ApiView):
    @read("get_balance_at", BalanceAtAnswer, 404, tag="accounts", parameters=_PARAMETERS)
    async def get(self, request: Request, account_id: str) -> HttpResponseBase:
        """What was known of the account at an instant, by recorded_at."""
        fields.account_id(account_id)
        at = parameters.required_instant(request, "timestamp")
        if min_position(request):
            await journal_head(request)
        # What is there is found without a thread, whose every change may wait for a processor (ADR 16).
        found = await selectors.balance_at_in_loop(account_id, at)
        if found is None:
            found = await in_thread(selectors.balance_at, account_id, at)
        account = found.account
        with_proof = parameters.choice(request, "proof", ("1",)) is not None
        proof = {"proof": await in_thread(prove_balance, account_id, found.version)} if with_proof else {}
        response = answer(
            {
                "account_id": account_id,
                "balance": format_minor(account.balance_minor, account.currency),
                "currency": account.currency,
                "status": account.status,
                "at": format_instant(at),
                "version": found.version,
                "final": found.is_final,
                **proof,
            },
            position=found.head_position,
        )
        return _gzip.process_response(request, response) if with_proof else response
