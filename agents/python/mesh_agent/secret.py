"""Secrets that tasks refer to: the agent puts them in just before the work is done, and takes them out of what it says."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import Fatal

#: What the variables begin with that hold secrets.
PREFIX = "MESH_SECRET_"
#: The variable with the folder that has a file for each secret.
FOLDER = "MESH_SECRETS_DIR"

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
#: Largest secret, in bytes.
_MAX = 64 * 1024
#: Shortest text that is looked for: a shorter one stands in harmless text by chance.
_SHORTEST = 4
#: Shortest line of a secret of several lines that is looked for by itself.
_SHORTEST_LINE = 16


@dataclass(frozen=True)
class SecretUse:
    """A secret that the input of a task refers to."""

    #: Where in the input the text stands, as a JSON pointer.
    at: str
    name: str

    @property
    def placeholder(self) -> str:
        """What stands in the text in place of the secret."""
        return f'${{secret("{self.name}")}}'

    @classmethod
    def read(cls, data: Any) -> list[SecretUse] | None:
        """Those of a task; none if it is not a list of them."""
        if not isinstance(data, list):
            return None
        uses = []
        for item in data:
            at, name = (item.get("at"), item.get("name")) if isinstance(item, dict) else (None, None)
            if not isinstance(at, str) or not isinstance(name, str) or not _NAME.fullmatch(name):
                return None
            uses.append(cls(at, name))
        return uses


class Redactor:
    """Takes secrets out of what is said."""

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        """For these secrets, by their names."""
        patterns: dict[str, str] = {}
        for name, value in (secrets or {}).items():
            lines = [line.strip() for line in value.splitlines() if len(line.strip()) >= _SHORTEST_LINE]
            escaped = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
            for text in (value, value.strip(), *escaped, *lines):
                if len(text) >= _SHORTEST:
                    patterns.setdefault(text, f"[secret {name}]")
        self._patterns = sorted(patterns.items(), key=lambda pattern: -len(pattern[0]))

    def __bool__(self) -> bool:
        """Whether there is anything to take out."""
        return bool(self._patterns)

    def text(self, text: str) -> str:
        """A text without secrets."""
        for secret, mark in self._patterns:
            text = text.replace(secret, mark)
        return text

    def value(self, value: Any) -> Any:
        """Plain JSON without secrets."""
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        return value


@dataclass(frozen=True)
class Secrets:
    """Where an agent finds the secrets that tasks refer to with `${secret("name")}`.

    A secret is the file of its name in a folder, as Docker and Kubernetes mount them, or else the variable `MESH_SECRET_`
    with its name in capitals behind it and `_` for `-`: `MESH_SECRET_API_KEY` for `api-key`. It is read for each task.
    """

    #: The folder (`MESH_SECRETS_DIR`).
    folder: str | os.PathLike[str] | None = None
    #: These and no others, for tests and for secrets from elsewhere.
    given: Mapping[str, str] | None = field(default=None, repr=False)

    def put_into(self, input: Any, uses: list[SecretUse]) -> tuple[Any, Redactor]:
        """The input with the secrets in it; :class:`Fatal` `missing_secret` if one is not there."""
        if not uses:
            return input, Redactor()
        found = {use.name: self.find(use.name) for use in uses}
        whole = {"": copy.deepcopy(input)}
        for use in uses:
            _replace(whole, use, found[use.name])
        return whole[""], Redactor(found)

    def find(self, name: str) -> str:
        """The value of a secret; :class:`Fatal` `missing_secret` names it and where it was looked for."""
        if self.given is not None:
            if name in self.given:
                return self.given[name]
            raise _missing(f"the secret '{name}' is not among those that the agent was given")
        folder = self.folder or os.environ.get(FOLDER)
        file = Path(folder) / name if folder else None
        found = _read(file, name) if file else None
        if found is not None:
            return found
        variable = PREFIX + name.replace("-", "_").upper()
        if variable in os.environ:
            return os.environ[variable]
        if file:
            raise _missing(
                f"the secret '{name}' is neither in the file {file} nor in the variable {variable} of the agent"
            )
        raise _missing(
            f"the secret '{name}' is not in the variable {variable} of the agent, and it has no folder of secrets "
            f"({FOLDER})"
        )


def _read(file: Path, name: str) -> str | None:
    """The secret in a file; none if there is no such file."""
    try:
        if file.stat().st_size > _MAX:
            raise _missing(f"the secret '{name}' in the file {file} is larger than {_MAX} bytes")
        text = file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _missing(f"the secret '{name}' in the file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _missing(f"the secret '{name}' in the file {file} is not UTF-8 text") from None
    if text.endswith("\n"):
        text = text[:-1]
        text = text[:-1] if text.endswith("\r") else text
    return text


def _replace(whole: dict[str, Any], use: SecretUse, value: str) -> None:
    """Puts a secret into the text at its place."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in use.at.split("/")]
    at: Any = whole
    try:
        for part in parts[:-1]:
            at = at[int(part) if isinstance(at, list) else part]
        last: Any = int(parts[-1]) if isinstance(at, list) else parts[-1]
        if not isinstance(at[last], str):
            raise TypeError
        at[last] = at[last].replace(use.placeholder, value)
    except (KeyError, IndexError, TypeError, ValueError):
        message = f"the task has the secret '{use.name}' at {use.at!r} of its input, where no text stands"
        raise Fatal("malformed_task", message) from None


def _missing(message: str) -> Fatal:
    return Fatal("missing_secret", message)
