"""A person with several accounts: one erase_subject forgets them all, whoever else says that an account is theirs."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from chronicle.roles import Role
from ledger.domain.account import ERASED
from ledger.domain.commands import CreateAccount, Transfer
from ledger.engine import writing
from ledger.engine.erasure import owner_name
from ledger.engine.execute import execute
from ledger.engine.sealing import Sealer
from ledger.engine.subjects import accounts_of, subject_of
from ledger.engine.submission import Accepted, Rejected
from ledger.errors import CommitUnknown
from ledger.evidence.verify_evidence import check_certificate
from ledger.store import log_key
from ledger.subjects.connection import KeysUnavailable
from tests.api_world import client_with, get, new_user, ok, post
from tests.erasure_world import in_event_store, in_read_model, shown
from tests.ledger_world import rows, submission
from tests.proof_world import submit
from tests.read_world import projector, relay

pytestmark = pytest.mark.usefixtures("clean_stores")


def create(account_id: str, subject_id: str | None = None, owner_name: str = "Annabella") -> CreateAccount:
    return CreateAccount(account_id, owner_name, "USD", Decimal(10), subject_id)


def run(*arguments: str) -> str:
    printed = StringIO()
    call_command("erase_subject", "--reason", "request 17", "--yes", *arguments, stdout=printed)
    return printed.getvalue()


def test_all_accounts_of_a_person_are_forgotten_at_once_and_nobody_elses(tmp_path: Path) -> None:
    submit(create("a1", "customer-7"), create("a2", "customer-7"), create("b", "customer-8", "Bobby"), create("c"))
    submit(Transfer("a1", "a2", Decimal(1), "Annown"), Transfer("b", "a2", Decimal(1), "Annshared"))
    admin, file = new_user(Role.ADMINISTRATOR).get_username(), tmp_path / "certificate"
    with relay(), projector():
        printed = run("--subject", "customer-7", "--actor", admin, "--output", str(file))
    assert "words shared with others are gone from theirs too: b" in printed
    assert (set(shown("a1")), set(shown("a2"))) == ({ERASED, "Initial balance"}, {ERASED, "Initial balance"})
    assert "Bobby" in shown("b")
    assert "Annabella" in shown("c"), "of the same name, and not the same person"
    assert in_read_model(("Annown", "Annshared")) == {}
    stated = check_certificate(file.read_text(), log_key.load_signer().verifier.vkey)
    assert (stated["account_ids"], stated["shared_with"]) == (["a1", "a2"], ["b"])
    assert [e["account_id"] for e in stated["erasures"]] == ["a1", "a2"]
    assert {key["account_id"] for key in stated["keys_destroyed"]} == {"a1", "a2"}
    assert len(stated["erasure_proofs"]) == 2


def test_an_account_without_a_subject_is_its_own_and_one_with_is_not() -> None:
    submit(create("ann"), create("too", "ann"), create("bob", "ann-2"), create("customer-9", "customer-7"))
    assert accounts_of("ann") == ["ann", "too"]
    assert (accounts_of("bob"), accounts_of("ann-2"), accounts_of("nobody")) == ([], ["bob"], [])
    assert accounts_of("customer-9") == [], "that is an account of somebody else"
    assert [subject_of(id_) for id_ in ("ann", "too", "bob")] == ["ann", "ann", "ann-2"]
    assert "ann-2" not in str(rows("SELECT data, state, metadata FROM events"))
    admin = new_user(Role.ADMINISTRATOR).get_username()
    for wrong in ("nobody", "bob", "log:keys"):
        with pytest.raises(CommandError) as caught:
            run("--subject", wrong, "--actor", admin)
        assert caught.value.returncode == 2


def test_erasing_one_account_says_that_the_person_has_others() -> None:
    submit(create("a1", "customer-7"), create("a2", "customer-7"))
    admin = new_user(Role.ADMINISTRATOR).get_username()
    printed = StringIO()
    with pytest.raises(CommandError, match="no signed head"):
        call_command("erase_subject", "--account", "a1", "--reason", "request 17", "--actor", admin, "--yes",
                     "--wait", "0", stdout=printed)  # fmt: skip
    assert "customer-7, whose account this is, has 1 more" in printed.getvalue()
    assert (owner_name("a1"), owner_name("a2")) == (ERASED, "Annabella")


def test_what_a_refused_creation_said_counts_for_nothing() -> None:
    submit(create("a1", "customer-7"))
    (again,) = execute([submission(create("a1", "mallory"))])
    (malformed,) = execute([submission(CreateAccount("a9", "x", "XXX", Decimal(1), "mallory"))])
    (dry,) = execute([submission(create("a8", "mallory"))], dry_run=True)
    assert isinstance(again, Rejected)
    assert isinstance(malformed, Rejected)
    assert isinstance(dry, Accepted)
    submit(create("a9"), create("a8"))
    assert accounts_of("mallory") == []
    assert [subject_of(id_) for id_ in ("a1", "a8", "a9")] == ["customer-7", "a8", "a9"]


def test_of_two_that_create_an_account_at_once_the_one_that_did_says_whose_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    append, met = writing.append, []

    def be_second(*arguments: Any) -> Any:
        if not met:
            met.append(True)
            submit(create("a1", "customer-7"))
        return append(*arguments)

    monkeypatch.setattr(writing, "append", be_second)
    (outcome,) = execute([submission(create("a1", "mallory"))])
    assert isinstance(outcome, Rejected)
    assert (accounts_of("customer-7"), accounts_of("mallory")) == (["a1"], [])


def test_a_commit_that_nobody_heard_of_keeps_whose_the_account_is(monkeypatch: pytest.MonkeyPatch) -> None:
    append, calls = writing.append, []

    def unheard(*arguments: Any) -> Any:
        told_at = append(*arguments)
        calls.append(True)
        if len(calls) == 1:
            raise CommitUnknown("the connection broke")
        return told_at

    monkeypatch.setattr(writing, "append", unheard)
    (outcome,) = execute([submission(create("a1", "customer-7"))])
    assert isinstance(outcome, Accepted)
    assert accounts_of("customer-7") == ["a1"]


def test_no_account_comes_to_be_of_which_it_is_not_noted_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: object) -> None:
        raise KeysUnavailable("away")

    monkeypatch.setattr("ledger.engine.subjects.belonging.note", away)
    monkeypatch.setattr("ledger.engine.transaction.RETRY_S_MAX", 0.1)
    for number in (1, writing.STREAMED_FROM):
        with pytest.raises(KeysUnavailable):
            execute([submission(create(f"a{n}", "customer-7")) for n in range(number)])
    assert rows("SELECT count(*) FROM events") == [(0,)]


def test_of_many_accounts_made_at_once_each_is_noted() -> None:
    submit(*(create(f"a{n:03}", f"customer-{n % 2}") for n in range(writing.STREAMED_FROM)))
    assert accounts_of("customer-1") == [f"a{n:03}" for n in range(writing.STREAMED_FROM) if n % 2]


def test_the_api_takes_it_checks_it_and_never_shows_it() -> None:
    operator, auditor = client_with(Role.OPERATOR), client_with(Role.AUDITOR)
    body = {"account_id": "a1", "owner_name": "Ann", "currency": "USD", "subject_id": "customer-7"}
    assert post(operator, "create-account", body).status_code == 201
    for wrong in ("", "a@example.org", "x" * 65, 7, None):
        refused = post(operator, "create-account", {**body, "account_id": "a2", "subject_id": wrong})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_field")
    assert accounts_of("customer-7") == ["a1"]
    assert "customer-7" not in str(ok(get(auditor, "events", limit=10)))
    assert in_event_store(("customer-7",)) == {}


def test_a_request_is_the_same_only_with_the_same_subject_and_an_older_one_is_still_itself() -> None:
    plain = submission(create("a1"), idempotency_key="k")
    assert "subject_id" not in plain.payload(), "what an idempotency key was stored for before there were subjects"
    execute([submission(create("a1", "customer-7"), idempotency_key="k")])
    (same,) = execute([submission(create("a1", "customer-7"), idempotency_key="k")])
    (other,) = execute([plain])
    assert isinstance(same, Accepted)
    assert same.replayed
    assert isinstance(other, Rejected)
    assert other.error.code == "idempotency_key_reused"


def test_texts_from_before_they_were_sealed_are_counted_and_named_and_never_said_to_be_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as before_sealing:
        before_sealing.setattr(Sealer, "sealed", lambda self, submission: submission)
        submit(create("ann"))
    submit(create("ann-2", "ann"))
    admin, file = new_user(Role.ADMINISTRATOR).get_username(), tmp_path / "certificate"
    with relay(), projector():
        printed = run("--subject", "ann", "--actor", admin, "--output", str(file))
    assert "NOT erased: 2 events hold texts in plain" in printed
    stated = check_certificate(file.read_text(), log_key.load_signer().verifier.vkey)
    assert [(event["position"], event["fields"]) for event in stated["not_erased"]] == [
        (1, ["data.owner_name", "state.owner_name"]), (2, ["state.owner_name"]),
    ]  # fmt: skip
    assert in_event_store(("Annabella",)) == {"public.events": ["Annabella"]}
