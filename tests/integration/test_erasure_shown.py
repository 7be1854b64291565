"""Whoever looks finds nothing of an erased subject: read models, search, the portal, the live feed, evidence."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client

from auditor.feed import Feed
from auditor.live_events import Filter
from auditor.subscription import Subscription
from chronicle.roles import Role
from ledger.bus.relay import relay_events
from ledger.domain.account import ERASED
from ledger.domain.commands import Deposit, Leg, MultiTransfer, Reverse, SettleTransfer, StartTransfer
from ledger.engine import erasure, writing
from ledger.engine.erasure import erase
from ledger.models import Event, Refusal
from ledger.store import journal
from ledger.store.append import Append
from ledger.store.event_store import Head
from projections import finding, rebuild
from projections.connection import read_model_connection
from projections.consistency import run as consistency
from projections.models import Account, Transaction
from projections.projection import registry
from tests.api_world import client_with, get, ok
from tests.erasure_world import ABOUT_ANN, in_read_model, signed_texts, texts
from tests.integration.test_evidence_bundle import check, export, key
from tests.ledger_world import rows
from tests.portal_world import page, signed_in
from tests.proof_world import sign, submit
from tests.read_world import (
    assert_read_model_is_right,
    projector,
    wait_until_applied,
)
from tests.rebuild_world import drop_shadows

pytestmark = pytest.mark.usefixtures("clean_stores")
# Lines that the read model has for ann's texts, and what it never holds: reasons are on no line.
IN_READ_MODEL = tuple(word for word in ABOUT_ANN if word not in ("Anncourt", "Annlifted", "Annrefused", "Anncancelled"))
DEADLINE_S = 60


@pytest.fixture
def _no_shadows(clean_stores: None) -> Iterator[None]:
    drop_shadows()
    yield
    drop_shadows()


def applied() -> None:
    sign()
    with projector():
        wait_until_applied()


def rebuilt_is_equal() -> None:
    with read_model_connection() as connection:
        for projection in registry():
            rebuild.build(connection, projection, lambda *_: None)
            switched = rebuild.switch(connection, projection, require_equal=True)
            assert [str(difference) for difference in switched.differences if difference] == []
            rebuild.drop_previous(connection, projection)


def findings() -> list[str]:
    return [str(finding) for finding in consistency.check(lambda *_: None)]


@pytest.mark.usefixtures("_no_shadows")
def test_the_read_models_forget_by_the_event_and_equal_a_rebuild() -> None:
    texts()
    applied()
    found = in_read_model(IN_READ_MODEL)
    assert {word for words in found.values() for word in words} == set(IN_READ_MODEL), "there is something to forget"
    erase("ann", "request 17", "admin")
    applied()
    assert in_read_model(ABOUT_ANN) == {}
    assert Account.objects.get(account_id="ann").owner_name == ERASED
    assert Account.objects.get(account_id="bob").owner_name == "Bobby"
    assert {line.description for line in Transaction.objects.filter(account_id="ann")} == {"Initial balance", ERASED}
    assert findings() == []
    assert_read_model_is_right()
    rebuilt_is_equal()


@pytest.mark.usefixtures("_no_shadows")
def test_a_rebuild_between_the_event_and_the_end_of_the_key_forgets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    texts()
    applied()
    with monkeypatch.context() as patch:
        patch.setattr(erasure.keys, "destroy", lambda *_, **__: None)
        erase("ann", "request 17", "admin")
    submit(Deposit("ann", Decimal(1), "afterwards"))
    applied()
    assert in_read_model(ABOUT_ANN) == {}
    rebuilt_is_equal()
    erase("ann", "request 17", "admin")
    rebuilt_is_equal()
    assert in_read_model(("afterwards",)) != {}


def test_a_transfer_in_steps_brings_no_text_back(monkeypatch: pytest.MonkeyPatch) -> None:
    texts()
    (started,) = submit(StartTransfer("ann", "bob", Decimal(3), "Annsteps"))
    applied()
    assert in_read_model(("Annsteps",)) != {}
    with monkeypatch.context() as patch:  # the key still stands, as it does for a moment
        patch.setattr(erasure.keys, "destroy", lambda *_, **__: None)
        erase("ann", "request 17", "admin")
    applied()
    assert in_read_model(("Annsteps",)) == {}
    submit(SettleTransfer(str(started.command_id), "ann", "bob"))
    applied()
    assert in_read_model(("Annsteps",)) == {}
    assert Transaction.objects.filter(transfer_id=str(started.command_id), description=ERASED).count() == 2
    assert findings() == []


def test_a_transfer_in_steps_that_its_targets_erasure_overtook_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting does not touch the target, so nothing stops one that was decided on the target before its erasure."""
    texts()
    append = writing.append

    def erased_meanwhile(rows: Append, read_at: datetime, on_heads: Mapping[str, Head]) -> datetime:
        monkeypatch.setattr(writing, "append", append)
        with monkeypatch.context() as patch:  # the key still stands, as it does for a moment
            patch.setattr(erasure.keys, "destroy", lambda *_, **__: None)
            erase("ann", "request 17", "admin")
        sign()
        wait_until_applied()
        return append(rows, read_at, on_heads)

    monkeypatch.setattr(writing, "append", erased_meanwhile)
    with projector():
        (started,) = submit(StartTransfer("bob", "ann", Decimal(3), "Annsteps"))
        sign()
        wait_until_applied()
    positions = rows(
        "SELECT event_type, position FROM journal WHERE aggregate_id = %s OR event_type = 'SubjectErased'",
        f"transfer:{started.command_id}",
    )
    assert dict(positions)["SubjectErased"] < dict(positions)["TransferStarted"], "or this test shows nothing"
    assert in_read_model(("Annsteps",)) == {}
    erase("ann", "request 17", "admin")
    submit(SettleTransfer(str(started.command_id), "bob", "ann"))
    applied()
    assert in_read_model(("Annsteps",)) == {}
    assert findings() == []


