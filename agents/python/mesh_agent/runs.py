"""Runs, as whoever started them sees them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.aio.msg import Msg

from . import envelope, history
from .envelope import Unreadable, decode
from .errors import LostData, Unavailable
from .large import whole
from .link import Link
from .names import ENDS
from .reader import read
from .request import Outcome, Waiter
from .store import store, structured

_ENDS = tuple(f"workflow.{end}" for end in ENDS)
#: Seconds without an event of a run that has ended, after which it is looked whether it was archived.
_SILENCE = 5
#: Seconds before something is asked for again that the server did not answer.
_RETRY_PAUSE = 0.25


@dataclass(frozen=True)
class Event:
    """An event of a run, as it is in the log."""

    #: What happened: `task.completed`, `workflow.started`…
    type: str
    #: The subject it was stored on.
    subject: str
    #: Its place in the log.
    sequence: int
    #: When it was stored.
    time: datetime
    #: What it says; none if it cannot be read.
    data: Any
    #: The other attributes of its envelope: `id`, `source`, `correlationid`, `traceparent`…; empty for bare JSON.
    attributes: dict[str, Any]
    #: The task that it is about, if it is about one.
    task: str | None = None
    #: The attempt that it is about, if it is about one.
    attempt: int | None = None
    #: Why it cannot be read, if it cannot.
    unreadable: str | None = None


class Run:
    """One run of a workflow, or of one task."""

    def __init__(self, link: Link, id: str, rejected_before: int = 0) -> None:
        """Made by :meth:`Mesh.start` and :meth:`Mesh.run`."""
        self._link = link
        self._id = id
        self._rejected_before = rejected_before

    def __repr__(self) -> str:
        """`Run('4.e1fe…')`."""
        return f"Run({self._id!r})"

    @property
    def id(self) -> str:
        """`<shard>.<uuid>`."""
        return self._id

    async def result(self, timeout: float | None = None) -> Any:
        """Waits until the run has ended, over lost connections too, and gives its output.

        :param timeout: Longest time in seconds to wait, else as long as it takes. After it the run goes on, and
            `asyncio.TimeoutError` is raised.

        Raises :class:`RunFailed`, :class:`RunCancelled` or :class:`RequestRejected`.
        """
        try:
            outcome = await asyncio.wait_for(self._outcome(), timeout)
        except asyncio.TimeoutError:
            raise asyncio.TimeoutError(
                f"run {self._id} has not ended within {timeout} s; it goes on"
            ) from None
        return outcome.output(self._id)

    async def events(self) -> AsyncIterator[Event]:
        """The events of the run in the order of the log: first those that are there, then those that come, up to the
        end of the run. Raises :class:`RequestRejected` if there is no such run because its request was rejected."""
        told: set[str] = set()
        for event in await self._archived(told):
            yield event
            if event.type in _ENDS:
                return
        rejected = asyncio.ensure_future(self._outcome())
        prefix = f"{self._link.namespace}.*.*.*.*.{self._id}"
        reader = read(self._link, "EVENTS", [prefix, f"{prefix}.>"])
        try:
            while True:
                message = await self._first(asyncio.ensure_future(reader.__anext__()), rejected)
                if message is None:
                    # It was archived and forgotten while the connection was lost.
                    for archived in await self._archived(told):
                        yield archived
                    return
                event = await _event(self._link, self._id, message)
                if event.type in _ENDS:
                    # It may have been archived while it was read: then what is missing is in its history.
                    for archived in await self._archived(told):
                        if archived.sequence < event.sequence:
                            yield archived
                told.add(event.subject)
                yield event
                if event.type in _ENDS:
                    return
        finally:
            rejected.cancel()
            await reader.aclose()

    async def cancel(self, reason: str | None = None) -> None:
        """Asks the mesh to end the run. Returns when that is stored; a run that has ended stays as it is."""
        namespace, id = self._link.namespace, str(uuid.uuid4())
        subject = f"{namespace}.workflow.signalled.-.-.{self._id}.cancel.{id}"
        data = {} if reason is None else {"reason": reason}
        event = envelope.event(
            subject, f"/{namespace}/python", "workflow.signalled", data, correlation=self._id
        )
        body, headers = structured(event)
        await store(self._link, subject, body, headers, once=True)

    async def _history(self) -> list[history.Archived]:
        """What is archived of the run, over lost connections too."""
        while True:
            try:
                return await history.read(self._link, self._id)
            except Unavailable:
                await asyncio.sleep(_RETRY_PAUSE)

    async def _first(self, next: asyncio.Future[Msg], outcome: asyncio.Future[Outcome]) -> Msg | None:
        """The next event. None if the run was archived and its end does not come any more; that its request was rejected is
        told instead of waiting for ever."""
        try:
            both: list[asyncio.Future[Any]] = [next, outcome]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not next.done() and outcome.result().verb == "rejected":
                outcome.result().output(self._id)
            while not next.done():
                await asyncio.wait([next], timeout=_SILENCE)
                if not next.done() and await self._history():
                    return None
            return await next
        finally:
            next.cancel()
            # A reader must not be closed while it is at work.
            await asyncio.wait([next])

    async def _archived(self, told: set[str]) -> list[Event]:
        """The archived events that were not told yet; they are told by this."""
        archived = await self._history()
        new = [event for event in archived if event.subject not in told]
        events = [await _event_of(self._link, self._id, event) for event in new]
        told.update(event.subject for event in events)
        return events

    async def _outcome(self) -> Outcome:
        async with Waiter(self._link, self._id, self._rejected_before) as waiter:
            return await waiter.outcome()


async def _whole(link: Link, run: str, attributes: dict[str, Any], data: Any) -> Any:
    """The data of an event, wherever it is, over lost connections too."""
    while True:
        try:
            return await whole(link, run, attributes, data)
        except Unavailable:
            await asyncio.sleep(_RETRY_PAUSE)


async def _event(link: Link, run: str, message: Msg) -> Event:
    place = message.metadata
    archived = history.Archived(
        message.subject, place.sequence.stream, place.timestamp, message.headers or {}, message.data
    )
    return await _event_of(link, run, archived)


async def _event_of(link: Link, run: str, event: history.Archived) -> Event:
    subject, sequence, time, headers, body = event
    tokens = subject.split(".")
    type = ".".join(tokens[1:3])
    task = tokens[7] if tokens[1] == "task" and len(tokens) == 9 else None
    attributes: dict[str, Any] = {}
    data, unreadable = None, None
    try:
        attributes, data = decode(headers, body)
        data = await _whole(link, run, attributes, data)
    except (Unreadable, LostData) as error:
        unreadable = str(error)
    return Event(
        type=type,
        subject=subject,
        sequence=sequence,
        time=time,
        data=data,
        attributes=attributes,
        task=task,
        attempt=int(tokens[8]) if task and tokens[8].isdigit() else None,
        unreadable=unreadable,
    )
