"""Names, run ids and subjects: the public contract, built and checked here only."""

from __future__ import annotations

import re
import uuid
from typing import NamedTuple

from .errors import SettingError

#: UUID namespace of run ids.
RUN_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "mesh.run")
#: The most shards that a namespace may have.
MAX_SHARDS = 64
#: What the last event of a run says of it, as in `workflow.completed`.
ENDS = ("completed", "failed", "cancelled")

_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_NAME_RULE = "use 1 to 64 characters of a-z, 0-9, '_' and '-', beginning with a letter, a digit or '_'"
_TASK_ID = "[a-z][a-z0-9_]{0,63}"
_TASK = re.compile(rf"{_TASK_ID}(:({_TASK_ID}|0|[1-9][0-9]{{0,9}}))*")
_MAX_TASK = 255
_RUN = re.compile(r"(0|[1-9][0-9]?)\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_MAX_ATTEMPT = 2**32 - 1
_LANES = ("high", "normal", "low")


def name(what: str, text: str) -> str:
    """The text, if it can be one token of a subject; `what` it is meant to name is for the error."""
    if isinstance(text, str) and _NAME.fullmatch(text):
        return text
    raise SettingError(f"{text!r} is not a valid {what}: {_NAME_RULE}")


def run_id(target: str, source: str, id: str, shards: int) -> str:
    """The run that a request names: the same request always names the same run.

    `target` is `workflow.<name>` or `task.<capability>`; `source` and `id` are those of the request.
    """
    run = uuid.uuid5(RUN_NAMESPACE, f"{target}\n{source}\n{id}")
    return f"{run.int % shards}.{run}"


def checked_run_id(text: str) -> str:
    """The text, if it is a run id in the one form that the mesh writes."""
    if _RUN.fullmatch(text) and int(text.split(".")[0]) < MAX_SHARDS:
        return text
    raise SettingError(f"{text!r} is not a valid run id: use '<shard>.<uuid>' as the mesh wrote it")


def stream(namespace: str, short: str) -> str:
    """Name of one of the namespace's streams or buckets: `mesh` and `EVENTS` give `MESH_EVENTS`."""
    return f"{namespace.upper()}_{short}"


class TaskKey(NamedTuple):
    """One attempt of a task, with where its work is queued."""

    namespace: str
    capability: str
    lane: str
    run: str
    task: str
    attempt: int

    def subject(self, verb: str) -> str:
        """The subject of a verb for this attempt, such as `mesh.task.completed.…`."""
        tail = f"{self.capability}.{self.lane}.{self.run}.{self.task}.{self.attempt}"
        return f"{self.namespace}.task.{verb}.{tail}"

    @classmethod
    def parse(cls, namespace: str, subject: str) -> TaskKey:
        """Reads the subject of a task's event; a `SettingError` says which token is wrong."""
        start = f"{namespace}.task."
        tokens = subject[len(start) :].split(".")
        if not subject.startswith(start) or len(tokens) < 7:
            raise SettingError(
                f"subject {subject!r} is not that of a task: see the subject table for its form"
            )
        _verb, capability, lane, shard, run, task, attempt = tokens[:7]
        name("capability", capability)
        if lane not in _LANES and not (lane.startswith("to-") and _NAME.fullmatch(lane[3:])):
            raise SettingError(f"{lane!r} is not a valid lane: use high, normal, low or to-<agent>")
        if not _TASK.fullmatch(task) or len(task) > _MAX_TASK:
            rule = (
                "use at most 64 characters of a-z, 0-9 and '_', beginning with a letter; what belongs to a task "
                "follows it behind a ':', by its id or by its number"
            )
            raise SettingError(f"{task!r} is not a valid task id: {rule}")
        if not _NUMBER.fullmatch(attempt) or int(attempt) > _MAX_ATTEMPT:
            raise SettingError(f"{attempt!r} is not a valid attempt: use a number from 1")
        return cls(namespace, capability, lane, checked_run_id(f"{shard}.{run}"), task, int(attempt))
