"""What the streams say of an attempt: whether it is still wanted, and how often it was lost."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from . import envelope
from .context import Parts
from .envelope import Unreadable, decode
from .errors import MeshError, SettingError
from .link import Link
from .names import ENDS, TaskKey, name
from .secret import SecretUse
from .store import store

log = logging.getLogger("mesh_agent")

#: From this age on, a task is looked up before it is done: a consumer that was made anew delivers old tasks as if for
#: the first time.
_OLD = timedelta(seconds=30)
#: Seconds that the note of a release may take to be stored. An agent that stops has little time, and without the note
#: the delivery only counts as lost.
_NOTE_TIME = 1.0


@dataclass(frozen=True)
class Task:
    """Data of `task.created`."""

    workflow: str
    action: str | None
    input: Any
    timeout: timedelta | None
    deadline: datetime | None
    basis: datetime
    idempotency_key: str
    #: Secrets that are to be put into the input.
    secrets: list[SecretUse] = field(default_factory=list)

    @classmethod
    def read(cls, data: Any) -> Task:
        """Reads the data of an event; :class:`Unreadable` names the field that is wrong."""
        if not isinstance(data, dict):
            raise Unreadable("the data of task.created is no object")
        for field in ("workflow", "digest", "task", "idempotency_key"):
            if not isinstance(data.get(field), str):
                raise Unreadable(f"the data of task.created is wrong: {field} is missing or no string")
        if "input" not in data:
            raise Unreadable("the data of task.created is wrong: input is missing")
        action, timeout, deadline = data.get("action"), data.get("timeout_ms"), data.get("deadline")
        if action is not None and not isinstance(action, str):
            raise Unreadable("the data of task.created is wrong: action is no string")
        if timeout is not None and (not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 0):
            raise Unreadable("the data of task.created is wrong: timeout_ms is no whole number from 0")
        secrets = SecretUse.read(data.get("secrets", []))
        if secrets is None:
            raise Unreadable("the data of task.created is wrong: secrets is no list of {at, name}")
        return cls(
            workflow=data["workflow"],
            action=action,
            input=data["input"],
            timeout=None if timeout is None else _milliseconds(timeout),
            deadline=None if deadline is None else envelope.time(deadline),
            basis=envelope.time(data.get("basis")),
            idempotency_key=data["idempotency_key"],
            secrets=secrets,
        )

    def end(self, now: datetime, stored: datetime) -> datetime | None:
        """The end of the time that an execution may take from now: its own timeout, and what may be left of the run's.

        How much that is at most, the server's clock says that both times are by, so that this machine's may be wrong.
        The orchestrator keeps the run's deadline, and then tells the agent.
        """
        left = [] if self.timeout is None else [self.timeout]
        if self.deadline is not None:
            left.append(max(self.deadline - stored, timedelta()))
        ends = [now + time for time in left if time < datetime.max.replace(tzinfo=timezone.utc) - now]
        return min(ends, default=None)

    def must_look(self, delivered: int) -> bool:
        """Whether the delivery is one that the log must be asked about."""
        return delivered > 1 or datetime.now(timezone.utc) - self.basis > _OLD


async def is_wanted(link: Link, key: TaskKey, task: Task | None) -> bool:
    """Whether the attempt has no outcome yet and its run goes on. Of a run that has ended, only its beginning and its end
    may be left in the log, and later nothing. Where the task cannot be read, its workflow is not known."""
    for verb in ("completed", "failed"):
        if await link.last_for_sure("EVENTS", key.subject(verb)):
            return False
    workflow = "*"
    if task is not None:
        try:
            workflow = name("workflow name", task.workflow)
        except SettingError:
            workflow = "-"
    last = await link.last_for_sure("EVENTS", f"{link.namespace}.workflow.*.{workflow}.-.{key.run}")
    return last is not None and last.subject.split(".")[2] not in ENDS


async def lost_before(link: Link, key: TaskKey, delivered: int) -> int:
    """How many deliveries of the attempt before this one had neither an outcome nor a release.

    NATS counts every delivery, those too that were given back. So whoever gives one back leaves a note, and each note
    says how many deliveries before it were lost: the last note of an attempt is all that has to be read.
    """
    if delivered <= 1:
        return 0
    note: dict[str, Any] = {}
    stored = await link.last("NOTES", f"{key.subject('released')}.*")
    if stored is not None:
        try:
            data = decode(stored.headers, stored.data).data
            note = {field: int(data[field]) for field in ("delivery", "lost")}
        except (Unreadable, KeyError, TypeError, ValueError):
            note = {}
    return lost_count(note.get("delivery", 0), note.get("lost", 0), delivered)


def lost_count(released: int, lost: int, delivered: int) -> int:
    """Deliveries that were lost before this one, if `released` was the last to be given back and `lost` were lost
    before that."""
    return lost + max(0, delivered - released - 1)


async def note_release(parts: Parts, delivery: int) -> None:
    """Notes that a delivery is given back, if that can be done soon."""
    try:
        await asyncio.wait_for(_note_release(parts, delivery), _NOTE_TIME)
    except (MeshError, asyncio.TimeoutError) as error:
        log.debug(
            "a release was not noted, so it counts as a lost delivery: %s", error or "it takes too long"
        )


async def _note_release(parts: Parts, delivery: int) -> None:
    link = parts.identity.link
    lost = await lost_before(link, parts.key, delivery)
    data = {"agent": parts.identity.agent, "delivery": delivery, "lost": lost}
    subject, body, headers = parts.event("released", data, delivery=delivery)
    await store(link, subject, body, headers)


def _milliseconds(count: int) -> timedelta:
    try:
        return timedelta(milliseconds=count)
    except OverflowError:
        return timedelta.max
