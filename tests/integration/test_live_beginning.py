"""Where the live page begins under a filter that no index leads to: with the newest that match, read as little as need be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from auditor import history
from auditor.history import LOOKED_AT_FIRST, WINDOWS, Beginning, before_newest, read_page
from auditor.live_events import Filter
from chronicle.roles import Role
from ledger.domain.commands import CreateAccount, Deposit
from ledger.store import journal
from tests.portal_world import signed_in
from tests.read_world import order_everything, submit

COUNT = 100
EVENTS = 1_500
COMMON, SEVERAL = "rent", "bread"


@pytest.fixture(scope="module")
def _past(clean_stores_for_module: None) -> None:
    submit(CreateAccount("a", "A", "USD"))
    submit(*(Deposit("a", Decimal(1), SEVERAL if number % 5 == 0 else COMMON) for number in range(EVENTS)))
    order_everything()


pytestmark = pytest.mark.usefixtures("_past", "database")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each look read."""
    read: list[int] = []
    real = history.history.sequenced_events

    def counted(*arguments: Any) -> Any:
        found = real(*arguments)
        read.append(len(found))
        return found

    monkeypatch.setattr(history.history, "sequenced_events", counted)
    return read


@pytest.mark.parametrize("narrowed", [{}, {"event_type": "MoneyDeposited"}, {"aggregate_id": "a"}])
@pytest.mark.parametrize(("text", "looks"), [(COMMON, [200]), (SEVERAL, [200, 1_000])])
def test_it_begins_with_the_newest_hundred_that_match(
    looked_at: list[int], text: str, looks: list[int], narrowed: dict[str, str]
) -> None:
    wanted = Filter(text=text, **narrowed)
    beginning = before_newest(COUNT, wanted)
    assert looked_at == looks == list(WINDOWS[: len(looks)])
    assert beginning.looked_at is None
    head, position, found = journal.head().position, beginning.after, 0
    while position < head:
        shown = read_page(position, wanted, COUNT, head)
        found, position = found + len(shown.events), shown.position
    assert found == COUNT


@pytest.mark.parametrize(
    "wanted", [Filter(text="said by nobody"), Filter(min_amount=Decimal(2)), Filter(text="said", aggregate_id="a")]
)
def test_what_is_rare_is_left_to_the_page_after_one_look(looked_at: list[int], wanted: Filter) -> None:
    assert before_newest(COUNT, wanted) == Beginning(0, LOOKED_AT_FIRST)
    assert looked_at == [WINDOWS[0]]


def test_nobody_is_told_of_a_search_that_was_not_needed() -> None:
    auditor = signed_in(Role.AUDITOR)
    for text, is_told in ((COMMON, False), ("said by nobody", True)):
        answer = auditor.get("/admin/live/", {"text": text})
        assert ("Searched from the newest" in answer.content.decode()) == is_told
        assert (answer.context["after"] > 0) == (not is_told)
