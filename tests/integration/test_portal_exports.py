"""Exports: the whole of a narrowed list, in three formats, in pieces, and no formula in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pyarrow import parquet

from auditor.exports import source, stream
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
def _town(django_db_setup: None, django_db_blocker: Any, stack: Any) -> Iterator[None]:
    from tests.clean import empty_everything

    with django_db_blocker.unblock():
        empty_everything(stack)
        town()
        submit(*(Deposit(MILL, Decimal(1), description) for description in FORMULAS))
        submit(*(CreateAccount(f"house-{number:03}", f"Owner {number}", "JPY") for number in range(25)))
        order_everything()
        with projector():
            wait_until_applied()
        yield


pytestmark = pytest.mark.usefixtures("_town", "database")


@pytest.fixture
def auditor() -> Client:
    return signed_in(Role.AUDITOR)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few rows, so that a short list is made of many."""
    monkeypatch.setattr(source, "ROWS_PER_PIECE", 7)


async def whole(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])


def exported(browser: Client, label: str, format_: str = "csv", query: str = "") -> bytes:
    """Ask for an export, download it, and return the file."""
    asked = browser.post(f"/admin/exports/new/?list={label}&{query}", {"format": format_})
    assert asked.status_code == 302, asked.content
    answer = browser.get(f"{asked['Location']}file/")
    assert answer.status_code == 200, answer.content
    return async_to_sync(whole)(answer.streaming_content)


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("label", list(source.lists()))
def test_every_list_is_exported_whole_and_the_same_in_every_format(auditor: Client, label: str) -> None:
    jsonl = [json.loads(line) for line in exported(auditor, label, "jsonl").splitlines()]
    as_csv = csv_rows(exported(auditor, label, "csv"))
    as_parquet = parquet.read_table(io.BytesIO(exported(auditor, label, "parquet"))).to_pylist()
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
    rows = source.Source("projections.account", Account, Account.objects.order_by("account_id"), ("account_id",))
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
