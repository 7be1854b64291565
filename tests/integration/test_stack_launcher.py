"""`python -m chronicle.stack`, which `make run` runs: it starts, repairs, stops and continues."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import psutil
import psycopg
import pytest

from chronicle.stack.ports import LOOPBACK, is_free
from chronicle.stack.processes import is_alive
from tests.launched import Folder, Launched, refuse
from tests.servers import Servers
from tests.waiting import wait_for

# Whole systems are started, some twice, on a machine that may be doing other things.
pytestmark = pytest.mark.timeout(600)
SERVICES = {"postgres", "nats", "relay", "projector", "sagas", "holds", "keys", "web"}


@pytest.fixture
def folder() -> Iterator[Folder]:
    folder = Folder()
    yield folder
    folder.remove()


@pytest.fixture(scope="module")
def kept_folder() -> Iterator[Folder]:
    """One that several tests start on, each on what the one before has left: making it anew takes as long as a start."""
    folder = Folder()
    yield folder
    folder.remove()


def running(launched: Launched, name: str) -> psutil.Process:
    """Return a program's process; what depended on one that died may be between two starts itself."""
    seen: list[psutil.Process] = []

    def is_running() -> bool:
        if found := launched.folder.running().get(name):
            seen.append(found)
        return bool(seen)

    wait_for(is_running, f"a running {name}; see {launched.log}")
    return seen[0]


def wait_for_a_new(launched: Launched, name: str, old_pid: int) -> None:
    def is_replaced() -> bool:
        process = launched.folder.running().get(name)
        return process is not None and process.pid != old_pid

    wait_for(is_replaced, f"a new {name} in:\n{launched.log}")


def assert_stopped(launched: Launched) -> None:
    assert launched.children() == set()
    assert launched.folder.json("processes.json") == {}
    assert is_free(launched.folder.port)


def test_what_dies_is_started_again_and_a_stop_leaves_nothing_running(kept_folder: Folder) -> None:
    with kept_folder.start() as launched:
        launched.wait_until_ready()
        assert set(kept_folder.running()) == SERVICES
        for name in ("relay", "projector", "sagas", "holds", "nats", "postgres", "web"):
            victim = running(launched, name)
            victim.kill()
            wait_for_a_new(launched, name, victim.pid)
            assert f"{name} died with SIGKILL" in launched.text()
        wait_for(launched.is_answering, f"an answer after everything had died once; see {launched.log}")
        assert launched.stop(signal.SIGTERM) == 0
        assert_stopped(launched)


def test_a_second_start_continues_where_the_first_stopped(kept_folder: Folder) -> None:
    with kept_folder.start(DEMO="1") as first:
        first.wait_until_ready()
        first.wait_for_line("starting traffic")
        assert (kept_folder.path / "demo_loaded").exists()
        credentials = kept_folder.json("credentials.json")
        stored = kept_folder.path / "environment"
        with psycopg.connect(portal_url(kept_folder)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        # Ctrl-C reaches the whole group of the terminal; the children are not in it.
        assert first.stop(signal.SIGINT) == 0
        assert_stopped(first)
    with kept_folder.start() as second:
        second.wait_until_ready()
        with psycopg.connect(portal_url(kept_folder)) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert kept_folder.json("credentials.json") == credentials
        assert {path.name: path.stat().st_mode & 0o777 for path in (stored, kept_folder.path / "credentials.json")} == {
            "environment": 0o600,
            "credentials.json": 0o600,
        }
        assert second.stop() == 0


def test_one_folder_has_one_launcher_and_a_killed_one_is_no_obstacle(kept_folder: Folder) -> None:
    with kept_folder.start() as killed:
        killed.wait_until_ready()
        refused = refuse(**kept_folder.variables())
        assert (refused.returncode, refused.stdout) == (3, "")
        assert refused.stderr.count("\n") == 1
        assert f"pid {killed.process.pid}" in refused.stderr
        left = killed.children()
        killed.process.kill()
        killed.process.wait()
        assert any(is_alive(child) for child in left)
        with kept_folder.start() as fresh:
            fresh.wait_until_ready()
            assert not any(is_alive(child) for child in left)
            assert "which outlived its launcher" in fresh.text()
            assert fresh.stop() == 0
            assert_stopped(fresh)


def test_a_stop_in_the_middle_of_the_start_leaves_nothing_running(folder: Folder) -> None:
    with folder.start() as launched:
        launched.wait_for_line("starting nats")
        assert launched.stop() == 0
        assert_stopped(launched)


def test_a_taken_port_is_one_sentence_and_exit_code_3(folder: Folder) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        refused = refuse(**{**folder.variables(), "PORT": str(port)})
    assert refused.returncode == 3
    assert refused.stderr == f"Port {port} is in use by another program; stop that one or choose another PORT.\n"


@pytest.mark.parametrize(
    ("variable", "url", "sentence"),
    [
        ("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/portal", "127.0.0.1:1/portal, named by DATABASE_URL"),
        ("READ_MODEL_URL", "postgresql://me:hunter2@127.0.0.1:1/x", "127.0.0.1:1/x, named by READ_MODEL_URL"),
        ("EVENT_STORE_URL", "cockroachdb://me:hunter2@127.0.0.1:1/x", "127.0.0.1:1/x, named by EVENT_STORE_URL"),
        ("NATS_URL", "nats://me:hunter2@127.0.0.1:1", "nats://127.0.0.1:1, named by NATS_URL"),
    ],
)
def test_a_given_server_that_does_not_answer_is_named(folder: Folder, variable: str, url: str, sentence: str) -> None:
    refused = refuse(**folder.variables(), **{variable: url})
    assert refused.returncode == 3
    assert sentence in refused.stderr
    assert "refused" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert "hunter2" not in refused.stderr


@pytest.mark.parametrize("variables", [{"PORT": "many"}, {"PORT": "0"}, {"PORT": "65536"}, {"DEMO": "perhaps"}])
def test_a_senseless_value_is_wrong_usage(folder: Folder, variables: dict[str, str]) -> None:
    refused = refuse(**{**folder.variables(), **variables})
    assert refused.returncode == 2
    assert next(iter(variables)) in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_servers_that_are_given_are_not_brought_along(folder: Folder, stack: Servers, django_db_setup: None) -> None:
    given = {name: value for name, value in stack.environment().items() if name.endswith("_URL")}
    with folder.start(**given) as launched:
        launched.wait_until_ready()
        assert set(folder.running()) == {"keys", "relay", "projector", "sagas", "holds", "web"}
        assert not (folder.path / "postgres").exists()
        assert launched.stop() == 0
        assert_stopped(launched)
    assert psutil.pid_exists(stack_pid(stack))


def stack_pid(stack: Servers) -> int:
    return int((stack.postgres.data_dir / "postmaster.pid").read_text().split("\n")[0])


def portal_url(folder: Folder) -> str:
    lines = (folder.path / "environment").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("DATABASE_URL="))
