"""Exports: the whole of a narrowed list, in three formats, in pieces, and no formula in a spreadsheet."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pyarrow import parquet

from auditor.exports import catalogue, source, stream
from auditor.exports.formats import CsvWriter
from auditor.models import AccessLogEntry, Job
from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit
from ledger.models import Event
from projections.models import Account, Transaction
from tests.portal_world import BAKERY, MILL, accesses, signed_in, town
from tests.read_world import order_everything, projector, submit, wait_until_applied

FORMULAS = ["=1+1", "+49 30 1", "-cmd|' /C calc'!A0", "@SUM(A1)", "'quoted", 'plain, "text"', "-1.5"]


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()
    submit(*(Deposit(MILL, Decimal(1), description) for description in FORMULAS))
    submit(*(CreateAccount(f"house-{number:03}", f"Owner {number}", "JPY") for number in range(25)))
    order_everything()
    with projector():
        wait_until_applied()


pytestmark = pytest.mark.usefixtures("_town", "database")


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few rows, so that a short list is made of many."""
    monkeypatch.setattr(source, "ROWS_PER_PIECE", 7)


async def whole(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])


def exported(browser: Client, label: str, format_: str = "csv", query: str = "") -> bytes:
    """Ask for an export, download it, and return the file."""
    asked = browser.post(f"/admin/exports/new/?{f'list={label}&' if label else ''}{query}", {"format": format_})
    assert asked.status_code == 302, asked.content
    answer = browser.get(f"{asked['Location']}file/")
    assert answer.status_code == 200, answer.content
    return async_to_sync(whole)(answer.streaming_content)


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("label", list(catalogue.admin_lists()))
def test_every_list_is_exported_whole_and_the_same_in_every_format(auditor: Client, label: str) -> None:
    jsonl = [json.loads(line) for line in exported(auditor, label, "jsonl").splitlines()]
    as_csv = csv_rows(exported(auditor, label, "csv"))
    as_parquet = parquet.read_table(io.BytesIO(exported(auditor, label, "parquet"))).to_pylist()
    if label in ("auditor.accesslogentry", "auditor.job"):
        # The newest first: that this list is taken away, and was before.
        jsonl, as_csv, as_parquet = jsonl[1:], as_csv[2:], as_parquet[3:]
    assert len(jsonl) == len(as_csv) == len(as_parquet)
    for row, in_csv, in_parquet in zip(jsonl, as_csv, as_parquet, strict=True):
        assert list(row) == list(in_csv) == list(in_parquet)
        for name, value in row.items():
            if isinstance(value, str | int) and not isinstance(value, bool):
                assert in_csv[name] in (str(value), f"'{value}")
                assert str(in_parquet[name]).startswith(str(value)[:10])


@pytest.mark.usefixtures("small_pieces")
def test_no_row_is_missing_and_none_comes_twice_at_the_seams_of_the_pieces(auditor: Client) -> None:
    events = csv_rows(exported(auditor, "ledger.event"))
    keys = [(row["aggregate_id"], int(row["version"])) for row in events]
    assert sorted(keys) == sorted(Event.objects.values_list("aggregate_id", "version"))
    assert {int(row["position"]) for row in events} == set(range(1, len(events) + 1))
    lines = csv_rows(exported(auditor, "projections.transaction"))
    expected = Transaction.objects.order_by("-position").values_list("position", flat=True)
    assert [int(row["position"]) for row in lines] == list(expected)


def test_a_list_is_exported_as_it_was_narrowed_from_its_first_page_on_and_that_is_a_look(auditor: Client) -> None:
    before = len(accesses())
    rows = csv_rows(exported(auditor, "projections.transaction", query=f"account_id={BAKERY}&after=1"))
    assert [(row["account_id"], row["amount"], row["balance_minor"]) for row in rows] == [
        (BAKERY, "-34.00", "120050"),
        (BAKERY, "1234.50", "123450"),
    ]
    assert [(kind, subject) for kind, subject, _ in accesses()[before:]] == [("account", BAKERY)]
    found = csv_rows(exported(auditor, "projections.account", query="q=Bakery"))
    assert [row["account_id"] for row in found] == [BAKERY]


