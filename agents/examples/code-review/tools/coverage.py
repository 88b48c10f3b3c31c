"""Test coverage without running anything: which functions no test names, and how many lines of tests there are."""

from __future__ import annotations

import ast

from source import Finding, answer, finding, is_test, parsed, task


def lines(tree: ast.Module) -> int:
    """Lines on which a statement begins."""
    return len({node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)})


def names(tree: ast.Module) -> set[str]:
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def untested(function: dict[str, object]) -> Finding:
    count = function["branches"]
    severity = "medium" if isinstance(count, int) and count > 0 else "low"
    message = f"no test names {function['name']} (branches: {count})"
    return finding(severity, str(function["file"]), int(str(function["line"])), "untested", message)


if __name__ == "__main__":
    given = task()
    code, tests, count = 0, 0, 0
    tested: set[str] = set()
    for name, tree in parsed(given["path"], given["skip"]):
        count += 1
        if is_test(name):
            tests += lines(tree)
            tested |= names(tree)
        else:
            code += lines(tree)
    functions = given["functions"]
    findings = [untested(function) for function in functions if function["name"] not in tested]
    answer({
        "files": count,
        "findings": findings,
        "functions": len(functions),
        "functions_tested": len(functions) - len(findings),
        "test_lines_per_line": round(tests / code, 2) if code else None,
    })
