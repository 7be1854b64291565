"""One program under supervision: restarted with growing pauses, given up in the end, stopped whatever it does."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from chronicle.stack import supervisor
from chronicle.stack.errors import StackError
from chronicle.stack.leftovers import StartedProcesses
from chronicle.stack.output import Output
from chronicle.stack.supervisor import Program, Supervised, backoff_s, describe
from tests.waiting import eventually

END_TIMEOUT_S = 20


class Bench:
    """Runs one shell script under supervision and keeps what was printed."""

    def __init__(self, folder: Path) -> None:
        self.stream = io.StringIO()
        self.processes = StartedProcesses(folder / "processes.json")
        self.records = folder / "processes.json"
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def supervise(self, script: str, **fields: object) -> Supervised:
        program = Program("probe", ["/bin/sh", "-c", script], **fields)  # type: ignore[arg-type]
        supervised = Supervised(program, Output(self.stream), self.processes)
        supervised.start(self._on_end)
        return supervised

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self.ended.set_result(task.exception())

    async def wait_for_text(self, text: str, times: int = 1) -> None:
        await eventually(lambda: self.stream.getvalue().count(text) >= times, f"{text!r} printed {times} times")

    async def end(self) -> BaseException | None:
        return await asyncio.wait_for(self.ended, END_TIMEOUT_S)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST_S", 0.001)


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_pauses_double_up_to_a_bound() -> None:
    assert [backoff_s(deaths) for deaths in range(1, 9)] == [0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize(("code", "text"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL")])
def test_an_end_is_described_in_words(code: int, text: str) -> None:
    assert describe(code) == text


async def test_a_program_that_keeps_dying_is_given_up_with_one_sentence(bench: Bench, short_pauses: None) -> None:
    bench.supervise("exit 7")
    error = await bench.end()
    assert isinstance(error, StackError)
    assert str(error) == "probe died 8 times in a row, last with exit code 7."
    assert bench.stream.getvalue().count("starting it again") == supervisor.DEATHS_IN_A_ROW_MAX - 1


async def test_a_program_that_ran_long_enough_starts_counting_again(
    bench: Bench, short_pauses: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STABLE_AFTER_S", 0.0)
    supervised = bench.supervise("exit 7")
    await bench.wait_for_text("starting it again", times=2 * supervisor.DEATHS_IN_A_ROW_MAX)
    await supervised.stop()
    assert await bench.end() is None


async def test_leaving_with_0_is_a_death_unless_the_program_may_finish(bench: Bench, short_pauses: None) -> None:
    bench.supervise("exit 0", may_finish=True)
    assert await bench.end() is None
    assert bench.stream.getvalue() == ""


async def test_a_service_that_leaves_with_0_is_started_again(bench: Bench, short_pauses: None) -> None:
    supervised = bench.supervise("exit 0")
    await bench.wait_for_text("died with exit code 0")
    await supervised.stop()


async def test_it_is_stopped_with_its_own_signal(bench: Bench) -> None:
    # Not SIGINT, which a shell cannot catch when the tests themselves were started in the background.
    supervised = bench.supervise(
        "trap 'echo fast; exit 0' USR1; echo up; while :; do sleep 0.01; done", stop_signal=signal.SIGUSR1
    )
    await bench.wait_for_text("up")
    assert '"probe"' in bench.records.read_text()
    await supervised.stop()
    assert await bench.end() is None
    assert bench.stream.getvalue().splitlines() == ["probe     | up", "probe     | fast"]
    assert bench.records.read_text() == "{}"


async def test_one_that_ignores_its_signal_is_killed_with_its_children(bench: Bench) -> None:
    supervised = bench.supervise(
        "trap '' TERM; (trap '' TERM; while :; do sleep 0.01; done) & echo up; while :; do sleep 0.01; done",
        stop_timeout_s=0.2,
    )
    await bench.wait_for_text("up")
    await supervised.stop()
    assert await bench.end() is None
    assert "did not stop in 0 s and is killed" in bench.stream.getvalue()


async def test_stopping_during_a_pause_does_not_wait_for_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF_FIRST_S", 10 * END_TIMEOUT_S)
    monkeypatch.setattr(supervisor, "BACKOFF_MAX_S", 10 * END_TIMEOUT_S)
    supervised = bench.supervise("exit 1")
    await bench.wait_for_text("starting it again in 200 s")
    await supervised.stop()
    assert await bench.end() is None


async def test_what_is_needed_before_a_start_is_done_before_every_start(bench: Bench, short_pauses: None) -> None:
    calls: list[int] = []
    prepare: Callable[[], None] = lambda: calls.append(1)  # noqa: E731
    bench.supervise("exit 1", prepare=prepare)
    await bench.end()
    assert len(calls) == supervisor.DEATHS_IN_A_ROW_MAX


async def test_a_failed_preparation_ends_the_supervision_with_its_sentence(bench: Bench) -> None:
    def prepare() -> None:
        raise StackError("The disk is not there.")

    bench.supervise("exit 0", prepare=prepare)
    assert str(await bench.end()) == "The disk is not there."


async def test_a_one_shot_program_tells_its_exit_code(bench: Bench) -> None:
    program = Program("probe", ["/bin/sh", "-c", "echo done; exit 5"])
    assert await Supervised(program, Output(bench.stream), bench.processes).complete() == 5
    assert bench.stream.getvalue() == "probe     | done\n"


async def test_a_one_shot_program_whose_waiter_is_gone_is_still_stopped(bench: Bench) -> None:
    program = Program("probe", ["/bin/sh", "-c", "echo up; while :; do sleep 0.01; done"])
    supervised = Supervised(program, Output(bench.stream), bench.processes)
    waiting = asyncio.create_task(supervised.complete())
    await bench.wait_for_text("up")
    waiting.cancel()
    await supervised.stop()
    assert bench.records.read_text() == "{}"
