"""Every page of the portal by role, and a ledger in which each of them has something to show.

ACCOUNT and the like in an address stand for what `furnish` has made. `tests/browser/test_every_page.py` holds this
list against the URLconf, so that a page that is added is walked too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import httpx
import psycopg
from django.conf import settings

from ledger.domain.commands import FreezeAccount, PlaceHold
from tests.browser.live_system import LiveSystem
from tests.browser.money import accept, browsing, deposit, new_account, settled, transfer_over_http
from tests.browser.test_portal_exports import sign_in, state_and_rows
from tests.browser.test_portal_integrity import signed_up_to
from tests.read_world import wait_until_applied
from tests.servers import libpq
from tests.waiting import wait_for

ACCOUNT_PAGE = "/admin/projections/account/ACCOUNT/"
LISTS = [
    "/admin/ledger/event/", "/admin/ledger/journalentry/", "/admin/ledger/outboxentry/", "/admin/ledger/refusal/",
    "/admin/ledger/idempotencykey/", "/admin/ledger/treehead/", "/admin/projections/account/",
    "/admin/projections/transaction/", "/admin/projections/transfer/", "/admin/projections/posting/",
    "/admin/projections/trialbalance/", "/admin/projections/dailybalance/", "/admin/projections/activity/",
    "/admin/projections/searchentry/", "/admin/ledger/tile/", "/admin/projections/checkpoint/", "/admin/projections/parkedevent/",
    "/admin/auditor/accesslogentry/", "/admin/auditor/finding/", "/admin/auditor/job/", "/admin/admin/logentry/",
]  # fmt: skip
LISTS_OF_PEOPLE = ["/admin/auth/user/", "/admin/auth/group/", "/admin/knox/authtoken/"]
COMMANDS = [
    "create-account", "deposit", "withdraw", "transfer", "multi-transfer", "exchange", "start-transfer", "reverse",
    "place-hold", "capture-hold", "release-hold", "freeze-account", "unfreeze-account", "set-overdraft-limit",
    "close-account",
]  # fmt: skip
PAGES_BY_ROLE = {
    "auditor": [
        "/admin/", *LISTS, "/admin/books/", "/admin/reversals/", "/admin/reversals/?forced=on",
        "/admin/owner/?account_id=ACCOUNT", "/admin/ledger/refusal/?command_type=withdraw&min_amount=1", f"{ACCOUNT_PAGE}change/", "/admin/live/?event_type=nothing", f"{ACCOUNT_PAGE}change/?minimum=x",
        f"{ACCOUNT_PAGE}change/?text=nothing", f"{ACCOUNT_PAGE}time-travel/?version=3", f"{ACCOUNT_PAGE}history/",
        "/admin/projections/transfer/?status=completed", "/admin/projections/transfer/TRANSFER/change/",
        "/admin/books/?at=2100-01-01", "/admin/books/?by=position&at=1&against=HEAD", "/admin/books/?at=never",
        "/admin/integrity/", "/admin/integrity/runs/RUN/", "/admin/integrity/event/?event=1",
        "/admin/integrity/compare/?head=nothing", "/admin/findings/new/?kind=account&subject=ACCOUNT",
        "/admin/auditor/finding/FINDING/change/", "/admin/exports/", "/admin/exports/EXPORT/",
        "/admin/exports/new/?list=projections.transaction&account_id=ACCOUNT",
        "/admin/exports/new/?list=statement&account_id=ACCOUNT", "/admin/ledger/", "/admin/projections/",
        "/admin/auditor/", "/admin/admin/", "/admin/password_change/",
    ],
    "operator": [
        "/admin/", f"{ACCOUNT_PAGE}change/", "/admin/commands/", *(f"/admin/commands/{command_type}/" for command_type in COMMANDS),
        "CONFIRMATION", "CONFIRMATION_OF_MANY", "RESULT", "RESULT?again=1",
    ],
    "admin": [
        "/admin/", "/admin/operations/", *LISTS_OF_PEOPLE, "/admin/auth/", "/admin/auth/user/add/",
        "/admin/auth/user/1/password/",
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Furnished:
    """What the words in an address stand for."""

    words: dict[str, str]

    def address(self, text: str) -> str:
        # The longest first: one of them may begin with another.
        for word in sorted(self.words, key=len, reverse=True):
            text = text.replace(word, self.words[word])
        return text


def furnish(server: LiveSystem) -> Furnished:
    """Make a row for every page, through the portal's own doors."""
    account, other, frozen = new_account(balance="12345678.90"), new_account(), new_account(balance="1")
    deposit(account, 3)
    accept(PlaceHold(account, Decimal(5), "A hold"), FreezeAccount(frozen, "Asked"))
    transfer_id = transfer_over_http(server, account, other, "1.00")
    head = settled()
    wait_until_applied(head)
    signed_up_to(head)
    with browsing(server) as auditor, browsing(server) as operator:
        sign_in(auditor, server.credentials["auditor"])
        sign_in(operator, server.credentials["operator"])
        finding = {"kind": "account", "subject": account, "note": "A note", "state": "open"}
        export = _post(auditor, "/admin/exports/new/?list=projections.account", format="csv")
        auditor.get(f"{export}file/").raise_for_status()
        many = {
            "sources.account_id": account,
            "sources.amount": "2",
            "targets.account_id": other,
            "targets.amount": "2",
        }
        confirmation = _post(operator, "/admin/commands/withdraw/", account_id=account, amount="1")
        words = {
            "ACCOUNT": account,
            "TRANSFER": transfer_id,
            "HEAD": str(head),
            "FINDING": _post(auditor, "/admin/findings/new/", **finding).split("/")[-3],
            "EXPORT": export.split("/")[-2],
            "RUN": str(_verified(auditor)),
            "CONFIRMATION": confirmation,
            "CONFIRMATION_OF_MANY": _post(operator, "/admin/commands/multi-transfer/", **many),
            "RESULT": _post(operator, confirmation),
        }
    wait_until_applied(settled())
    return Furnished(words)


def _post(client: httpx.Client, path: str, **form: str) -> str:
    """Send a form and return where it leads."""
    answer = client.post(path, data={**form, "csrfmiddlewaretoken": client.cookies["csrftoken"]})
    assert answer.status_code == httpx.codes.FOUND, answer.text
    return str(answer.headers["Location"])


def _verified(auditor: httpx.Client) -> int:
    """Run a verification and return the number of the run."""
    _post(auditor, "/admin/integrity/verify/")
    with psycopg.connect(libpq(settings.DATABASE_URL)) as portal:
        ((job_id,),) = portal.execute("SELECT max(id) FROM jobs WHERE kind = 'verify'").fetchall()
    wait_for(lambda: state_and_rows(job_id)[0] == "done", "the end of a verification", 60.0)
    return int(job_id)
