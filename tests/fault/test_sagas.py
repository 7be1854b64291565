"""The process manager dies at every point of a transfer in steps: it ends all the same, once, and no money is lost.

At each point the whole log is verified too: every command decided again, the postings of each summing to zero.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from ledger.domain.commands import Command, CreateAccount, FreezeAccount, StartTransfer, UnfreezeAccount
from ledger.engine import sagas
from ledger.engine.execute import execute
from ledger.engine.sagas import ProcessManager
from ledger.engine.submission import Accepted, Outcome, Rejected, Submission
from ledger.errors import StoreUnavailable
from ledger.store import event_store
from tests.fault.proxy import Fault, FaultyServer, faulty_event_store, is_append
from tests.integration.test_verify_ledger import faults
from tests.ledger_world import rows, run, scalar
from tests.proof_world import sign, submit
from tests.read_world import order_everything, process
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clean_stores")
# Each way a transfer can go, and the events it leads to on its own aggregate.
ENDS = {"settled": ["TransferStarted", "TransferCompleted"], "refused": ["TransferStarted", "TransferFailed"]}


class Killed(BaseException):
    """What no `except Exception` catches, as nothing catches SIGKILL."""


def started(end: str = "settled") -> str:
    """Start a transfer of 30.00 from `ann`, who has 100.00, to `bob`, whom `refused` freezes; return its id."""
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    transfer_id = str(submit(StartTransfer("ann", "bob", Decimal(30), "rent"))[0].command_id)
    if end == "refused":
        submit(FreezeAccount("bob"))
    order_everything()
    return transfer_id


def assert_money_is_all_there() -> None:
    """Nothing in the log is illegal or out of balance, and the accounts hold what came in."""
    sign()
    assert faults(semantic=True) == []
    assert balances()["ann"][0] + balances()["bob"][0] == 10_000


def balances() -> dict[str, tuple[int, int]]:
    """Return what each account has and how much of it is held."""
    return {
        id_: (head.state.balance_minor, head.state.held_minor)  # type: ignore[union-attr]
        for id_, head in event_store.read(["ann", "bob"]).heads.items()
    }


def assert_has_ended(transfer_id: str, end: str) -> None:
    types = rows("SELECT event_type FROM events WHERE aggregate_id = %s ORDER BY version", f"transfer:{transfer_id}")
    assert [type_ for (type_,) in types] == ENDS[end]
    assert balances() == (
        {"ann": (7_000, 0), "bob": (3_000, 0)} if end == "settled" else {"ann": (10_000, 0), "bob": (0, 0)}
    )
    assert_money_is_all_there()
    assert ProcessManager().work() == 0, "nothing is left to do"


@pytest.mark.parametrize("end", ENDS)
def test_a_transfer_ends_when_nothing_goes_wrong(end: str) -> None:
    transfer_id = started(end)
    assert balances()["ann"] == (10_000, 3_000)
    assert_money_is_all_there()
    assert ProcessManager().work() == 1
    assert_has_ended(transfer_id, end)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("step", "end"), [(1, "settled"), (1, "refused"), (2, "refused")])
def test_a_transfer_ends_whenever_its_manager_was_killed(
    monkeypatch: pytest.MonkeyPatch, step: int, end: str, moment: str
) -> None:
    """Step 1 settles, or finds that it may not; step 2 sets the money free. Killed before and after each commits."""
    transfer_id, calls = started(end), []

    def die(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        calls.append(len(submissions))
        if len(calls) == step and moment == "before":
            raise Killed
        outcomes = execute(submissions, **options)
        if len(calls) == step:
            raise Killed
        return outcomes

    with monkeypatch.context() as patch:
        patch.setattr(sagas, "execute", die)
        with pytest.raises(Killed):
            ProcessManager().work()
    assert len(calls) == step
    assert_money_is_all_there()
    ProcessManager().work()
    assert_has_ended(transfer_id, end)


def test_a_refusal_holds_though_the_target_would_take_the_money_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the refusal and the release: whoever resumes does not change its mind."""
    transfer_id = started("refused")

    def die_after(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        execute(submissions, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(sagas, "execute", die_after)
        with pytest.raises(Killed):
            ProcessManager().work()
    submit(UnfreezeAccount("bob"))
    ProcessManager().work()
    assert_has_ended(transfer_id, "refused")
    assert scalar("SELECT count(*) FROM refusals WHERE command_type = 'settle-transfer'") == 1


def test_a_transfer_that_the_relay_has_not_ordered_waits_for_it() -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    transfer_id = str(submit(StartTransfer("ann", "bob", Decimal(30)))[0].command_id)
    manager = ProcessManager()
    assert manager.work() == 0
    order_everything()
    assert manager.work() == 1
    assert_has_ended(transfer_id, "settled")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with faulty_event_store(monkeypatch) as server:
        yield server


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("step", "end"), [(1, "settled"), (1, "refused"), (2, "refused")])
def test_a_step_is_taken_once_whatever_breaks_while_it_commits(
    faulty: FaultyServer, step: int, end: str, fault: Fault
) -> None:
    transfer_id, appends = started(end), []

    def fault_for(request: bytes) -> Fault | None:
        if is_append(request):
            appends.append(request)
        return fault if is_append(request) and len(appends) == step else None

    faulty.fault_for = fault_for
    ProcessManager().work()
    assert faulty.injected == [fault], "the fault must have happened, or this test shows nothing"
    assert_has_ended(transfer_id, end)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_transfer_is_started_once_whatever_breaks(faulty: FaultyServer, fault: Fault) -> None:
    submit(CreateAccount("ann", "Ann", "USD", Decimal(100)), CreateAccount("bob", "Bob", "USD"))
    remaining = [fault]
    faulty.fault_for = lambda request: remaining.pop() if is_append(request) and remaining else None
    outcome = run(StartTransfer("ann", "bob", Decimal(30)))
    assert faulty.injected == [fault]
    assert isinstance(outcome, Accepted)
    assert balances()["ann"] == (10_000, 3_000)
    order_everything()
    assert ProcessManager().work() == 1
    assert_has_ended(str(outcome.command_id), "settled")


def many(number: int) -> list[str]:
    """Start transfers among twelve accounts, freeze and unfreeze some of them; return the ids of what was started."""
    chance, ids = random.Random(number), [f"acc-{index}" for index in range(12)]
    if not scalar("SELECT count(*) FROM events WHERE aggregate_id = 'acc-0'"):
        submit(*(CreateAccount(id_, "Owner", "USD", Decimal(1000)) for id_ in ids))
    commands: list[Command] = [
        StartTransfer(*chance.sample(ids, 2), Decimal(chance.randint(1, 50)), f"rent {index}")
        for index in range(number)
    ]
    for id_ in chance.sample(ids, 4):
        commands.insert(chance.randrange(number), chance.choice((FreezeAccount, UnfreezeAccount))(id_))
    outcomes = execute([Submission(command, actor="tester") for command in commands])
    return [
        str(outcome.command_id)
        for command, outcome in zip(commands, outcomes, strict=True)
        if isinstance(outcome, Accepted) and isinstance(command, StartTransfer)
    ]


def unfinished() -> int:
    count: int = scalar(
        "SELECT count(*) FROM events AS started WHERE event_type = 'TransferStarted' AND NOT EXISTS "
        "(SELECT 1 FROM events AS e WHERE e.aggregate_id = started.aggregate_id AND e.version = 2)"
    )
    return count


def assert_all_ended_once(transfers: list[str]) -> None:
    ended = rows("SELECT aggregate_id, count(*) FROM events WHERE aggregate_type = 'transfer' GROUP BY 1")
    assert dict(ended) == {f"transfer:{transfer_id}": 2 for transfer_id in transfers}
    heads = event_store.read([f"acc-{index}" for index in range(12)]).heads.values()
    assert sum(head.state.balance_minor for head in heads) == 12 * 100_000  # type: ignore[union-attr]
    assert sum(head.state.held_minor for head in heads) == 0  # type: ignore[union-attr]
    sign()
    assert faults(semantic=True) == []


def test_managers_that_work_at_once_end_every_transfer_once() -> None:
    transfers = [transfer_id for number in (60, 61, 62) for transfer_id in many(number)]
    order_everything()
    start = threading.Barrier(4)

    def work(_: int) -> None:
        start.wait(10)
        ProcessManager().work()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(transfers) > 50
    assert_all_ended_once(transfers)


@pytest.mark.timeout(240)
def test_processes_killed_again_and_again_end_every_transfer_once() -> None:
    transfers: list[str] = []
    with process("run_sagas"):
        for number in range(40, 45):
            with process("run_sagas") as killed:
                transfers += many(number)
                order_everything()
                before = unfinished()
                wait_for(lambda before=before: not before or unfinished() < before, "some of them end")
                killed.kill()
                killed.wait()
        wait_for(lambda: unfinished() == 0, "the one that is left ends the rest")
    assert len(transfers) > 50
    assert_all_ended_once(transfers)


def test_a_busy_store_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of the command: an outage is logged and tried again, and it stops when it is told to."""
    transfer_id, stop, outages = started(), threading.Event(), []

    def fail_twice(submissions: Sequence[Submission], **options: Any) -> list[Outcome]:
        if len(outages) < 2:
            outages.append(True)
            raise StoreUnavailable("away")
        outcomes = execute(submissions, **options)
        assert not any(isinstance(outcome, Rejected) for outcome in outcomes)
        stop.set()
        return outcomes

    monkeypatch.setattr(sagas, "execute", fail_twice)
    sagas.run_sagas(stop, lambda: None)
    assert len(outages) == 2
    assert_has_ended(transfer_id, "settled")
