"""What the agents share: the task on stdin, the answer on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

FATAL = 65


def task() -> dict[str, Any]:
    given: dict[str, Any] = json.load(sys.stdin)
    return given


def answer(output: object) -> None:
    json.dump(output, sys.stdout)


def refuse(message: str) -> NoReturn:
    """Fails in a way that is not worth another attempt."""
    print(message, file=sys.stderr)
    sys.exit(FATAL)
