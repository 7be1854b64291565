"""What the portal exports and keeps of its own: opened while a subject is known, and forgotten with them."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from auditor.findings.record import change_finding, newest_step, open_finding
from auditor.forgetting import forget
from auditor.models import AccessLogEntry, Finding
from chronicle.roles import Role
from ledger.domain.account import ERASED
from ledger.engine.erasure import erase
from ledger.models import OutboxEntry
from tests.api_world import new_user
from tests.erasure_world import ABOUT_ANN, OF_OTHERS, found_in, texts
from tests.ledger_world import rows
from tests.portal_world import page, signed_in
from tests.proof_world import sign
from tests.read_world import projector, wait_until_applied
from tests.servers import Servers

pytestmark = pytest.mark.usefixtures("clean_stores")


def applied() -> None:
    sign()
    with projector():
        wait_until_applied()


def exported(browser: Client, label: str) -> str:
    asked = browser.post(f"/admin/exports/new/?list={label}", {"format": "jsonl"})
    answer = browser.get(f"{asked['Location']}file/")
    assert answer.status_code == 200

    async def whole() -> bytes:
        return b"".join([piece async for piece in answer.streaming_content])  # type: ignore[union-attr]

    return async_to_sync(whole)().decode()


def test_exports_hold_what_the_pages_show_texts_while_they_stand_and_that_they_are_erased() -> None:
    texts()
    applied()
    browser = signed_in(Role.AUDITOR)
    lists = ("ledger.event", "ledger.refusal", "projections.transaction")
    before = "".join(exported(browser, label) for label in lists)
    assert {word for word in ABOUT_ANN if word in before} == set(ABOUT_ANN)
    erase("ann", "request 17", "admin")
    applied()
    after = "".join(exported(browser, label) for label in lists)
    assert "sealed:1:" not in before + after
    assert [word for word in ABOUT_ANN if word in after] == []
    assert ERASED in after
    assert {"Bobby", "Bobwages", "Common"} <= {word for word in OF_OTHERS if word in after}


def test_what_waits_for_the_relay_is_shown_opened_too() -> None:
    texts()  # nothing has ordered it yet
    browser = signed_in(Role.AUDITOR)
    command_id = rows("SELECT command_id FROM outbox o ORDER BY recorded_at LIMIT 1")[0][0]
    shown = browser.get(page(OutboxEntry, "change", command_id)).content.decode()
    assert "sealed:1:" not in shown + exported(browser, "ledger.outboxentry")


def test_the_notes_of_findings_are_sealed_and_go_with_whom_they_are_about(stack: Servers) -> None:
    texts()
    applied()
    auditor, browser = new_user(Role.AUDITOR), signed_in(Role.AUDITOR)
    ((shared,),) = rows(
        "SELECT event_id FROM events WHERE aggregate_id = 'bob' AND event_type = 'MoneyDeposited'"
        " AND metadata ->> 'command_type' = 'transfer'"
    )
    about_ann = open_finding(auditor, "account", "ann", "Annodd")
    open_finding(auditor, "event", str(shared), "Annshared")
    about_bob = open_finding(auditor, "account", "bob", "Bobodd")
    change_finding(auditor, about_ann, "Annfurther", "escalated", str(newest_step(about_ann)))
    addresses = [page(Finding, "changelist"), *(page(Finding, "change", f.pk) for f in Finding.objects.all())]
    words = ("Annodd", "Annshared", "Annfurther", "Bobodd")

    def seen() -> set[str]:
        pages = "".join(browser.get(address).content.decode() for address in addresses)
        assert "sealed:1:" not in pages
        return {word for word in words if word in pages + exported(browser, "auditor.finding")}

    assert seen() == set(words)
    assert found_in(stack.postgres.url("portal"), words) == {}, "nothing of it is stored in plain"
    erase("ann", "request 17", "admin")
    assert seen() == {"Bobodd"}
    change_finding(auditor, about_bob, "Bobfurther", "explained", str(newest_step(about_bob)))
    open_finding(auditor, "account", "ann", "Annafterwards")
    assert "Annafterwards" in browser.get(addresses[0]).content.decode(), "under the next key"


def test_what_the_portal_kept_in_plain_is_cleared_and_nothing_else(stack: Servers) -> None:
    texts()
    auditor = new_user(Role.AUDITOR)
    old, others = (open_finding(auditor, "account", id_, "x") for id_ in ("ann", "bob"))
    for marked, note in ((old, "Annold"), (others, "Bobold")):  # as they were before notes were sealed
        Finding.objects.filter(pk=marked.pk).update(note=note)
        marked.changes.update(note=note)
    look = {"user": auditor, "kind": "account", "subject_id": "ann", "at": old.opened_at}
    paths = {
        "/a/?q=annabella&page=2": "/a/?q=%5Berased%5D&page=2",
        "/a/?_changelist_filters=q%3DAnnab": "/a/?_changelist_filters=q%3D%255Berased%255D",
        "/ws/events?aggregate_id=ann&text=Annabella": "/ws/events?aggregate_id=ann&text=%5Berased%5D",
        "/a/?_changelist_filters=text%3DAnnab": "/a/?_changelist_filters=text%3D%255Berased%255D",
        "/a/?q=bella++Anna": "/a/?q=%5Berased%5D",
        "/a/?q=Bobby": "/a/?q=Bobby",
        "/a/?text=Anna+Bobby": "/a/?text=Anna+Bobby",
        "/a/?q=an": "/a/?q=an",
        "/a/?account_id=ann": "/a/?account_id=ann",
    }
    entries = [AccessLogEntry.objects.create(path=path, **look) for path in paths]
    for narrowed in ("list=projections.account&q=Annabella", "list=live&text=Annabella"):
        asked = signed_in(Role.AUDITOR).post(f"/admin/exports/new/?{narrowed}", {"format": "csv"})
        assert asked.status_code == 302
    assert forget(["ann"], ["Annabella"]) == 9
    assert found_in(stack.postgres.url("portal"), ("Annold", "Annabella", "annabella", "Annab")) == {}
    assert [AccessLogEntry.objects.get(pk=entry.pk).path for entry in entries] == list(paths.values())
    assert list(others.changes.values_list("note", flat=True)) == ["Bobold"]
    assert forget(["ann"], ["Annabella"]) == 0
