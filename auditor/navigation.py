"""The sidebar: what there is to look at, in the order in which a question usually goes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from auditor.permissions import may_command, may_manage_users, may_oversee, may_read, may_repair

# group title, then (title, icon, the page's name in the admin's URLs)
_LEDGER = (
    "",
    may_read,
    [
        ("Dashboard", "monitoring", "index"),
        ("Live events", "stream", "live"),
        ("Books as of", "menu_book", "books"),
        ("Reversals", "undo", "reversals"),
    ],
)
_COMMANDS = ("Do", may_command, [("Commands", "edit_document", "commands")])
_PROOF = ("Proof", may_read, [("Integrity", "verified_user", "integrity"), ("Exports", "download", "exports")])
_EVENT_STORE = (
    "Event store",
    may_read,
    [
        ("Events", "history", "ledger_event_changelist"),
        ("Journal", "format_list_numbered", "ledger_journalentry_changelist"),
        ("Outbox", "outbox", "ledger_outboxentry_changelist"),
        ("Refusals", "block", "ledger_refusal_changelist"),
        ("Idempotency keys", "key", "ledger_idempotencykey_changelist"),
        ("Tree heads", "account_tree", "ledger_treehead_changelist"),
        ("Tiles", "grid_view", "ledger_tile_changelist"),
    ],
)
_READ_MODELS = (
    "Read models",
    may_read,
    [
        ("Accounts", "account_balance", "projections_account_changelist"),
        ("Transactions", "receipt_long", "projections_transaction_changelist"),
        ("Transfers", "swap_horiz", "projections_transfer_changelist"),
        ("Postings", "balance", "projections_posting_changelist"),
        ("Trial balance", "functions", "projections_trialbalance_changelist"),
        ("Daily balances", "calendar_month", "projections_dailybalance_changelist"),
        ("Activity", "bar_chart", "projections_activity_changelist"),
        ("Search entries", "search", "projections_searchentry_changelist"),
        ("Checkpoints", "flag", "projections_checkpoint_changelist"),
        ("Parked events", "local_parking", "projections_parkedevent_changelist"),
    ],
)
_OVERSIGHT = (
    "Oversight",
    may_oversee,
    [
        ("Findings", "flag_circle", "auditor_finding_changelist"),
        ("Access log", "visibility", "auditor_accesslogentry_changelist"),
        ("Jobs", "pending_actions", "auditor_job_changelist"),
        ("Changes by administrators", "manage_accounts", "admin_logentry_changelist"),
    ],
)
_OPERATIONS = ("Operations", may_repair, [("Projections", "tune", "operations")])
_USERS = (
    "Users",
    may_manage_users,
    [
        ("Users", "person", "auth_user_changelist"),
        ("Roles", "group", "auth_group_changelist"),
        ("API tokens", "vpn_key", "knox_authtoken_changelist"),
    ],
)


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return unfold's navigation for whoever is looking."""
    groups = (_LEDGER, _COMMANDS, _PROOF, _EVENT_STORE, _READ_MODELS, _OVERSIGHT, _OPERATIONS, _USERS)
    return [
        {
            "title": title,
            "separator": bool(title),
            "items": [{"title": name, "icon": icon, "link": reverse(f"admin:{page}")} for name, icon, page in pages],
        }
        for title, is_allowed, pages in groups
        if is_allowed(request)
    ]
