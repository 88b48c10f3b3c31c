"""The planner: reads an objective and answers with the checks that it takes, what each needs, and a report at the end."""

from __future__ import annotations

import re
from typing import Any

from source import answer, task

#: Each check: the words that ask for it, the checks that it builds on, and what it takes from their outputs.
CHECKS: dict[str, tuple[set[str], list[str], dict[str, str]]] = {
    "syntax": ({"syntax", "parse", "parses"}, [], {}),
    "security": ({"security", "secure", "secrets", "vulnerabilities"}, [], {}),
    "logic": ({"logic", "bugs", "complexity"}, ["syntax"], {"skip": "${tasks.syntax.output.broken}"}),
    "coverage": (
        {"coverage", "tests", "tested"},
        ["logic"],
        {"skip": "${tasks.syntax.output.broken}", "functions": "${tasks.logic.output.functions}"},
    ),
}


def wanted(objective: str) -> list[str]:
    """The checks that the objective names, and what these build on; all if it names none."""
    words = set(re.findall(r"[a-z]+", objective.lower()))
    asked = [check for check, (names, _, _) in CHECKS.items() if names & words] or list(CHECKS)
    for check in asked:  # grows meanwhile
        asked.extend(need for need in CHECKS[check][1] if need not in asked)
    return [check for check in CHECKS if check in asked]


def plan(objective: str) -> dict[str, Any]:
    checks = wanted(objective)
    tasks: dict[str, Any] = {}
    for check in checks:
        _, needs, takes = CHECKS[check]
        tasks[check] = {
            "agent": check,
            "needs": needs,
            "with": {"path": "${input.path}", **takes},
            "timeout": "2m",
        }
    results = {check: f"${{tasks.{check}.output}}" for check in checks}
    tasks["report"] = {
        "agent": "report",
        "needs": checks,
        "with": {"path": "${input.path}", "checks": results},
        "timeout": "30s",
    }
    return {"tasks": tasks, "output": "${tasks.report.output}"}


if __name__ == "__main__":
    answer(plan(task().get("objective", "")))
