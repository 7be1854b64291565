"""docker-compose.yml, its image and its profiles against the specification and against the code.

No container is started here: what can be wrong without one (a misspelt command, a variable that nothing
reads, a service that waits for one that is not there) is what these tests find.
"""

from __future__ import annotations

import importlib.util
import itertools
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROFILES = ("single", "cluster")
ONE_SHOT = {"event-store-database", "migrate", "users", "cockroachdb-init"}
APPLICATION = {name: service for name, service in SERVICES.items() if "build" in service}
# What the launcher or compose itself reads, and the settings do not.
VARIABLES_OUTSIDE_SETTINGS: set[str] = set()


def members(profile: str) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in SERVICES.items() if profile in service.get("profiles", PROFILES)}


def dependencies(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    declared = service.get("depends_on", {})
    return {name: {} for name in declared} if isinstance(declared, list) else declared


def words(command: list[str]) -> list[str]:
    """Return a command's words, those of a shell script's included."""
    return [word for part in command for word in shlex.split(part.replace("&&", " "))]


def test_it_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_composes_own_parser_accepts_it(profile: str) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode != 0:
        pytest.skip("this machine has no docker compose; the schema was checked without it")
    command = [docker, "compose", "--file", str(FILE), "--profile", profile, "config", "--services"]
    parsed = subprocess.run(command, capture_output=True, text=True)
    assert parsed.returncode == 0, parsed.stderr
    assert set(parsed.stdout.split()) == set(members(profile))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_dependency_is_there_or_is_optional(profile: str) -> None:
    there = members(profile)
    for name, service in there.items():
        for wanted, condition in dependencies(service).items():
            assert wanted in SERVICES, f"{name} waits for {wanted}, which is not a service"
            assert wanted in there or condition.get("required") is False, f"{name} waits for {wanted} in {profile}"
            if condition.get("condition") == "service_healthy":
                assert "healthcheck" in SERVICES[wanted], f"{name} waits for the health of {wanted}, which has no check"
            if condition.get("condition") == "service_completed_successfully":
                assert wanted in ONE_SHOT, f"{name} waits for the end of {wanted}, which runs for ever"


@pytest.mark.parametrize("name", sorted(APPLICATION))
def test_every_command_exists(name: str) -> None:
    command = words(APPLICATION[name]["command"])
    for program, subject in itertools.pairwise(command):
        if program == "manage.py":
            assert subject in get_commands(), f"{name} runs manage.py {subject}, which does not exist"
        if program == "-m":
            assert importlib.util.find_spec(subject), f"{name} runs the module {subject}, which does not exist"
    if command[0] == "daphne":
        module, _, attribute = command[-1].partition(":")
        assert attribute == "application"
        assert importlib.util.find_spec(module)


@pytest.mark.parametrize("name", sorted(APPLICATION))
def test_every_variable_is_one_that_the_settings_read(name: str) -> None:
    source = (REPOSITORY / "chronicle" / "settings.py").read_text()
    read = set(re.findall(r"""env(?:\.\w+)?\(\s*["']([A-Z_]+)["']""", source))
    unknown = set(APPLICATION[name]["environment"]) - read - VARIABLES_OUTSIDE_SETTINGS
    assert unknown == set(), f"{name} sets what nothing reads"


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_has_the_whole_system(profile: str) -> None:
    commands = [" ".join(words(service["command"])) for service in members(profile).values() if "build" in service]
    needs = (
        "manage.py migrate",
        "relay_events",
        "run_projections",
        "run_sagas",
        "expire_holds",
        "expire_keys",
        "daphne",
    )
    for needed in needs:
        assert any(needed in command for command in commands), f"{profile} does not run {needed}"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("host", ["event-store", "broker", "postgres"])
def test_every_host_that_is_named_is_answered_to(profile: str, host: str) -> None:
    def names(name: str, service: dict[str, Any]) -> set[str]:
        return {name, *service.get("networks", {}).get("default", {}).get("aliases", [])}

    assert any(host in names(name, service) for name, service in members(profile).items())


def test_the_cluster_has_three_of_each_and_no_lone_one() -> None:
    there = members("cluster")
    for kind in ("cockroachdb", "nats"):
        assert kind not in there
        assert {f"{kind}-{number}" for number in (1, 2, 3)} <= set(there)
    haproxy, nats = (COMPOSE["configs"][name]["content"] for name in ("haproxy", "nats-cluster"))
    for number in (1, 2, 3):
        assert f"server cockroachdb-{number} cockroachdb-{number}:26257" in haproxy
        assert f"nats://nats-{number}:6222" in nats
        # The commands are shared: what tells the members apart is their host name.
        assert SERVICES[f"nats-{number}"]["hostname"] == f"nats-{number}"
        assert SERVICES[f"cockroachdb-{number}"]["hostname"] == f"cockroachdb-{number}"
    assert SERVICES["relay-cluster"]["environment"]["NATS_REPLICAS"] == 3


def test_the_default_profile_is_the_single_one() -> None:
    lines = (REPOSITORY / ".env").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == ["COMPOSE_PROFILES=single"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_are_pinned_and_servers_are_checked_restarted_and_kept(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        tag = service["image"].rpartition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag), f"{service['image']} may be another program tomorrow"
    if name in ONE_SHOT:
        assert service.get("restart", "no") in {"no", "on-failure"}
        return
    assert service["restart"] == "unless-stopped"
    if "build" not in service:
        assert "healthcheck" in service
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]


def test_only_the_web_is_published_and_only_to_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:${PORT:-8000}:8000"]
    }


def test_the_image_is_made_of_what_is_there() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    for source in re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE):
        assert (REPOSITORY / source).exists()
    assert {".git", ".venv", ".chronicle", ".env", "tests"} <= set(ignored)
    assert "USER chronicle" in dockerfile


def test_the_web_server_logs_no_addresses() -> None:
    """They hold the names that people search for, and no erasure reaches a container's log."""
    commands = [" ".join(words(s["command"])) for s in APPLICATION.values() if "daphne" in s.get("command", ())]
    (image,) = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if line.startswith("CMD")]
    assert commands
    for command in (*commands, image.replace('"', "").replace(",", "")):
        assert "--verbosity 0" in command
