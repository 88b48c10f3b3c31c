"""Asking for a run, and waiting for its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Callable, NamedTuple, TypeVar, final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from . import envelope, history, names, typed
from .envelope import Trace, dumps
from .errors import InputError, LostData, Refused, RequestRejected, RunCancelled, RunFailed, Unavailable
from .large import MAX_DATA, store_event, whole
from .link import Link, Stored, quietly
from .store import structured

log = logging.getLogger("mesh_agent")
T = TypeVar("T")

#: Seconds that a request is tried to be stored: longer than a server takes to start again.
_SUBMIT_FOR = 30.0
#: Seconds between two tries.
_SUBMIT_PAUSE = 0.25
#: Seconds after which to look without having been woken: what wakes may be lost with a connection.
_LOOK_AGAIN = 2.0


@dataclass(frozen=True)
class Request:
    """What is asked for. Sent again with the same source and id, it starts no second run."""

    #: `workflow` or `task`.
    kind: str
    #: The workflow or the capability.
    name: str
    source: str
    id: str
    #: Plain JSON.
    input: Any
    #: What takes the place of values of the workflow's `config`, as the text of a JSON object.
    config: str | None = None
    #: Tasks before which the run is paused, beside those of which the workflow says so.
    pause_before: tuple[str, ...] = ()
    #: The run that it does again, and the tasks from which on.
    rerun_of: str | None = None
    rerun_from: tuple[str, ...] = ()
    correlation: str | None = None
    causation: str | None = None
    trace: Trace | None = None

    def run(self, shards: int) -> str:
        """The run that the request names."""
        return names.run_id(f"{self.kind}.{self.name}", self.source, self.id, shards)


class Outcome(NamedTuple):
    """How a run ended: `completed`, `failed`, `cancelled` or `rejected`, with the data of that event."""

    verb: str
    data: Any

    def output(self, run: str) -> Any:
        """The output of a run that completed; raises what the others stand for."""
        data = self.data if isinstance(self.data, dict) else {}
        if self.verb == "completed":
            return data.get("output")
        if self.verb == "failed":
            error = data.get("error", {})
            raise RunFailed(run, error.get("code", "error"), error.get("message", ""), data.get("task"))
        if self.verb == "cancelled":
            raise RunCancelled(run, data.get("reason"))
        raise RequestRejected(run, data.get("code", "rejected"), data.get("reasons", []))


def checked_input(input: Any) -> Any:
    """The input as plain JSON, if it may be sent."""
    try:
        value = typed.plain(input)
        size = len(dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the input cannot be written as JSON: {error}") from error
    if size > MAX_DATA:
        raise InputError(
            f"the input is {size} bytes of JSON, and at most {MAX_DATA} are allowed: put larger data where the agents can "
            "reach it, and pass its address"
        )
    return value


def checked_config(config: Mapping[str, Any]) -> str:
    """What takes the place of values of the workflow's `config`, as an attribute of an event can hold it."""
    try:
        value = typed.plain(dict(config))
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the config cannot be written as JSON: {error}") from error
    # The one control character that JSON leaves as it is.
    return text.replace("\x7f", "\\u007f")


async def submit(link: Link, request: Request) -> tuple[str, int]:
    """Asks for a run and gives its id when the request is stored, with the sequence of the last rejection before that.

    Tries for half a minute each while the bus cannot be reached.
    """
    run = request.run(await _for_a_while(link.shards))
    # Read before: a rejection that stands already was the answer to an earlier try.
    rejection = await _for_a_while(lambda: link.last("NOTES", rejections(link, run)))
    type = f"{request.kind}.requested"
    # The data is the requester's own: its schema is that of the workflow's input.
    event = envelope.event(
        request.id,
        request.source,
        type,
        request.input,
        correlation=request.correlation,
        causation=request.causation,
        trace=request.trace,
        schema=False,
    )
    if request.config is not None:
        event["config"] = request.config
    if request.pause_before:
        event["pausebefore"] = ",".join(request.pause_before)
    if request.rerun_of is not None:
        event["rerunof"] = request.rerun_of
    if request.rerun_from:
        event["rerunfrom"] = ",".join(request.rerun_from)
    body, headers = structured(event, request.trace)
    subject = f"{link.namespace}.{type}.{request.name}"
    await _for_a_while(lambda: store_event(link, subject, body, headers, run=run))
    return run, rejection.sequence if rejection else 0


async def _for_a_while(ask: Callable[[], Awaitable[T]]) -> T:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _SUBMIT_FOR
    while True:
        try:
            return await ask()
        except Unavailable as error:
            if loop.time() + _SUBMIT_PAUSE >= give_up:
                raise
            log.debug("trying again: %s", error)
        await asyncio.sleep(_SUBMIT_PAUSE)


@final
class Waiter:
    """Waits for the end of one run.

    It listens to events as they pass, but only to know when to look: what passes may not have been stored, and what was
    stored may have passed unheard. The answer is always what the log holds.
    """

    def __init__(self, link: Link, run: str, rejected_before: int = 0) -> None:
        """Rejections up to the sequence `rejected_before` are of earlier requests."""
        self._link = link
        self._run = run
        self._ends = f"{link.namespace}.workflow.*.*.-.{run}"
        self._rejections = rejections(link, run)
        self._rejected_before = rejected_before
        self._wake = asyncio.Event()
        self._heard: list[Subscription] = []

    async def __aenter__(self) -> Waiter:
        """Begins to listen."""
        for filter in (self._ends, self._rejections):
            self._heard.append(await self._link.subscribe(filter, self._on_event))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops listening."""
        for subscription in self._heard:
            await quietly(subscription.unsubscribe())

    async def outcome(self) -> Outcome:
        """Waits until the run has ended, over lost connections too."""
        while True:
            self._wake.clear()
            try:
                outcome = await self._look()
                if outcome is not None:
                    return outcome
            except Unavailable as error:
                log.debug("looking at run %s again: %s", self._run, error)
            try:
                await asyncio.wait_for(self._wake.wait(), _LOOK_AGAIN)
            except asyncio.TimeoutError:
                pass

    async def _look(self) -> Outcome | None:
        events = await self._link.each_last("EVENTS", self._ends)
        for stored in events:
            verb = stored.subject.split(".")[2]
            if verb in names.ENDS:
                return Outcome(verb, await self._data(stored))
        for archived in [] if events else await history.read(self._link, self._run):
            verb = archived.subject.split(".")[2]
            if archived.subject.split(".")[1] == "workflow" and verb in names.ENDS:
                stored = Stored(archived.subject, archived.sequence, archived.headers, archived.data)
                return Outcome(verb, await self._data(stored))
        # A run that began was not rejected, whatever became of earlier tries of its request.
        rejection = None if events else await self._link.last("NOTES", self._rejections)
        if rejection is None or rejection.sequence <= self._rejected_before:
            return None
        return Outcome("rejected", await self._data(rejection))

    async def _data(self, stored: Stored) -> Any:
        try:
            attributes, data = envelope.decode(stored.headers, stored.data)
            return await whole(self._link, self._run, attributes, data)
        except LostData as error:
            raise LostData(f"the output of run {self._run} is lost: {error}") from None
        except envelope.Unreadable as error:
            raise Refused(f"the outcome of run {self._run} cannot be read: {error}") from None

    async def _on_event(self, _message: Msg) -> None:
        self._wake.set()


def rejections(link: Link, run: str) -> str:
    """Where rejections of requests for a run appear."""
    return f"{link.namespace}.request.rejected.*.{run.split('.')[1]}"
