"""A command starts without the portal and the web server, and whoever checks the site still checks all of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.servers import REPOSITORY

SET_UP = """
import json, sys
import django
from django.core.management import get_commands, load_command_class
django.setup()
"""
OUR_APPS = "('chronicle', 'ledger', 'projections', 'auditor')"
START_EACH = f"""
ours = [load_command_class(app, name) for name, app in get_commands().items() if app in {OUR_APPS} and name in sys.argv]
for command in ours:
    command.check(tags=command.requires_system_checks)
print(json.dumps([len(ours), sorted(sys.modules)]))
"""
CHECK_ALL = """
from django.contrib import admin
from django.core import checks
before = len(admin.site._registry)
checks.run_checks(tags=["admin"])
print(json.dumps([before, len(admin.site._registry)]))
"""
# What runs for ever beside the web process, and what is asked for again and again.
COMMANDS = ("relay_events", "run_projections", "run_sagas", "expire_holds", "expire_keys", "verify_ledger")
OF_PAGES = (
    "daphne.server",
    "chronicle.urls",
    "auditor.admin.base",
    "auditor.views",
    "rest_framework.views",
    "django.test",
)


def in_a_new_process(program: str, *arguments: str) -> list:
    command = [sys.executable, "-c", SET_UP + program, *arguments]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "chronicle.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_worker_starts_without_what_only_pages_need() -> None:
    started, modules = in_a_new_process(START_EACH, *COMMANDS)
    assert started == len(COMMANDS)
    assert [name for name in OF_PAGES if name in modules] == []


def test_the_check_of_the_site_checks_its_lists() -> None:
    before, checked = in_a_new_process(CHECK_ALL)
    assert before == 0
    assert checked > 20