def test_no_cell_of_a_csv_is_a_formula_and_every_text_can_be_had_back(auditor: Client) -> None:
    rows = csv_rows(exported(auditor, "projections.transaction", query=f"account_id={MILL}"))
    for row in rows:
        for cell in row.values():
            assert not re.match(r"[=+\-@\t\r\n]", cell) or re.fullmatch(r"-?\d+(\.\d+)?", cell), cell
    described = {row["description"].removeprefix("'") for row in rows}
    assert set(FORMULAS) <= described
    assert "'=1+1" in {row["description"] for row in rows}


def test_a_page_of_parquet_keeps_instants_numbers_and_what_is_not_known(auditor: Client) -> None:
    table = parquet.read_table(io.BytesIO(exported(auditor, "projections.transaction", "parquet")))
    assert str(table.schema.field("recorded_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("amount_minor").type) == "int64"
    assert None in table.column("transfer_id").to_pylist()
    newest = Transaction.objects.order_by("-position").first()
    assert newest is not None
    assert table.column("recorded_at").to_pylist()[0] == newest.recorded_at


def test_the_end_is_on_record_with_its_rows(auditor: Client) -> None:
    exported(auditor, "projections.account")
    job = Job.objects.latest("pk")
    count = Account.objects.count()
    assert (job.state, job.done, job.total, job.error) == ("done", count, count, "")
    assert "Done" in auditor.get("/admin/exports/").content.decode()


@pytest.mark.usefixtures("small_pieces")
def test_a_download_that_is_cut_off_never_counts_as_done(auditor: Client) -> None:
    auditor.post("/admin/exports/new/?list=projections.account", {"format": "csv"})
    job = Job.objects.latest("pk")
    stream.begin(job, None)
    rows = source.TableSource(Account.objects.order_by("account_id"), ("account_id",))
    sent = stream.Stream(job, rows, CsvWriter(rows.columns))

    async def cut_off() -> None:
        pieces = aiter(sent)
        for _ in range(3):
            await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]

    async_to_sync(cut_off)()
    sent.close()  # as Django does when nobody reads any more
    job.refresh_from_db()
    assert (job.state, job.error) == ("stopped", "the download was cut off after 14 rows")


def test_it_is_sent_once_at_a_time_and_again_when_asked_again(auditor: Client) -> None:
    asked = auditor.post("/admin/exports/new/?list=projections.account", {"format": "csv"})
    job = Job.objects.latest("pk")
    stream.begin(job, None)
    assert auditor.get(f"{asked['Location']}file/").status_code == 409
    Job.objects.filter(pk=job.pk).update(heard_at=timezone.now() - stream.SILENCE_MAX)
    for _ in range(2):
        answer = auditor.get(f"{asked['Location']}file/")
        assert len(csv_rows(async_to_sync(whole)(answer.streaming_content))) == Account.objects.count()
    job.refresh_from_db()
    assert (job.state, auditor.head(f"{asked['Location']}file/").status_code) == ("done", 405)
    ended_at = job.ended_at
    job.refresh_from_db()
    assert (job.state, job.ended_at) == ("done", ended_at)


def test_nobody_exports_what_they_may_not_see_nor_gets_anothers_file(auditor: Client) -> None:
    operator = signed_in(Role.OPERATOR)
    for label in ("auditor.accesslogentry", "auditor.finding"):
        assert operator.get(f"/admin/exports/new/?list={label}").status_code == 403
    asked = auditor.post("/admin/exports/new/?list=auditor.accesslogentry", {"format": "csv"})
    for address in (asked["Location"], f"{asked['Location']}file/"):
        assert operator.get(address).status_code == 404
    # A role that is withdrawn after the export was asked for.
    User.objects.get(pk=Job.objects.latest("pk").started_by_id).groups.clear()
    assert auditor.get(f"{asked['Location']}file/").status_code == 302
    assert AccessLogEntry.objects.exists()


@pytest.mark.parametrize("query", ["list=auth.user", "list=nothing", "", "list=ledger.event&nothing__at_all=1"])
def test_what_is_no_list_is_not_exported(auditor: Client, query: str) -> None:
    assert auditor.get(f"/admin/exports/new/?{query}").status_code == 400


def test_every_list_leads_to_its_export(auditor: Client) -> None:
    shown = auditor.get(f"/admin/projections/transaction/?account_id={BAKERY}").content.decode()
    assert f'/admin/exports/new/?list=projections.transaction&amp;account_id={BAKERY}"' in shown


def export_link(browser: Client, address: str) -> str:
    """Return the query string behind a page's link to its export."""
    found = re.search(r'href="/admin/exports/new/\?([^"]+)"', browser.get(address).content.decode())
    assert found is not None, address
    return html.unescape(found[1])


@pytest.mark.usefixtures("small_pieces")
def test_a_statement_is_exported_as_it_is_narrowed_and_to_its_first_line(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditor.past.statement.LINES", 2)
    statement = f"/admin/projections/account/{MILL}/change/"
    lines = list(Transaction.objects.filter(account_id=MILL).order_by("-position").values_list("position", "kind"))
    for narrowed, wanted in (
        ("?before=5", lines),
        ("?kind=transfer_in", [line for line in lines if line[1] == "transfer_in"]),
    ):
        query = export_link(auditor, statement + narrowed)
        rows = csv_rows(exported(auditor, "", query=query))
        assert [(int(row["position"]), row["kind"]) for row in rows] == wanted
    by_text = export_link(auditor, f"{statement}?text=%3D1%2B1&minimum=0.5&kind=")
    assert [row["description"] for row in csv_rows(exported(auditor, "", query=by_text))] == ["'=1+1"]
    assert ("account", MILL) in {(kind, subject) for kind, subject, path in accesses() if "/exports/" in path}


@pytest.mark.usefixtures("small_pieces")
def test_live_events_are_exported_as_they_are_narrowed_in_the_order_of_the_journal(auditor: Client) -> None:
    everything = exported(auditor, "", "jsonl", export_link(auditor, "/admin/live/")).splitlines()
    assert [json.loads(row)["position"] for row in everything] == list(range(1, Event.objects.count() + 1))
    query = export_link(auditor, f"/admin/live/?event_type=MoneyDeposited&aggregate_id={MILL}&text=flour&max_amount=1")
    (row,) = csv_rows(exported(auditor, "", query=query))
    assert (row["amount"], row["currency"], row["aggregate_id"]) == ("0.50", "USD", MILL)
    assert json.loads(row["data"])["description"] == "Flour"
    whole_account = export_link(auditor, f"/admin/live/?aggregate_id={MILL}")
    in_parquet = parquet.read_table(io.BytesIO(exported(auditor, "", "parquet", whole_account)))
    assert set(in_parquet.column("aggregate_id").to_pylist()) == {MILL}
    assert ("account", MILL) in {(kind, subject) for kind, subject, _ in accesses()}


@pytest.mark.parametrize(
    "query", ["list=statement", "list=statement&account_id=nobody", f"list=statement&account_id={MILL}&minimum=x",
              "list=live&event_type=Nothing", "list=live&before=x&nothing=1"],
)  # fmt: skip
def test_a_page_of_its_own_is_not_exported_with_what_it_would_not_take(auditor: Client, query: str) -> None:
    assert auditor.get(f"/admin/exports/new/?{query}").status_code == 400


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("/admin/auditor/finding/?state=open", "list=auditor.finding&state=open"),
        (f"/admin/auditor/accesslogentry/?q={MILL}", f"list=auditor.accesslogentry&q={MILL}"),
        ("/admin/ledger/refusal/?q=tester", "list=ledger.refusal&q=tester"),
        ("/admin/ledger/journalentry/?event_type=MoneyDeposited", "list=ledger.journalentry&event_type=MoneyDeposited"),
        (f"/admin/ledger/event/?aggregate_id={MILL}", f"list=ledger.event&aggregate_id={MILL}"),
        ("/admin/projections/transfer/?status=completed", "list=projections.transfer&status=completed"),
    ],
)
def test_every_narrowed_list_leads_to_an_export_of_exactly_its_rows(auditor: Client, address: str, wanted: str) -> None:
    finding = {"kind": "account", "subject": MILL, "note": "Flour twice", "state": "open"}
    assert auditor.post("/admin/findings/new/", finding).status_code == 302
    auditor.get(f"/admin/projections/account/{MILL}/change/")
    assert export_link(auditor, address) == wanted
    shown = len(auditor.get(address).context["cl"].result_list)
    looks_meanwhile = AccessLogEntry.objects.count()
    rows = csv_rows(exported(auditor, "", query=wanted))
    looks_meanwhile = AccessLogEntry.objects.count() - looks_meanwhile if "accesslog" in address else 0
    assert shown > 0
    assert len(rows) in range(shown, shown + looks_meanwhile + 1)