@pytest.mark.usefixtures("_no_shadows")
def test_a_reversal_after_the_erasure_keeps_what_it_says() -> None:
    texts()
    (moved,) = submit(MultiTransfer((Leg("bob", Decimal(2)),), (Leg("ann", Decimal(2)),), "Annsplit"))
    erase("ann", "request 17", "admin")
    submit(Reverse("afterwards", command_id=str(moved.command_id)))
    applied()  # in one batch, unlike what a projector that was there would have had
    assert Transaction.objects.filter(description="afterwards").count() == 2
    assert findings() == []
    rebuilt_is_equal()


def test_words_that_others_said_too_can_still_be_found() -> None:
    texts()
    applied()
    before = finding.find("Common", finding.KINDS, 10).hits
    erase("ann", "request 17", "admin")
    applied()
    after = finding.find("Common", finding.KINDS, 10).hits
    assert {hit.account_id for hit in before} == {"ann", "bob"}
    assert {hit.account_id for hit in after} == {"bob"}
    assert finding.find("Annabella", finding.KINDS, 10).hits == []
    assert [hit.id for hit in finding.find("ann", (finding.ACCOUNT,), 10).hits] == ["ann"]


def test_the_api_and_the_portal_show_what_is_left() -> None:
    texts()
    applied()
    auditor, browser = client_with(Role.AUDITOR), signed_in(Role.AUDITOR)
    addresses = [page(Event, "change", id_) for (id_,) in rows("SELECT event_id FROM events")]
    addresses += [page(Refusal, "change", id_) for (id_,) in rows("SELECT refusal_id FROM refusals")]
    addresses += [page(Account, "change", "ann"), page(Transaction, "changelist")]
    before = "".join(_answers(auditor, browser, addresses))
    assert {word for word in ABOUT_ANN if word in before} == set(ABOUT_ANN)
    erase("ann", "request 17", "admin")
    applied()
    answers = _answers(auditor, browser, addresses)
    assert [(word, answer[:200]) for word in ABOUT_ANN for answer in answers if word in answer] == []
    assert ok(get(auditor, "accounts/ann"))["owner_name"] == ERASED
    assert "sealed:1:" not in "".join(answers[len(API_READS) :]), "the portal shows texts, or that they are erased"


API_READS = (
    ("events", {"limit": 100}),
    ("refusals", {}),
    ("accounts", {"search": "Ann"}),
    ("accounts/ann/transactions", {"limit": 100}),
    ("accounts/ann/at", {"version": 4}),
    ("transfers", {"limit": 100}),
)


def _answers(auditor: Client, browser: Client, addresses: list[str]) -> list[str]:
    read = [get(auditor, path, **parameters) for path, parameters in API_READS]
    shown = [browser.get(address) for address in addresses]
    assert {response.status_code for response in (*read, *shown)} == {200}
    return [response.content.decode() for response in (*read, *shown)]


async def test_the_live_feed_forgets_what_it_kept() -> None:
    await asyncio.to_thread(signed_texts)
    feed, stop = Feed(), asyncio.Event()
    relaying = asyncio.create_task(relay_events(stop))
    async with feed.running():
        first = await _bodies(feed, 0, journal.head().position)
        assert b"Annabella" in first
        assert b"Anncourt" in first
        before = journal.head().position  # asked first: the relay may be done before whoever erased is
        await asyncio.to_thread(erase, "ann", "request 17", "admin")
        async with asyncio.timeout(DEADLINE_S):
            await feed.wait_for_events(before)
        kept = feed.kept_after(feed.position - 1)
        assert kept is not None
        assert [event.event_type for event in kept] == ["SubjectErased"]
        assert feed.kept_after(feed.position - 2) is None, "what came before is read again, from the journal"
        again = await _bodies(feed, 0, feed.position)
        assert [word for word in ABOUT_ANN if word.encode() in again] == []
        assert b"Bobby" in again
    stop.set()
    await relaying


async def _bodies(feed: Feed, after: int, count: int) -> bytes:
    subscription, found = Subscription(feed, after, Filter()), []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            found += await subscription.next_batch()
    return b"".join(event.body for event in found)


def test_a_bundle_of_an_erased_account_verifies_and_says_nothing(tmp_path: Path) -> None:
    signed_texts()
    erase("ann", "request 17", "admin")
    sign()
    bundle = export(tmp_path, "--account", "ann")
    done = check(bundle, "--key", key(), "--rules")
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(bundle) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert [word for word in ABOUT_ANN if word.encode() in everything] == []
