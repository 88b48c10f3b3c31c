"""Logic analysis: what Python's own parser shows of mistakes and of branches, function by function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from source import Finding, answer, finding, is_test, parsed, task

MOST_BRANCHES = 8
BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension)
ENDS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def branches(function: ast.AST) -> int:
    """How many ways a function may turn."""
    count = sum(isinstance(node, BRANCHES) for node in ast.walk(function))
    return count + sum(len(node.values) - 1 for node in ast.walk(function) if isinstance(node, ast.BoolOp))


def mistakes(file: str, tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            yield from in_function(file, node)
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield finding("medium", file, node.lineno, "bare-except", "every error is caught, Ctrl-C too")
        elif isinstance(node, ast.Compare):
            yield from in_comparison(file, node)
        for block in ("body", "orelse", "finalbody"):
            yield from unreachable(file, getattr(node, block, None))


def in_function(file: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Finding]:
    for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
        if isinstance(default, (ast.List, ast.Dict, ast.Set)):
            yield finding("high", file, default.lineno, "shared-default", f"all calls of {node.name} share a default")
    if branches(node) > MOST_BRANCHES:
        yield finding("medium", file, node.lineno, "many-branches", f"{node.name} has {branches(node)} branches")


def in_comparison(file: str, node: ast.Compare) -> Iterator[Finding]:
    sides = [node.left, *node.comparators]
    for operator, left, right in zip(node.ops, sides, sides[1:]):
        if isinstance(operator, (ast.Eq, ast.NotEq)):
            if any(isinstance(side, ast.Constant) and side.value is None for side in (left, right)):
                yield finding("low", file, node.lineno, "equals-none", "None is compared with ==")
            elif ast.dump(left) == ast.dump(right):
                yield finding("high", file, node.lineno, "same-sides", "both sides are the same")


def unreachable(file: str, block: object) -> Iterator[Finding]:
    statements = block if isinstance(block, list) else []
    for before, after in zip(statements, statements[1:]):
        if isinstance(before, ENDS):
            yield finding("medium", file, after.lineno, "unreachable", "nothing leads here")


def functions(file: str, tree: ast.Module) -> list[dict[str, Any]]:
    found = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS) and not node.name.startswith("_")]
    return [{"file": file, "line": node.lineno, "name": node.name, "branches": branches(node)} for node in found]


if __name__ == "__main__":
    given = task()
    findings: list[Finding] = []
    known: list[dict[str, Any]] = []
    count = 0
    for name, tree in parsed(given["path"], given["skip"]):
        count += 1
        findings += mistakes(name, tree)
        if not is_test(name):
            known += functions(name, tree)
    answer({"files": count, "findings": findings, "functions": known})
