"""A list narrowed to what lies far from its beginning is read through the index that leads there, not by walking to it.

What is clustered is the danger: the events of an account that has been quiet for long all lie at the end of the list,
and a planner that expects them to be strewn over it walks there.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db import connections
from django.db.models import Model, QuerySet
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditor import access_log
from auditor.models import AccessLogEntry, Finding
from auditor.past.statement import read_statement
from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit
from ledger.models import Event, JournalEntry
from projections.models import Account, DailyBalance, Posting, Transaction, Transfer
from tests.api_world import new_user
from tests.portal_world import page, signed_in
from tests.read_world import order_everything, projector, submit, wait_until_applied

OPENED_AT = timezone.now()
QUIET, BUSY = "quiet", "1000"  # the second is a position too
OLD_DEPOSITS, NEW_DEPOSITS = 1_500, 3_000
# The account's own, which a planner may sort where they are so few; never the other's, which stand before them.
READ_MAX = OLD_DEPOSITS + 1
ROWS_OF_A_PAGE = (
    230  # so that there are some seams, and a last page that is not full; a page takes longer than its rows
)
NARROWED: list[tuple[type[Model], dict[str, str]]] = [
    (JournalEntry, {"aggregate_id": QUIET}),
    (JournalEntry, {"aggregate_id__exact": QUIET}),
    (JournalEntry, {"q": QUIET}),
    (JournalEntry, {"event_type": "AccountCreated"}),
    (Transaction, {"account_id": QUIET}),
    (Transaction, {"q": QUIET}),
    (Transaction, {"description": "said by nobody"}),
    (Transfer, {"from_account_id": QUIET}),
    (Posting, {"account_id": QUIET}),
    (Posting, {"q": QUIET}),
    (Account, {"currency": "JPY"}),
]


@pytest.fixture(scope="module")
def _quiet_account(clean_stores_for_module: None) -> None:
    """An account with a third of all events, all of them before those of another."""
    submit(CreateAccount(QUIET, "Quiet", "JPY"), CreateAccount(BUSY, "Busy", "USD"))
    for id_, deposits in ((QUIET, OLD_DEPOSITS), (BUSY, NEW_DEPOSITS)):
        submit(*[Deposit(id_, Decimal(1), "rent")] * deposits)
    order_everything()
    with projector():
        wait_until_applied()
    for model in (Event, JournalEntry, Transaction, Posting):
        with connections[model.objects.db].cursor() as cursor:
            cursor.execute(f"ANALYZE {model._meta.db_table}")


pytestmark = pytest.mark.usefixtures("_quiet_account", "database")


def rows_of(model: type[Model], query: dict[str, str]) -> QuerySet[Any]:
    """Return the rows of a list as its page would read them, one more than it shows."""
    request = RequestFactory().get(page(model, "changelist"), query)
    request.user = new_user(Role.AUDITOR)
    changelist = admin.site.get_model_admin(model).get_changelist_instance(request)
    return changelist.queryset[: changelist.list_per_page + 1]


def rows_read(queryset: QuerySet[Any]) -> int:
    """Return how many rows the database looked at for an answer, those that it passed over included."""
    if connections[queryset.db].vendor != "postgresql" or connections[queryset.db].display_name != "PostgreSQL":
        pytest.skip("plans are told in PostgreSQL's words")
    (plan,) = json.loads(queryset.explain(format="json", analyze=True))
    return most_rows(plan["Plan"])


def most_rows(node: dict[str, Any]) -> int:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return max([int(own * node["Actual Loops"]), *(most_rows(child) for child in node.get("Plans", []))])


@pytest.mark.parametrize(("model", "query"), NARROWED)
def test_a_narrowed_list_reads_only_what_it_is_narrowed_to(model: type[Model], query: dict[str, str]) -> None:
    assert rows_read(rows_of(model, query)) <= READ_MAX


def test_its_second_page_reads_no_more_either() -> None:
    browser = signed_in(Role.AUDITOR)
    first = browser.get(page(JournalEntry, "changelist"), {"aggregate_id": QUIET}).context["cl"]
    after = dict(part.split("=") for part in first.next_url.removeprefix("?").split("&"))
    assert rows_read(rows_of(JournalEntry, after)) <= READ_MAX


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Event, {"after": f"{QUIET},700"}),
        (Event, {"aggregate_id": QUIET, "after": "700"}),
        (JournalEntry, {"aggregate_id": QUIET, "after": "700"}),
        (Transaction, {"account_id": QUIET, "after": "700"}),
        (Posting, {"account_id": QUIET, "after": "1400"}),
        (DailyBalance, {"after": f"{BUSY},2001-01-01,False"}),
    ],
)
def test_a_page_deep_within_one_account_reads_no_more_than_it_shows(model: type[Model], query: dict[str, str]) -> None:
    rows = rows_of(model, query)
    assert list(rows)
    # A few thousand rows are soon read and sorted; of a million it is the index alone that tells.
    with connections[rows.db].cursor() as cursor:
        for name in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET enable_{name} = off")
        try:
            assert rows_read(rows) <= 51
        finally:
            for name in ("seqscan", "bitmapscan", "sort"):
                cursor.execute(f"RESET enable_{name}")


@pytest.mark.parametrize(("model", "query"), [
    (JournalEntry, {"aggregate_id": QUIET}), (JournalEntry, {"q": QUIET}), (JournalEntry, {"event_type": "MoneyDeposited"}),
    (JournalEntry, {"aggregate_id": QUIET, "event_type": "MoneyDeposited"}),
    (Transaction, {"account_id": QUIET}), (Transaction, {"q": QUIET}), (Posting, {"account_id": QUIET}),
])  # fmt: skip
def test_its_pages_hold_every_row_once_the_newest_first(
    model: type[Model], query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(Role.AUDITOR)
    monkeypatch.setattr(admin.site.get_model_admin(model), "list_per_page", ROWS_OF_A_PAGE)
    order = admin.site.get_model_admin(model).keyset[0].lstrip("-")
    address, found = page(model, "changelist"), []
    changelist = browser.get(address, query).context["cl"]
    while True:
        found += [getattr(row, order) for row in changelist.result_list]
        if not changelist.next_url:
            break
        changelist = browser.get(address + changelist.next_url).context["cl"]
    expected = OLD_DEPOSITS + (model is JournalEntry and "event_type" not in query)
    if query.get("event_type") and "aggregate_id" not in query:
        expected += NEW_DEPOSITS
    assert len(found) == expected
    assert found == sorted(set(found), reverse=True)


def test_a_term_that_is_a_position_and_an_account_finds_both() -> None:
    found = {row.position for row in rows_of(JournalEntry, {"q": BUSY})}
    newest = {row.position for row in JournalEntry.objects.filter(aggregate_id=BUSY).order_by("-position")[:51]}
    assert found == newest, "the position 1000 is far below the page"
    assert 1000 in {row.position for row in rows_of(JournalEntry, {"q": BUSY, "after": "1001"})}


def test_the_statement_of_a_quiet_account_is_read_by_its_index() -> None:
    line = read_statement(QUIET, "JPY", {}).lines[0]
    assert line.account_id == QUIET
    assert line.version == OLD_DEPOSITS + 1


def test_looks_and_findings_about_one_thing_are_read_by_its_id_however_many_came_after() -> None:
    user = new_user(Role.AUDITOR)
    for id_, times in (("seldom", 3), ("often", NEW_DEPOSITS)):
        access_log.record_each(user, access_log.ACCOUNT, [id_] * times, "/here")
        about = {"kind": access_log.ACCOUNT, "subject_id": id_, "note": "Odd", "opened_by": user}
        Finding.objects.bulk_create(Finding(**about, opened_at=OPENED_AT, changed_at=OPENED_AT) for _ in range(times))
    for model in (AccessLogEntry, Finding):
        with connections[model.objects.db].cursor() as cursor:
            cursor.execute(f"ANALYZE {model._meta.db_table}")
        for query in ({"q": "seldom"}, {"subject_id": "seldom"}, {"subject_id": "seldom", "kind": access_log.ACCOUNT}):
            # Without whom they are of: the users of all tests are in one small table.
            assert rows_read(rows_of(model, query).select_related(None)) < 10, (model, query)


def test_whether_a_look_is_going_on_is_asked_of_ones_own_looks_and_of_no_more_than_a_few() -> None:
    user, other = new_user(Role.AUDITOR), new_user(Role.AUDITOR)
    access_log.record_each(user, access_log.ACCOUNT, ["another"] * NEW_DEPOSITS, "/here")
    access_log.record(user, access_log.ACCOUNT, "looked at", "/here")
    access_log.record_each(other, access_log.ACCOUNT, ["looked at"] * NEW_DEPOSITS, "/here")
    with connections["default"].cursor() as cursor:
        cursor.execute("ANALYZE access_log")
    with CaptureQueriesContext(connections["default"]) as asked:
        access_log.record_once(user, access_log.ACCOUNT, "looked at", "/here/again")
    (statement,) = [query["sql"] for query in asked.captured_queries if "SELECT" in query["sql"]]
    assert "INSERT" not in str(asked.captured_queries)
    with connections["default"].cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        (((plan,),),) = cursor.fetchall()
    assert most_rows(plan["Plan"]) <= access_log.NEWEST_LOOKS


def test_nobody_named_so_is_an_empty_list() -> None:
    assert not rows_of(JournalEntry, {"q": "nobody"})
    assert not rows_of(Transaction, {"account_id": "nobody"})
