"""Intake: whatever the bus brings, what is handed out is the true history, gapless and in whole commands."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.commands import CreateAccount, Deposit, Transfer
from ledger.engine.plan import Plan
from ledger.engine.sealing import Sealer
from ledger.engine.submission import Submission
from ledger.store.event_store import Head, Snapshot
from ledger.store.hashing import NO_HASH, extend_running_hash
from ledger.store.journal import Sequenced
from ledger.store.recorded import hash_of
from projections.intake import ChainBroken, Intake


def history(commands: int = 40) -> list[Sequenced]:
    """Return a journal made by the real decider, in memory."""
    snapshot = Snapshot(datetime(2026, 1, 1, tzinfo=UTC), {"a": Head(), "b": Head()})
    plan = Plan(snapshot, Sealer([], snapshot.heads, dry_run=True), atomic=False)
    # Without names: there is nothing to seal then, and no database that would hold the keys.
    wanted = [CreateAccount("a", "", "USD", Decimal(500)), CreateAccount("b", "", "USD")]
    wanted += [Transfer("a", "b", Decimal(1)) if n % 3 else Deposit("b", Decimal(2)) for n in range(commands)]
    for number, command in enumerate(wanted):
        plan.add(Submission(command, actor="tester", command_id=UUID(int=number + 1)))
    sequenced: list[Sequenced] = []
    running_hash = NO_HASH
    for command_id, events in plan.rows.commands:
        for index, event in enumerate(events):
            running_hash = extend_running_hash(running_hash, event.hash)
            sequenced.append(Sequenced(event, len(sequenced) + 1, command_id, index, len(events), running_hash))
    return sequenced


HISTORY = history()


def resealed(sequenced: Sequenced, **changes: object) -> Sequenced:
    """Return the event with other content and a hash that fits it: what a careful forger would send."""
    event = sequenced.event._replace(**changes)  # type: ignore[arg-type]
    return sequenced._replace(event=event._replace(hash=hash_of(event)))


TAMPERINGS = {
    "content": lambda s: s._replace(event=s.event._replace(state={**s.event.state, "balance_minor": 1})),
    "content with a hash that fits": lambda s: resealed(s, data={**s.event.data, "amount_minor": 7}),
    "hash": lambda s: s._replace(event=s.event._replace(hash=bytes(32))),
    "running hash": lambda s: s._replace(running_hash=bytes(32)),
    "an integer no event can hold": lambda s: s._replace(event=s.event._replace(state={"balance_minor": 2**60})),
    "size of the command": lambda s: s._replace(command_size=s.command_size + 1),
    "index in the command": lambda s: s._replace(command_index=s.command_index + 1, command_size=9),
}  # fmt: skip


@pytest.mark.parametrize("tampering", TAMPERINGS)
@pytest.mark.parametrize("at", [0, 2, 7, 8, len(HISTORY) - 1])
def test_a_tampered_event_is_not_handed_out(tampering: str, at: int) -> None:
    arrived = [*HISTORY[:at], TAMPERINGS[tampering](HISTORY[at]), *HISTORY[at + 1 :]]
    intake = Intake(0, NO_HASH)
    assert intake.from_bus(arrived) is None
    assert intake.position == 0
    assert intake.from_journal(HISTORY) == HISTORY, "the journal heals it"


def test_a_command_is_handed_out_when_its_last_event_is_there() -> None:
    first = next(s for s in HISTORY if s.command_index == 0 and s.command_size == 2 and s.position > 4)
    cut = first.position  # its second event is missing
    intake = Intake(0, NO_HASH)
    assert intake.from_bus(HISTORY[:cut]) == HISTORY[: cut - 1]
    assert intake.position == cut - 1
    assert intake.from_bus(HISTORY[cut:]) == HISTORY[cut - 1 :]


def test_a_journal_that_does_not_continue_the_history_is_an_alarm() -> None:
    intake = Intake(0, NO_HASH)
    intake.from_journal(HISTORY[:10])
    other = [*HISTORY[10:12], resealed(HISTORY[12], data={}), *HISTORY[13:]]
    with pytest.raises(ChainBroken, match="event 13"):
        intake.from_journal(other)


def test_an_event_that_claims_a_beginning_nobody_sent_is_refused() -> None:
    metadata = {**HISTORY[0].event.metadata, "command_index": 5, "command_size": 9}
    forged = resealed(HISTORY[0], metadata=metadata)._replace(command_index=5, command_size=9)
    forged = forged._replace(running_hash=extend_running_hash(NO_HASH, forged.event.hash))
    assert Intake(0, NO_HASH).from_bus([forged]) is None
    with pytest.raises(ChainBroken, match="begins too early"):
        Intake(0, NO_HASH).from_journal([forged])


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Sequenced]]:
    """The history in batches, with events dropped, doubled, swapped and tampered with."""
    events = list(HISTORY)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(events) - 2))
        match draw(st.sampled_from(["drop", "double", "swap", "tamper"])):
            case "drop":
                del events[at]
            case "double":
                events.insert(draw(st.integers(0, len(events))), events[at])
            case "swap":
                events[at], events[at + 1] = events[at + 1], events[at]
            case "tamper":
                events[at] = TAMPERINGS[draw(st.sampled_from(sorted(TAMPERINGS)))](HISTORY[events[at].position - 1])
    cuts = sorted(draw(st.sets(st.integers(1, len(events) - 1), max_size=8)))
    return [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]


@settings(max_examples=400, deadline=None)
@given(deliveries())
def test_whatever_arrives_the_true_history_is_handed_out_once(batches: list[list[Sequenced]]) -> None:
    intake = Intake(0, NO_HASH)
    handed_out: list[Sequenced] = []
    for arrived in batches:
        events = intake.from_bus(arrived)
        if events is None:  # ask the journal, as the projector does
            events = intake.from_journal(HISTORY[intake.position : max(s.position for s in arrived)])
        handed_out += events
        assert handed_out == HISTORY[: len(handed_out)], "gapless, in order, untampered"
        assert not handed_out or handed_out[-1].command_index + 1 == handed_out[-1].command_size, "whole commands"
        assert intake.position == len(handed_out)
    intake.forget()
    assert handed_out + intake.from_journal(HISTORY[intake.position :]) == HISTORY
