"""The table of what each event type means for the books knows every event type there is."""

from __future__ import annotations

from dataclasses import fields

from ledger.domain.events import EVENT_TYPES
from projections.money import MOVES_MONEY, MOVES_NOTHING


def test_every_event_type_of_the_domain_has_an_entry() -> None:
    assert set(EVENT_TYPES) <= set(MOVES_MONEY) | MOVES_NOTHING


def test_no_event_type_both_moves_money_and_does_not() -> None:
    assert not set(MOVES_MONEY) & MOVES_NOTHING


def test_what_moves_money_says_how_much_and_to_whom() -> None:
    needed = {"amount_minor", "currency", "counter_account", "description"}
    for event_type in MOVES_MONEY:
        assert needed <= {field.name for field in fields(EVENT_TYPES[event_type])}, event_type
