"""Time travel: any cut of the books is what a naive fold of the event store gives, and a final one never changes."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command

from chronicle.processes import USAGE
from ledger.domain.commands import CreateAccount, Deposit, Reverse, StartTransfer, Transfer
from ledger.domain.errors import AccountNotFound
from ledger.domain.instants import format_instant
from ledger.engine.execute import execute
from ledger.selectors import VersionNotFound
from ledger.store import event_store, history, journal
from ledger.subjects.texts import open_recorded
from projections import selectors, steps, time_travel
from projections.money import movements
from projections.time_travel import Cut
from tests.every_command import RandomCommands, open_in_two_currencies
from tests.proof_world import submit as accepted
from tests.read_world import open_accounts, order_everything, projector, relay, submit, wait_until_applied
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
MICROSECOND = timedelta(microseconds=1)
AHEAD = timedelta(days=1)
AT_LEAST, AT_MOST = timedelta(seconds=6), timedelta(seconds=60)
FINAL_SOON = timedelta(seconds=0.5)  # the five seconds that it is are waited for in the API's test of a balance
KINDS = {"books", "difference", "account"}


def a_history() -> None:
    ids = open_in_two_currencies(6)
    commands = RandomCommands(ids, random.Random(4))
    commands.execute(60)
    order_everything()
    opened = journal.read(0)[0].event.recorded_at
    for number, submission in enumerate(commands.submissions(30)):
        # Some count for earlier than they were written down.
        effective_at = opened + number * MICROSECOND if number % 2 else None
        execute([replace(submission, effective_at=effective_at)])
    order_everything()
    with projector():
        wait_until_applied()


def folded(cut: Cut) -> dict[str, int]:
    """Return the balances at a cut, the slow way. A command is in when its last event is."""
    balances: dict[str, int] = defaultdict(int)
    for movement in movements(journal.read(0)):
        event, sequenced = movement.sequenced.event, movement.sequenced
        last = sequenced.position - sequenced.command_index + sequenced.command_size - 1
        if (
            (cut.position is None or last <= cut.position)
            and (cut.recorded_at is None or event.recorded_at <= cut.recorded_at)
            and (cut.effective_at is None or event.effective_at <= cut.effective_at)
        ):
            balances[event.aggregate_id] += movement.amount_minor
    return dict(balances)


def test_every_cut_is_what_folding_the_event_store_gives() -> None:
    submit(CreateAccount("first", "First", "USD", Decimal(1)))
    order_everything()
    a_history()
    events = journal.read(0)
    for sequenced in events[::7]:
        recorded, effective = sequenced.event.recorded_at, sequenced.event.effective_at
        for cut in (
            Cut(recorded_at=recorded), Cut(recorded_at=recorded - MICROSECOND), Cut(effective_at=effective),
            Cut(effective_at=effective - MICROSECOND), Cut(position=sequenced.position),
            Cut(recorded_at=recorded, effective_at=effective - MICROSECOND),
        ):  # fmt: skip
            books = time_travel.books(cut)
            assert {b.account_id: b.balance_minor for b in books.balances} == folded(cut), cut
            assert all(total.accounts_minor + total.external_minor == 0 for total in books.totals), cut
            assert sum(total.accounts for total in books.totals) == len(books.balances)


def test_the_difference_of_two_cuts_is_that_of_their_books() -> None:
    a_history()
    instants = [sequenced.event.recorded_at for sequenced in journal.read(0)[::9]]
    for early, late in pairwise(instants):
        one, other = Cut(recorded_at=early), Cut(recorded_at=late)
        found = time_travel.difference(one, other)
        old, new = folded(one), folded(other)
        expected = [(id_, old.get(id_, 0), new.get(id_, 0)) for id_ in sorted(old.keys() | new.keys())]
        changes = [(change.account_id, change.before_minor, change.after_minor) for change in found.changes]
        assert changes == [(id_, before, after) for id_, before, after in expected if before != after]
        books = time_travel.books(one), time_travel.books(other)
        assert (found.before.totals, found.after.totals) == (books[0].totals, books[1].totals)
        assert [book.at_position for book in (found.before, found.after)] == [book.at_position for book in books]
        assert found.total == len(found.changes)
        assert time_travel.difference(one, one).changes == []


def test_before_the_first_event_the_books_are_empty_and_final(monkeypatch: pytest.MonkeyPatch) -> None:
    a_history()
    monkeypatch.setattr(history, "FINAL_AFTER", FINAL_SOON)
    first = journal.read(0)[0].event.recorded_at
    wait_for(lambda: history.backlog().is_settled(first), "the first event is older than any commit can be late")
    books = time_travel.books(Cut(recorded_at=first - MICROSECOND))
    assert (books.balances, books.totals, books.is_final) == ([], [], True)


def test_the_future_and_what_only_counts_are_never_final() -> None:
    a_history()
    now = datetime.now(UTC)
    assert not time_travel.books(Cut(recorded_at=now + AHEAD)).is_final
    assert not time_travel.books(Cut()).is_final
    assert not time_travel.books(Cut(effective_at=now - AHEAD)).is_final
    assert not time_travel.books(Cut(position=journal.head().position + 1)).is_final
    assert time_travel.books(Cut(position=journal.head().position)).is_final


def test_an_instant_that_the_read_model_has_not_reached_is_not_final(monkeypatch: pytest.MonkeyPatch) -> None:
    a_history()
    monkeypatch.setattr(history, "FINAL_AFTER", FINAL_SOON)
    submit(Deposit("acc-0", Decimal(1)))
    head = order_everything()  # and no projector runs
    recorded_at = journal.read(head - 1)[0].event.recorded_at
    wait_for(lambda: history.backlog().is_settled(recorded_at), "it is settled in the event store")
    assert not time_travel.books(Cut(recorded_at=recorded_at)).is_final


def test_a_final_answer_never_changes_while_writers_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # So that answers become final while the test runs: nothing commits half a second after its recorded_at.
    monkeypatch.setattr(event_store, "FINAL_AFTER", FINAL_SOON)
    monkeypatch.setattr(history, "FINAL_AFTER", FINAL_SOON)
    ids = open_in_two_currencies(6)
    stop = threading.Event()

    def write(number: int) -> None:
        commands = RandomCommands(ids, random.Random(number))
        while not stop.is_set():
            commands.execute(4)

    answers: dict[Question, object] = {}
    final_twice: Counter[str] = Counter()
    with relay(), projector():
        writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
        for writer in writers:
            writer.start()
        try:
            began = datetime.now(UTC)
            # For a while, and on a crowded machine until there is something to judge by.
            while (ran := datetime.now(UTC) - began) < AT_LEAST or (ran < AT_MOST and set(final_twice) != KINDS):
                for question in [*answers, *questions(ids)]:
                    said, is_final = question.answer()
                    if question in answers:
                        assert said == answers[question], question
                        final_twice[question.what] += 1
                    elif is_final and len(answers) < 40:
                        answers[question] = said
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        order_everything()
        wait_until_applied()
        for question, said in answers.items():
            assert question.answer() == (said, True)
    assert len(answers) > 6, "answers became final while writers ran"
    assert set(final_twice) == KINDS, "and were asked for again"


@dataclass(frozen=True)
class Question:
    what: str
    cut: Cut
    account_id: str = ""

    def answer(self) -> tuple[object, bool]:
        """Return what is said, and whether that is final."""
        if self.what == "books":
            books = time_travel.books(self.cut)
            return (tuple(books.balances), tuple(books.totals)), books.is_final
        if self.what == "difference":
            difference = time_travel.difference(self.cut, Cut(position=20))
            return tuple(difference.changes), difference.is_final
        assert self.cut.recorded_at is not None
        step = steps.step_at(self.account_id, self.cut.recorded_at)
        # The step after is news, not a part of what was.
        return (step.before, step.event), step.is_final


def questions(ids: list[str]) -> Iterator[Question]:
    now, reached = datetime.now(UTC), selectors.checkpoint_position("postings")
    for age_s in (0.2, 0.5, 0.6, 1):
        instant = now - timedelta(seconds=age_s)
        yield Question("books", Cut(recorded_at=instant))
        yield Question("books", Cut(recorded_at=instant, effective_at=instant - timedelta(seconds=0.3)))
        yield Question("difference", Cut(recorded_at=instant))
        yield Question("account", Cut(recorded_at=instant), ids[now.microsecond % len(ids)])
    yield Question("books", Cut(position=reached))
    yield Question("books", Cut(position=reached + 5))


def test_the_difference_between_two_instants_names_the_accounts() -> None:
    a, b, _ = open_accounts(3)
    order_everything()
    before = journal.read(0)[-1].event.recorded_at
    submit(Transfer(a, b, Decimal(3)))
    order_everything()
    with projector():
        wait_until_applied()
    found = time_travel.difference(Cut(recorded_at=before), Cut()).changes
    assert [(c.account_id, c.after_minor - c.before_minor) for c in found] == [(a, -300), (b, 300)]


def test_one_account_at_any_microsecond_with_the_step_before_and_after() -> None:
    submit(CreateAccount("a", "Ann", "USD"))
    submit(Deposit("a", Decimal(1)))
    submit(Deposit("a", Decimal(2)))
    one, two, three = open_recorded(list(history.events_of("a", [1, 2, 3]).values()))
    at_two = steps.step_at("a", two.recorded_at)
    assert (at_two.before, at_two.event, at_two.after) == (one, two, three)
    assert steps.step_at("a", three.recorded_at - MICROSECOND).event == two
    nothing = steps.step_at("a", one.recorded_at - MICROSECOND)
    assert (nothing.before, nothing.event, nothing.after) == (None, None, one)
    assert steps.step_at("a", three.recorded_at + AHEAD).is_final is False
    assert steps.step_to("a", 2) == steps.Step(two, one, three, True)
    assert steps.step_to("a", 0) == steps.Step(None, None, one, True)
    with pytest.raises(VersionNotFound):
        steps.step_to("a", 9)
    with pytest.raises(AccountNotFound):
        steps.step_at("nobody", one.recorded_at)


def test_the_command_shows_books_and_steps_and_refuses_an_instant_without_an_offset() -> None:
    a_history()
    assert "Trial balance (final)" in call("--position", "30")
    assert "acc-0" in call("--position", "30")
    assert "accounts differ" in call("--at", "2020-01-01T00:00:00Z", "--compare-to", "2999-01-01T00:00:00+02:00")
    assert "AccountCreated" in call("--account", "acc-0", "--account-version", "1")
    with pytest.raises(CommandError, match="offset"):
        call("--at", "2026-01-01T00:00:00")
    with pytest.raises(CommandError, match="--account"):
        call("--account-version", "3")
    for useless in (("--at", "2999-01-01T00:00:00Z"), ("--position", "3"), ("--compare-to", "2999-01-01T00:00:00Z")):
        with pytest.raises(CommandError, match="does not go with"):
            call("--account", "acc-0", "--account-version", "1", *useless)
    for number in ("-1", str(2**63), "x"):
        for flag in ("--position", "--account-version", "--rows"):
            with pytest.raises(CommandError, match="whole number"):
                call("--account", "acc-0", f"{flag}={number}")
    with pytest.raises(CommandError, match=r"^account_not_found: "):
        call("--account", "nobody", "--at", "2999-01-01T00:00:00Z")
    with pytest.raises(CommandError, match=r"^version_not_found: "):
        call("--account", "acc-0", "--account-version", "100000")


def test_the_command_compares_two_instants_by_what_was_known_or_by_what_counted() -> None:
    submit(CreateAccount("a", "Ann", "USD", Decimal(9)), CreateAccount("b", "Bob", "USD", Decimal(5)))
    order_everything()
    opened = history.events_of("a", [1])[1].recorded_at
    before, then, after = (format_instant(opened + delta) for delta in (-MICROSECOND, timedelta(0), AHEAD))
    with projector():
        wait_until_applied()
        assert "2 accounts differ (not final)\na  0.00 → 9.00 USD\n" in call("--at", before, "--compare-to", after)
        assert "2 accounts differ" in call("--effective-at", before, "--compare-to", after)
        assert (
            call("--effective-at", then, "--compare-to", after, "--account", "a") == "0 accounts differ (not final)\n"
        )
        assert call("--at", before, "--compare-to", after, "--account", "b") == (
            "1 accounts differ (not final)\nb  0.00 → 5.00 USD\n"
        )


@pytest.mark.parametrize("how", [("--account-version", "1"), ("--at", "2999-01-01T00:00:00Z"), ("--position", "3"), ()])
def test_what_is_no_account_has_no_balance_to_travel_to(how: tuple[str, ...]) -> None:
    submit(CreateAccount("a", "Ann", "USD", Decimal(9)), CreateAccount("b", "Bob", "USD"))
    (started,) = accepted(StartTransfer("a", "b", Decimal(3), "rent"))
    (moved,) = accepted(Transfer("a", "b", Decimal(1)))
    accepted(Reverse("a mistake", command_id=str(moved.command_id)))
    order_everything()
    for aggregate_id in (f"transfer:{started.command_id}", f"reversal:{moved.command_id}", "log:keys"):
        with pytest.raises(CommandError, match=r"^invalid_account_id: .* is no account") as refused:
            call("--account", aggregate_id, *how)
        assert refused.value.returncode == USAGE


def call(*arguments: str) -> str:
    printed = StringIO()
    call_command("time_travel", *arguments, stdout=printed)
    return printed.getvalue()
