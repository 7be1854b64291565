"""Erasure without lying: the text is gone from everywhere, every hash and proof holds, and the log says so."""

from __future__ import annotations

import threading
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest
from django.conf import settings

from ledger import selectors
from ledger.domain.account import ERASED
from ledger.domain.commands import CreateAccount, Deposit, Reverse, Transfer
from ledger.domain.errors import AccountNotFound
from ledger.engine.erasure import account_of, erase
from ledger.engine.execute import execute
from ledger.engine.submission import Accepted, Rejected
from ledger.errors import LedgerError
from ledger.store import history, journal, log_key
from ledger.store.hashing import canonical_json
from ledger.subjects import connection as portal
from ledger.subjects import keys
from ledger.subjects.connection import KeysUnavailable
from ledger.subjects.keys import KeyRing, keys_of
from ledger.subjects.texts import open_texts
from ledger.verify.run import Request, verify
from ledger.verify.tree_checks import Trust
from tests.erasure_world import ABOUT_ANN, OF_OTHERS, events_of, in_event_store, shown, signed_texts, texts
from tests.ledger_world import rows, submission
from tests.proof_world import sign, submit
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")


def faults(**options: Any) -> list[str]:
    trust = Trust(settings.LOG_ORIGIN, (log_key.load_signer().verifier,))
    return [str(fault) for fault in verify(Request(trust, processes=1, semantic=True, **options)).faults]


def test_no_text_is_ever_written_in_plain() -> None:
    signed_texts()
    assert in_event_store((*ABOUT_ANN, "Bobby", "Common")) == {}
    assert set(ABOUT_ANN) - {"Annrefused"} <= set(shown("ann"))


def test_what_is_erased_is_gone_everywhere_and_nothing_else_is() -> None:
    texts()
    assert erase("ann", "request 17", "admin") == 1
    sign()
    assert set(shown("ann")) == {ERASED, "Initial balance"}
    assert set(OF_OTHERS) <= set(shown("bob"))
    assert not set(ABOUT_ANN) & {*shown("bob"), *shown("cid")}, "a text that two share is gone from both"
    refused = selectors.refused(10, None, selectors.refusals.Filters())
    assert refused is not None
    (refusal,) = refused.refusals
    assert refusal.command["reason"] == ERASED
    assert account_of("ann").owner_name == ERASED


def test_the_erasure_is_an_event_and_every_proof_holds_after_it() -> None:
    kept = signed_texts()
    erase("ann", "request 17", "admin")
    head = sign()
    assert faults(against=(("kept", kept.note),)) == []
    last = events_of("ann")[-1]
    assert (last["event_type"], last["data"]) == ("SubjectErased", {"generation": 0, "grounds": "request 17"})
    assert last["metadata"]["actor"] == "admin"
    assert last["position"] == head.tree_size


def test_the_sealed_texts_put_back_give_the_bytes_that_are_hashed() -> None:
    signed_texts()
    for erased in (False, True):
        if erased:
            erase("ann", "request 17", "admin")
        for envelope in events_of("ann")[:5]:
            sealed = envelope.get("sealed", {"data": {}, "state": {}})
            parts = {part: {**envelope[part], **sealed[part]} for part in ("data", "state")}
            names = ("aggregate_id", "aggregate_type", "effective_at", "event_id", "event_type", "metadata",
                     "previous_hash", "recorded_at", "schema_version", "version")  # fmt: skip
            bytes_ = canonical_json({**{name: envelope[name] for name in names}, **parts})
            assert sha256(b"\x00" + bytes_).hexdigest() == envelope["hash"]


def test_what_is_written_after_an_erasure_is_under_another_key_and_can_be_erased_too() -> None:
    texts()
    erase("ann", "request 17", "admin")
    submit(Deposit("ann", Decimal(1), "a new start"))
    sign()
    assert shown("ann")[-2:] == ["a new start", ERASED], "the text, and the name that stays erased"
    assert erase("ann", "request 18", "admin") == 2
    sign()
    assert set(shown("ann")) == {ERASED, "Initial balance"}
    assert [key.generation for key in keys_of("ann") if key.erased_at] == [0, 1]
    assert faults() == []


def test_erasing_what_is_erased_does_nothing_more() -> None:
    texts()
    assert erase("ann", "request 17", "admin") == erase("ann", "request 17", "admin") == 1
    with pytest.raises(AccountNotFound):
        erase("nobody", "request 17", "admin")


def test_an_erasure_that_died_before_the_key_was_destroyed_is_finished_by_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts()

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keys, "destroy", die)
        with pytest.raises(KeyboardInterrupt):
            erase("ann", "request 17", "admin")
    submit(Deposit("ann", Decimal(1), "written meanwhile"))
    sign()
    assert "Annabella" in shown("ann"), "the key still stands"
    assert erase("ann", "request 17", "admin") == 1, "the one that was begun, and no other"
    assert "Annabella" not in shown("ann")
    assert "written meanwhile" in shown("ann"), "what came after the event is under the next key"
    assert [event["event_type"] for event in events_of("ann")].count("SubjectErased") == 1
    assert erase("ann", "request 18", "admin") == 2
    sign()
    assert set(shown("ann")) == {ERASED, "Initial balance"}


