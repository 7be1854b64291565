"""The embedded PostgreSQL survives what a killed launcher leaves behind, and lives under any path."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from chronicle.stack.errors import StackError
from chronicle.stack.postgres import SOCKET_PATH_BYTES_MAX, EmbeddedPostgres
from tests.scratch import ScratchFolder
from tests.waiting import wait_until_ready


@pytest.fixture(scope="module")
def initialized() -> Iterator[Path]:
    """A data folder that was made once, for tests to copy."""
    scratch = ScratchFolder()
    EmbeddedPostgres.at(scratch.path / "postgres").prepare()
    yield scratch.path / "postgres"
    scratch.remove()


@pytest.fixture
def data_dir(initialized: Path) -> Iterator[Path]:
    scratch = ScratchFolder()
    # `cp -a` keeps the owner, whom PostgreSQL insists on.
    subprocess.run(["cp", "-a", initialized, scratch.path / "postgres"], check=True)
    yield scratch.path / "postgres"
    scratch.remove()


def launch(server: EmbeddedPostgres) -> subprocess.Popen[bytes]:
    path = server.data_dir.parent / "log"
    with path.open("ab") as log:
        process = subprocess.Popen(server.command(durable=False), stdout=log, stderr=log, **server.popen_options())
    wait_until_ready(process, server.is_ready, path)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def test_what_was_committed_is_there_after_a_restart(data_dir: Path) -> None:
    server = EmbeddedPostgres.at(data_dir)
    for expected in ([], [(1,)]):
        server.prepare()
        process = launch(server)
        server.create_databases(("kept",))
        with psycopg.connect(server.url("kept")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS rows AS SELECT 1 AS number WITH NO DATA")
            assert connection.execute("SELECT number FROM rows").fetchall() == expected
            connection.execute("INSERT INTO rows VALUES (1)")
        stop(process)


def test_a_server_that_outlived_its_launcher_is_stopped_first(data_dir: Path) -> None:
    server = EmbeddedPostgres.at(data_dir)
    orphan = launch(server)
    server.prepare()
    assert orphan.wait(30) == 0
    stop(launch(server))


def test_a_pid_that_now_belongs_to_another_program_is_no_obstacle(data_dir: Path) -> None:
    server = EmbeddedPostgres.at(data_dir)
    (data_dir / "postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}\n0\n5432\n")
    server.prepare()
    assert psutil.pid_exists(os.getpid())
    stop(launch(server))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"first\n", b"-7\n"])
def test_a_pid_file_that_names_nobody_is_no_obstacle(data_dir: Path, content: bytes) -> None:
    (data_dir / "postmaster.pid").write_bytes(content)
    EmbeddedPostgres.at(data_dir).prepare()
    assert not (data_dir / "postmaster.pid").exists()


def test_a_postmaster_that_was_killed_is_recovered_from(data_dir: Path) -> None:
    server = EmbeddedPostgres.at(data_dir)
    process = launch(server)
    others = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert (data_dir / "postmaster.pid").exists()
    # They end by themselves when they notice; until then no server starts, and the supervisor tries again.
    psutil.wait_procs(others, 30)
    server.prepare()
    stop(launch(server))


def test_a_path_too_long_for_a_socket_gets_a_private_short_one(data_dir: Path) -> None:
    long_path = data_dir.parent / ("a, b é " * 20) / "postgres"
    long_path.parent.mkdir()
    data_dir.rename(long_path)
    server = EmbeddedPostgres.at(long_path)
    assert len(os.fsencode(server.socket_dir / ".s.PGSQL.5432")) <= SOCKET_PATH_BYTES_MAX
    assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    server.prepare()
    stop(launch(server))
    server.socket_dir.rmdir()


def test_a_socket_folder_that_others_may_enter_is_refused(data_dir: Path) -> None:
    long_path = data_dir.parent / ("x" * 120) / "postgres"
    server = EmbeddedPostgres.at(long_path)
    server.socket_dir.chmod(0o777)
    with pytest.raises(StackError, match="not a private folder"):
        EmbeddedPostgres.at(long_path)
    server.socket_dir.rmdir()


def test_data_of_another_major_version_is_refused_in_one_sentence(data_dir: Path) -> None:
    (data_dir / "PG_VERSION").write_text("15\n")
    with pytest.raises(StackError, match="data of PostgreSQL 15, but PostgreSQL 18 is installed"):
        EmbeddedPostgres.at(data_dir).prepare()


def test_an_interrupted_initialization_is_done_again() -> None:
    scratch = ScratchFolder()
    half = scratch.path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    EmbeddedPostgres.at(scratch.path / "postgres").prepare()
    assert not half.exists()
    scratch.remove()
