"""The house rules that a machine can check, so that a reviewer need not.

Files and functions stay short enough to be read at once, no test sleeps for luck, nothing is left to do
later, and no error is caught to be forgotten.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 300
# An auditor is given this one by itself, to be read and run without any other.
LONGER_LINES_MAX = {"ledger/evidence/verify_evidence.py:1": 514}
FUNCTION_LINES_MAX = 70
# An AppConfig or an empty package needs no introduction.
SPEAKS_FOR_ITSELF_LINES = 15
FOLDERS = ("auditor", "chronicle", "ledger", "projections", "tests", "docs")
# Written in parts, so that this file does not find itself.
UNFINISHED = re.compile("TO" + "DO|FIX" + "ME")
TEXT_SUFFIXES = {".py", ".md", ".html", ".css", ".js", ".toml", ".yml", ".yaml", ".sh", ".txt", ".cfg", ""}


def project_files() -> list[Path]:
    """Every file that git has or would add."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
        return [path for path in (REPOSITORY / name for name in names) if path.is_file()]
    # An unpacked archive has no git folder.
    return [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*") if path.is_file()]


FILES = project_files()
SOURCES = [path for path in FILES if path.suffix == ".py"]
PARSED = {path: ast.parse(path.read_text(encoding="utf-8"), filename=str(path)) for path in SOURCES}


def place(path: Path, node: ast.AST | None = None) -> str:
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 1)}"


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[Path, Any]]:
    for path, module in PARSED.items():
        for node in ast.walk(module):
            if isinstance(node, kinds):
                yield path, node


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_files_are_short_enough_to_be_read() -> None:
    lengths = {place(path): line_count(path) for path in SOURCES if "migrations" not in path.parts}
    assert {
        where: lines for where, lines in lengths.items() if lines > LONGER_LINES_MAX.get(where, FILE_LINES_MAX)
    } == {}


def test_functions_fit_on_a_screen() -> None:
    lengths = {
        f"{place(path, node)} {node.name}": node.end_lineno - node.lineno + 1
        for path, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef)
    }
    assert {where: lines for where, lines in lengths.items() if lines > FUNCTION_LINES_MAX} == {}


def test_no_test_sleeps_for_luck() -> None:
    called = [
        place(path, node)
        for path, node in nodes(ast.Attribute)
        if node.attr == "sleep" and isinstance(node.value, ast.Name) and node.value.id == "time"
    ]
    imported = [
        place(path, node)
        for path, node in nodes(ast.ImportFrom)
        if node.module == "time" and "sleep" in {alias.name for alias in node.names}
    ]
    assert [where for where in called + imported if where.startswith("tests/")] == []


def test_no_error_is_caught_to_be_forgotten() -> None:
    def is_broad(handler: ast.ExceptHandler) -> bool:
        return isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}

    def does_nothing(handler: ast.ExceptHandler) -> bool:
        return all(isinstance(statement, ast.Pass | ast.Continue) for statement in handler.body)

    handlers = list(nodes(ast.ExceptHandler))
    assert [place(path, handler) for path, handler in handlers if handler.type is None] == []
    assert [place(path, handler) for path, handler in handlers if is_broad(handler) and does_nothing(handler)] == []


def test_nothing_is_left_to_do_later() -> None:
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in FILES if path.suffix in TEXT_SUFFIXES}
    assert [place(path) for path, text in texts.items() if UNFINISHED.search(text)] == []


def test_modules_say_what_they_are() -> None:
    silent = [
        place(path)
        for path, module in PARSED.items()
        if line_count(path) > SPEAKS_FOR_ITSELF_LINES and "migrations" not in path.parts and path.name != "apps.py"
        if not ast.get_docstring(module)
    ]
    assert silent == []
