"""What the tools share: the task, the files of a source tree, and findings."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

IGNORED = {"__pycache__", "build", "dist", "node_modules", "target", "venv"}
#: Files above this size are data or generated.
LARGEST_BYTES = 1_000_000
FATAL = 65

Finding = dict[str, Any]


def task() -> dict[str, Any]:
    """The input of the task; its `path` is a folder."""
    given: dict[str, Any] = json.load(sys.stdin)
    if not Path(given["path"]).is_dir():
        refuse(f"{given['path']} is no folder here")
    return given


def answer(output: dict[str, Any]) -> None:
    json.dump(output, sys.stdout)


def refuse(message: str) -> NoReturn:
    """Fails in a way that is not worth another attempt."""
    print(message, file=sys.stderr)
    sys.exit(FATAL)


def files(root: str, *suffixes: str) -> Iterator[Path]:
    """The files with these suffixes, in order, without what is hidden, built or brought along."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in IGNORED and not name.startswith("."))
        for path in (Path(folder, name) for name in sorted(names)):
            if path.suffix in suffixes and path.is_file() and path.stat().st_size <= LARGEST_BYTES:
                yield path


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def parsed(root: str, skip: list[str]) -> Iterator[tuple[str, ast.Module]]:
    """The Python files but for those to skip, by their names in the tree."""
    for path in files(root, ".py"):
        name = str(path.relative_to(root))
        if name not in skip:
            yield name, ast.parse(path.read_bytes(), name)


def is_test(name: str) -> bool:
    path = Path(name)
    return "tests" in path.parts[:-1] or path.name.startswith("test_") or path.stem.endswith("_test")


def finding(severity: str, file: str, line: int, rule: str, message: str) -> Finding:
    return {"severity": severity, "file": file, "line": line, "rule": rule, "message": message}
