"""Security scan: a search for calls and texts that are seldom safe, line by line."""

from __future__ import annotations

import re

from source import answer, files, finding, task, text

SUFFIXES = (".py", ".sh", ".js", ".ts", ".rs", ".json", ".yaml", ".yml", ".toml", ".ini")
PYTHON, SHELL = (".py",), (".sh",)
#: Rule, severity, the files that it is for, what to search for, and what is wrong with it.
RULES = [
    ("evaluated-text", "high", PYTHON, r"(?<![\w.])(eval|exec)\(", "text is run as code"),
    ("shell-command", "high", PYTHON, r"shell\s*=\s*True|os\.(system|popen)\(", "a shell reads what is put together"),
    ("unsafe-load", "high", PYTHON, r"pickle\.loads?\(|yaml\.load\(", "reading this data can run code"),
    ("sql-by-format", "high", PYTHON, r"execute\(\s*(f[\"']|[\"'].*[\"']\s*(%|\+|\.format))", "SQL is put together from text"),
    ("weak-hash", "medium", PYTHON, r"hashlib\.(md5|sha1)\(", "this hash can be forged"),
    ("unchecked-tls", "high", PYTHON, r"verify\s*=\s*False", "anyone may answer"),
    ("piped-to-shell", "high", SHELL, r"(curl|wget)\b.*\|\s*(ba)?sh\b", "what a server says is run"),
    ("open-to-all", "medium", SHELL, r"chmod\s+(-R\s+)?0?777\b", "anyone may write"),
    ("secret-in-text", "high", SUFFIXES, r"(?i)(password|passwd|secret|api_?key|token)[\"']?\s*[:=]\s*[\"'][^\"'$\s]{6,}[\"']", "a secret stands in the source"),
    ("private-key", "high", SUFFIXES, r"-----BEGIN [A-Z ]*PRIVATE KEY-----", "a private key stands in the source"),
]
COMPILED = [(*rule[:3], re.compile(rule[3]), rule[4]) for rule in RULES]


if __name__ == "__main__":
    root = task()["path"]
    findings, count = [], 0
    for path in files(root, *SUFFIXES):
        count += 1
        for number, line in enumerate(text(path).splitlines(), 1):
            for rule, severity, suffixes, pattern, message in COMPILED:
                if path.suffix in suffixes and pattern.search(line):
                    name = str(path.relative_to(root))
                    findings.append(finding(severity, name, number, rule, message))
    answer({"files": count, "findings": findings})
