"""verify_ledger against whoever has the log's own key too: only a head that was kept outside tells, and how much."""

from __future__ import annotations

import pytest

from ledger.domain.commands import CreateAccount, Deposit
from ledger.drill.forgery import Forgery
from ledger.store import log_key, tree_heads
from ledger.verify.faults import Kind
from tests.integration.test_verify_ledger import faults
from tests.integration.test_verify_rewrites import forgery, rewrite_everything, verify_command
from tests.proof_world import Decimal, sign, small_history, submit, tamper
from tests.servers import Servers

__all__ = ["forgery"]  # a fixture
pytestmark = pytest.mark.usefixtures("clean_stores")


def test_a_history_rewritten_with_the_logs_own_key_is_found_by_a_head_kept_outside(
    stack: Servers, forgery: Forgery
) -> None:
    kept = small_history().note
    rewrite_everything(stack, forgery)
    assert faults() == [], "inside, everything is consistent and signed"
    assert [fault.kind for fault in faults(against=(("kept", kept),))] == [Kind.REWRITTEN]


def test_heads_kept_over_time_say_between_which_positions_the_history_was_rewritten(
    stack: Servers, forgery: Forgery
) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)))
    kept = [sign()]
    for _ in range(4):
        submit(Deposit("ann", Decimal(5)), Deposit("ann", Decimal(1)))
        kept.append(sign())
    # One minor unit more at version 6, and in every state from there on.
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{amount_minor}', to_jsonb((data->>'amount_minor')::int + 1)) "
                  "WHERE version = 6")  # fmt: skip
    tamper(stack, "UPDATE events SET state = jsonb_set(state, '{balance_minor}', to_jsonb((state->>'balance_minor')::int + 1)) "
                  "WHERE version >= 6")  # fmt: skip
    forgery.rehash_from("ann", 6)
    forgery.resign(log_key.load_signer())
    against = tuple((f"kept-{head.tree_size}", head.note) for head in kept)
    assert [head.tree_size for head in kept] == [2, 4, 6, 8, 10]
    for given, words in (
        (against, "the first altered position is between 5 and 6: the kept head of size 4 still holds"),
        (
            against[:1] + against[4:],
            "the first altered position is between 3 and 10: the kept head of size 2 still holds",
        ),
        (against[4:], "the first altered position is between 1 and 10: no smaller head that holds was given"),
    ):
        rewritten = [fault for fault in faults(against=given) if fault.kind == Kind.REWRITTEN]
        assert rewritten, given
        assert all(words in fault.detail for fault in rewritten)


def test_a_head_kept_just_before_the_alteration_names_the_very_position(stack: Servers, forgery: Forgery) -> None:
    submit(CreateAccount("ann", "Ann", "USD"))
    kept = [sign()]
    submit(Deposit("ann", Decimal(5)))
    kept.append(sign())
    tamper(stack, "UPDATE events SET data = jsonb_set(data, '{amount_minor}', '501'), "
                  "state = jsonb_set(state, '{balance_minor}', '501') WHERE version = 2")  # fmt: skip
    forgery.rehash_from("ann", 2)
    forgery.resign(log_key.load_signer())
    (fault,) = faults(against=tuple(("kept", head.note) for head in kept))
    assert (fault.kind, fault.position) == (Kind.REWRITTEN, 2)
    assert fault.detail.endswith("the first altered position is 2")


def test_a_kept_head_that_the_log_continues_raises_nothing(forgery: Forgery) -> None:
    kept = small_history().note
    submit(Deposit("ann", Decimal(1)))
    sign()
    assert faults(against=(("kept", kept),)) == []


def test_a_tail_deleted_with_its_heads_is_found_by_a_head_kept_outside(stack: Servers) -> None:
    kept = small_history().note
    tamper(stack, "DELETE FROM events WHERE aggregate_id = 'ann' AND version = 7")
    tamper(stack, "DELETE FROM journal WHERE position = 10")
    tamper(stack, "DELETE FROM tree_heads")
    assert [fault.kind for fault in faults(against=(("kept", kept),))] == [Kind.REWRITTEN]


def test_what_this_machine_signed_last_is_checked_without_being_asked(stack: Servers, forgery: Forgery) -> None:
    small_history()
    rewrite_everything(stack, forgery)
    assert tree_heads.remembered() is not None
    done = verify_command()
    assert done.returncode == 1
    assert "rewritten" in done.stdout
