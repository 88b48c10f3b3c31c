"""The report: all findings, the worst first, and what follows from them."""

from __future__ import annotations

from typing import Any

from source import Finding, answer, task

SEVERITIES = ["high", "medium", "low"]
VERDICTS = {"high": "rejected", "medium": "changes requested", "low": "approved with remarks"}


def told(found: Finding) -> str:
    return "{severity}: {file}:{line}: {message} ({rule})".format(**found)


def report(path: str, checks: dict[str, Any]) -> dict[str, Any]:
    findings = [found for check in checks.values() for found in check["findings"]]
    findings.sort(key=lambda found: (SEVERITIES.index(found["severity"]), found["file"], found["line"]))
    counts = {severity: sum(found["severity"] == severity for found in findings) for severity in SEVERITIES}
    worst = next((severity for severity in SEVERITIES if counts[severity]), None)
    summaries = {
        name: {"findings": len(check["findings"]), **{key: value for key, value in check.items() if is_figure(value)}}
        for name, check in checks.items()
    }
    return {
        "path": path,
        "verdict": VERDICTS[worst] if worst else "approved",
        "counts": counts,
        "checks": summaries,
        "findings": [told(found) for found in findings],
    }


def is_figure(value: object) -> bool:
    return isinstance(value, (int, float))


if __name__ == "__main__":
    given = task()
    answer(report(given["path"], given["checks"]))
