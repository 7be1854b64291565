"""The lists of tables whose key has several columns: every row once, in the order of the key, leading on, unchanged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from auditor.admin.base import ReadOnlyAdmin
from auditor.admin.composite import RowsOnlyAdmin
from ledger.domain.commands import Deposit
from ledger.models import Event, Tile
from projections.models import Account, Activity, DailyBalance, SearchEntry
from tests.portal_world import BAKERY, MILL, accesses, page, town
from tests.proof_world import sign
from tests.read_world import order_everything, projector, submit, wait_until_applied

COMPOSITE = [DailyBalance, Activity, SearchEntry, Tile]
# With all that separates and escapes the parts of a key in an address.
AWKWARD = ["Rent, March", "Rent, March, again", "100 % wool", "%2C,%25", "a%", ",", "x" * 500]
DEPOSITS = 800


@pytest.fixture(scope="module")
def _town(clean_stores_for_module: None) -> None:
    town()
    submit(*(Deposit(MILL, Decimal(1), text) for text in AWKWARD))
    submit(*[Deposit(MILL, Decimal(1), "Bread")] * DEPOSITS)
    order_everything()
    sign()
    with projector():
        wait_until_applied()


pytestmark = pytest.mark.usefixtures("_town", "database")


def walked(browser: Client, model: type[Model], query: dict[str, str] | None = None) -> list[Any]:
    """Return the rows of all pages of a list, as its own links lead from one to the next."""
    address, rows = page(model, "changelist"), []
    changelist = browser.get(address, query or {}).context["cl"]
    while True:
        rows += changelist.result_list
        if not changelist.next_url:
            return rows
        changelist = browser.get(address + changelist.next_url).context["cl"]


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("model", COMPOSITE)
def test_its_pages_hold_every_row_once_in_the_order_of_the_key(
    auditor: Client, monkeypatch: pytest.MonkeyPatch, model: type[Model], size: int
) -> None:
    monkeypatch.setattr(ReadOnlyAdmin, "list_per_page", size)
    keyset = admin.site.get_model_admin(model).keyset  # type: ignore[attr-defined]
    expected = [row.pk for row in model._default_manager.order_by(*keyset)]  # type: ignore[attr-defined]
    assert len(expected) > 1
    assert [row.pk for row in walked(auditor, model)] == expected


def test_every_table_of_the_ledger_has_a_list_and_only_a_composite_key_has_no_page() -> None:
    from django.apps import apps

    for label in ("ledger", "projections"):
        for model in apps.get_app_config(label).get_models():
            model_admin = admin.site.get_model_admin(model)
            assert isinstance(model_admin, ReadOnlyAdmin), model
            assert isinstance(model_admin, RowsOnlyAdmin) == model._meta.is_composite_pk, model


@pytest.mark.parametrize("model", COMPOSITE)
@pytest.mark.parametrize("after", [",", ",,", ",,,", "x", "x,y", "x,y,z", "%,%00,%", "1,1,1", "9" * 40 + ",1"])
def test_a_key_that_means_nothing_breaks_nothing(auditor: Client, model: type[Model], after: str) -> None:
    assert auditor.get(page(model, "changelist"), {"after": after}).status_code in (200, 400)


@pytest.mark.parametrize("model", COMPOSITE)
def test_a_row_has_no_page_and_nothing_leads_to_one(auditor: Client, model: type[Model]) -> None:
    row = model._default_manager.order_by("pk").first()  # type: ignore[attr-defined]
    own = page(model, "change", ",".join(str(part) for part in row.pk))
    answer = auditor.get(own)
    assert answer.status_code == 404
    assert "has no page of its own" in answer.content.decode()
    assert auditor.post(own, {"_save": "Save"}).status_code == 403
    listed = auditor.get(page(model, "changelist")).content.decode()
    assert f'href="{page(model, "changelist")}' in listed, "the navigation leads here"
    assert f"{model._meta.model_name}/{row.pk[0]}" not in listed


def test_daily_balances_are_narrowed_to_an_account_and_that_is_a_look(auditor: Client) -> None:
    before = len(accesses())
    for query in ({"account_id": MILL}, {"q": MILL}):
        assert {row.account_id for row in walked(auditor, DailyBalance, query)} == {MILL}
    assert [look[:2] for look in accesses()[before:]] == [("account", MILL)] * 2
    answer = auditor.get(page(DailyBalance, "changelist")).content.decode()
    assert f'href="{page(Account, "change", BAKERY)}"' in answer
    assert f"/admin/projections/posting/?account_id={MILL}" in answer


def test_a_search_finds_texts_by_a_part_and_leads_to_what_they_are_about(auditor: Client) -> None:
    found = walked(auditor, SearchEntry, {"q": "rent, m"})
    assert [entry.reference for entry in found] == ["Rent, March", "Rent, March, again"]
    assert [entry.reference for entry in walked(auditor, SearchEntry, {"kind": "account"})] == [BAKERY, MILL]
    shown = auditor.get(page(SearchEntry, "changelist"), {"q": "march, again"}).content.decode()
    assert "/admin/projections/transaction/?description=Rent%2C+March%2C+again" in shown
    led = auditor.get("/admin/projections/transaction/?description=Rent%2C+March%2C+again").context["cl"].result_list
    assert [line.description for line in led] == ["Rent, March, again"]


def test_activity_leads_to_the_journal_and_shows_money_only_where_there_is_some(auditor: Client) -> None:
    counted = {row.event_type: 0 for row in walked(auditor, Activity)}
    for row in walked(auditor, Activity):
        counted[row.event_type] += row.events
    assert counted == {event_type: Event.objects.filter(event_type=event_type).count() for event_type in counted}
    assert sum(counted.values()) == Event.objects.count() > DEPOSITS
    assert auditor.get("/admin/ledger/journalentry/?event_type=MoneyDeposited").context["cl"].result_list
    assert "/admin/ledger/journalentry/?event_type=MoneyDeposited" in str(
        auditor.get(page(Activity, "changelist")).content
    )


def test_tiles_are_narrowed_to_a_level_and_lead_to_the_positions_under_them(auditor: Client) -> None:
    assert [(tile.level, tile.tile_index) for tile in walked(auditor, Tile, {"level": "0"})] == [(0, 2), (0, 1), (0, 0)]
    shown = auditor.get(page(Tile, "changelist")).content.decode()
    for position in (1, 256, 257, 512, 513, 768):
        assert f'"/admin/ledger/journalentry/{position}/change/"' in shown
    for name in ("level", "level__exact"):
        assert auditor.get(page(Tile, "changelist"), {name: "high"}).status_code == 400
        assert auditor.get(page(Tile, "changelist"), {name: "9" * 30}).status_code == 200
