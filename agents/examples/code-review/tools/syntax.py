"""Syntax analysis: Python by its own compiler, shell scripts by `sh -n`, JSON by reading it."""

from __future__ import annotations

import ast
import json
import subprocess
from pathlib import Path
from typing import Optional

from source import answer, files, finding, task, text

#: What is wrong with a file, and in which line.
Problem = Optional[tuple[int, str]]


def python(path: Path) -> Problem:
    try:
        ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        return error.lineno or 1, "does not compile"
    except ValueError:  # a NUL in it
        return 1, "does not compile"
    return None


def shell(path: Path) -> Problem:
    checked = subprocess.run(["sh", "-n", path], stderr=subprocess.PIPE, check=False)
    return None if checked.returncode == 0 else (1, "sh -n refuses it")


def data(path: Path) -> Problem:
    try:
        json.loads(text(path))
    except json.JSONDecodeError as error:
        return error.lineno, "is no JSON"
    return None


CHECKERS = {".py": python, ".sh": shell, ".json": data}


if __name__ == "__main__":
    root = task()["path"]
    findings, count = [], 0
    for path in files(root, *CHECKERS):
        count += 1
        problem = CHECKERS[path.suffix](path)
        if problem:
            findings.append(finding("high", str(path.relative_to(root)), problem[0], "syntax", problem[1]))
    answer({"files": count, "findings": findings, "broken": [found["file"] for found in findings]})