def test_writers_during_an_erasure_lose_no_text_that_was_accepted_after_it() -> None:
    # With money for as many gifts as a slow machine has time for.
    submit(CreateAccount("ann", "Annabella", "USD"), CreateAccount("bob", "Bobby", "USD", Decimal(10_000_000)))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            submit(
                Deposit("ann", Decimal(1), f"deposit {number}"), Transfer("bob", "ann", Decimal(1), f"gift {number}")
            )

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for generation in range(3):
            before = account_version("ann")
            wait_for(lambda before=before: account_version("ann") > before + 8, "texts to erase")
            assert erase("ann", "request 17", "admin") == generation + 1
        before = account_version("ann")
        wait_for(lambda: account_version("ann") > before + 8, "texts after the last erasure")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    sign()
    events = events_of("ann")
    last = max(number for number, event in enumerate(events) if event["event_type"] == "SubjectErased")
    assert {event["data"].get("description", ERASED) for event in events[1:last]} == {ERASED}
    after = [event["data"]["description"] for event in events[last + 1 :]]
    assert after
    assert [text for text in after if not text.startswith(("deposit ", "gift "))] == []
    assert faults() == []


def account_version(account_id: str) -> int:
    return history.head_version(account_id)


def test_another_process_forgets_within_the_bound() -> None:
    texts()
    other = KeyRing()  # what another process has cached
    (sealed,) = (event.event.data["owner_name"] for event in journal_of("ann")[:1])
    ids = keys.key_id_of("ann", 0)
    opener = other.to_open([(ids,)])[(ids,)]
    assert opener is not None
    assert opener.open(sealed) == "Annabella"
    erase("ann", "request 17", "admin")
    assert open_texts([sealed]) == {sealed: ERASED}, "this process at once"
    wait_for(lambda: other.to_open([(ids,)])[(ids,)] is None, "the other one asks", timeout_s=keys.FRESH_S + 30)


def journal_of(account_id: str) -> list[journal.Sequenced]:
    sign()
    return history.sequenced_events(0, 100, account_id, None)


def test_a_dry_run_makes_no_key_and_a_command_for_nobody_neither() -> None:
    outcomes = execute(
        [submission(CreateAccount("ann", "Annabella", "USD")), submission(Deposit("ann", Decimal(1), "wages"))],
        dry_run=True,
    )
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    execute([submission(Deposit("nobody", Decimal(1), "wages")), submission(Transfer("x", "y", Decimal(1), "rent"))])
    assert keys_of("ann") == keys_of("nobody") == keys_of("x") == []


def test_a_text_about_no_account_is_kept_nowhere() -> None:
    (created,) = submit(CreateAccount("ann", "Annabella", "USD"))
    reverse = Reverse("Annmistake", command_id=str(created.command_id))
    (outcome,) = execute([submission(reverse, idempotency_key="reverse")])
    assert isinstance(outcome, Rejected)
    assert in_event_store(("Annmistake",)) == {}


def test_a_repeated_request_is_known_by_a_hash_that_tells_nothing_once_the_key_is_gone() -> None:
    create = submission(CreateAccount("ann", "Annabella", "USD"), idempotency_key="create")
    (first,) = execute([create])
    again = submission(CreateAccount("ann", "Annabella", "USD"), idempotency_key="create")
    (replayed,) = execute([again])
    assert isinstance(first, Accepted)
    assert isinstance(replayed, Accepted)
    assert (replayed.replayed, replayed.command_id) == (True, first.command_id)
    (other,) = execute([submission(CreateAccount("ann", "Ann", "USD"), idempotency_key="create")])
    assert isinstance(other, Rejected)
    assert other.error.code == "idempotency_key_reused"
    ((stored,),) = rows("SELECT request_hash FROM idempotency_keys")
    assert stored != create.request_hash(), "anybody could try names until one fits"
    erase("ann", "request 17", "admin")
    (after,) = execute([again])
    assert isinstance(after, Rejected)
    assert after.error.code == "idempotency_key_reused", "nothing happens twice, and nothing is told"


def test_without_the_keys_a_text_is_not_written_and_money_moves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    submit(CreateAccount("ann", "", "USD"))
    keys.RING.forget()

    def away() -> None:
        raise KeysUnavailable("away")

    monkeypatch.setattr(portal, "pool", away)
    monkeypatch.setattr("ledger.engine.transaction.RETRY_S_MAX", 0.1)
    with pytest.raises(KeysUnavailable):
        execute([submission(Deposit("ann", Decimal(1), "wages"))])
    submit(Deposit("ann", Decimal(1)))
    assert account_of("ann").balance_minor == 100


def test_a_key_that_is_destroyed_behind_the_logs_back_stops_texts_until_the_log_says_so() -> None:
    texts()
    keys.destroy("ann", before_generation=1)
    with pytest.raises(LedgerError, match="erase it again"):
        execute([submission(Deposit("ann", Decimal(1), "wages"))])
    assert erase("ann", "request 17", "admin") == 1
    submit(Deposit("ann", Decimal(1), "wages"))
