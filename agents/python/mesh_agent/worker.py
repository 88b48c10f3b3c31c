"""Takes work of one capability when there is room for it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats.aio.msg import Msg

from . import names
from .context import Identity
from .errors import MeshError
from .execute import Execution, Worksite
from .handler import Handler
from .link import ApiError, quietly
from .pull import GONE, Pull

log = logging.getLogger("mesh_agent")

#: Seconds before the consumer is asked for again, when it could not be had.
_RETRY_PAUSE = 0.5
#: Seconds that handing back takes at most.
_LAST_MOMENT = 2.0
#: Longest time in seconds between two marks that a task is in progress: a third of what the mesh allows.
_MARKS = 10.0
_SECOND = 1_000_000_000


class Worker:
    """One capability of an agent."""

    def __init__(
        self, identity: Identity, capability: str, handler: Handler, capacity: int, drain: float
    ) -> None:
        """`drain` is the time in seconds that running tasks get to end."""
        self._link = identity.link
        self._figures = identity.figures
        self._figures.add("mesh_agent_capacity", capacity, capability=capability)
        self._figures.add("mesh_agent_tasks_running", 0, capability=capability)
        self._figures.add("mesh_agent_redeliveries_total", 0, capability=capability)
        for outcome in ("completed", "failed"):
            self._figures.add("mesh_agent_outcomes_total", 0, capability=capability, outcome=outcome)
        self._capability = capability
        self._capacity = capacity
        self._drain = drain
        self._running: set[asyncio.Task[None]] = set()
        self._releasing: set[asyncio.Task[None]] = set()
        self._cancelled: dict[str, asyncio.Event] = {}
        abandon: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._site = Worksite(identity, handler, _MARKS, abandon, self._cancelled)
        self._pull: Pull | None = None
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`, then lets what is running end."""
        stopped = asyncio.ensure_future(stop.wait())
        filter = f"{self._link.namespace}.task.cancelled.{self._capability}.>"
        cancellations = await self._link.subscribe(filter, self._on_cancelled)
        try:
            while not stop.is_set():
                self._pull = await self._bind(stopped)
                if self._pull is not None:
                    await self._take(self._pull, stopped)
            await self._end()
        finally:
            stopped.cancel()
            for task in self._running:
                task.cancel()
            await quietly(cancellations.unsubscribe())

    async def _bind(self, stopped: asyncio.Future[Any]) -> Pull | None:
        """Waits until the consumer exists; an orchestrator makes it."""
        stream, durable = names.stream(self._link.namespace, "TASKS"), f"agent-{self._capability}-normal"
        said = False
        while not stopped.done():
            try:
                info = await self._link.api(f"CONSUMER.INFO.{stream}.{durable}")
                ack_wait = info["config"].get("ack_wait", 0) / _SECOND
                self._figures.workless.pop(self._capability, None)
                self._site.marks = min(_MARKS, ack_wait / 3) or _MARKS
                return Pull(self._link, stream, durable, ack_wait, self._room, self._on_task)
            except MeshError as error:
                told, is_wrong = await self._told(error)
                if is_wrong:
                    self._figures.workless[self._capability] = told
                else:
                    self._figures.workless.pop(self._capability, None)
                if not said:
                    log.warning("no work of %s can be had yet; trying again: %s", self._capability, told)
                    said = True
            await asyncio.wait({stopped}, timeout=_RETRY_PAUSE)
        return None

    async def _told(self, error: MeshError) -> tuple[str, bool]:
        """What keeps work away, and what to do about it; and whether that is wrong, or only nobody has any yet."""
        if not isinstance(error, ApiError) or error.code not in GONE:
            return str(error), True
        try:
            await self._link.shards()
        except MeshError as all_of_it:
            return str(all_of_it), True
        told = f"{error}; an orchestrator makes it when a workflow that names the capability is applied"
        return told, False

    async def _take(self, pull: Pull, stopped: asyncio.Future[Any]) -> None:
        receiving = asyncio.ensure_future(pull.run())
        try:
            await asyncio.wait([receiving, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                self._stopping = True
                receiving.cancel()
                await pull.stop()
            else:
                log.warning("the consumer of %s is gone: binding it anew", self._capability)
                receiving.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, work has to go on
            log.warning("lost the source of work of %s, asking anew: %s", self._capability, error)
            await asyncio.wait({stopped}, timeout=_RETRY_PAUSE)
        finally:
            receiving.cancel()

    async def _end(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._drain)
        if self._running:
            log.warning(
                "handing running tasks of %s to other agents: their time to end is over", self._capability
            )
        self._site.abandon.set_result(None)
        last = self._running | self._releasing
        if last:
            await asyncio.wait(last, timeout=_LAST_MOMENT)

    def _room(self) -> int:
        return self._capacity - len(self._running)

    def _on_task(self, message: Msg) -> None:
        execution = Execution(self._site, message)
        if self._stopping or self._room() <= 0:
            # What comes after the stop, or on a request from before the connection was lost.
            releasing = asyncio.ensure_future(execution.release())
            self._releasing.add(releasing)
            releasing.add_done_callback(self._releasing.discard)
            return
        running = asyncio.ensure_future(execution.run())
        self._running.add(running)
        self._figures.add("mesh_agent_tasks_running", 1, capability=self._capability)
        running.add_done_callback(self._on_done)

    def _on_done(self, ended: asyncio.Task[None]) -> None:
        self._running.discard(ended)
        self._figures.add("mesh_agent_tasks_running", -1, capability=self._capability)
        if self._pull is not None:
            self._pull.nudge()

    async def _on_cancelled(self, message: Msg) -> None:
        """Passes on what the orchestrator says. What is said while the connection is down is missed; the task then
        runs to its end and its outcome counts for nothing."""
        cancelled = self._cancelled.get(message.subject.replace(".task.cancelled.", ".task.created.", 1))
        if cancelled is not None:
            cancelled.set()
