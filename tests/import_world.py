"""Short words for tests of import_commands: files of commands, and one run of the command."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import CommandError, call_command


class Imported:
    """One run of the command: what it printed, what it left with, what it wrote to --outcomes."""

    def __init__(self, path: Path | str, *arguments: str, actor: str = "importer") -> None:
        out, err = StringIO(), StringIO()
        self.code: int = 0
        try:
            call_command("import_commands", str(path), "--actor", actor, *arguments, stdout=out, stderr=err)
        except SystemExit as left:
            self.code = int(left.code or 0)
        except CommandError as error:
            self.code = error.returncode
            err.write(str(error))
        self.printed, self.faults = out.getvalue().strip(), err.getvalue().strip()


def deposits(account_id: str, *amounts: int) -> list[dict[str, Any]]:
    return [{"type": "deposit", "account_id": account_id, "amount": str(amount)} for amount in amounts]


def jsonl(path: Path, *elements: dict[str, Any] | str) -> Path:
    path.write_text("".join(f"{e if isinstance(e, str) else json.dumps(e)}\n" for e in elements))
    return path


def outcomes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
