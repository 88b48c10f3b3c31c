"""What a handler knows of its task, and what it can ask of the mesh meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from . import envelope
from .envelope import Trace
from .link import Link
from .names import TaskKey
from .observe import Figures
from .secret import Redactor, Secrets
from .store import structured

T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """One agent process, as it appears in what it writes."""

    link: Link
    #: This process.
    agent: str
    #: What kind of agent it is: the same for every process of one deployment.
    kind: str
    #: Where the secrets are that tasks refer to.
    secrets: Secrets = field(default_factory=Secrets)
    #: What it counts of itself.
    figures: Figures = field(default_factory=Figures)

    @property
    def source(self) -> str:
        """`source` of every event that agents of the kind write."""
        return f"/{self.link.namespace}/agents/{self.kind}"


@dataclass(frozen=True, eq=False)
class Context:
    """The first argument of every handler."""

    #: The run that the task belongs to.
    run: str
    #: Name of the workflow; `-` for a directly requested task.
    workflow: str
    #: The task.
    task: str
    #: Which try of the task this is, from 1.
    attempt: int
    #: Which delivery of this attempt this is, from 1: above 1, an earlier execution may have got some way.
    delivery: int
    #: What the workflow asks for, for agents that can do several things.
    action: str | None
    #: The same for every execution and every attempt of the task, and for no other task: pass it to whatever must not
    #: happen twice.
    idempotency_key: str
    #: What the requester calls the whole piece of work.
    correlation_id: str
    #: When the handler is stopped, if it has not ended.
    deadline: datetime | None
    #: This process.
    agent: str
    #: The trace that the task belongs to (W3C Trace Context), to pass on to services that are called.
    traceparent: str | None
    #: Set when nobody waits for the task any more, its time is over, or the agent stops. A handler that goes on
    #: regardless is dropped a little later. `cancelled.is_set()` may be called from any thread.
    cancelled: asyncio.Event
    _parts: Parts = field(repr=False)

    async def progress(self, progress: float, message: str | None = None) -> None:
        """Tells whoever watches how far the task is, from 0 to 1. Nothing is stored, and nothing fails if nobody
        listens."""
        data: dict[str, Any] = {"agent": self.agent, "progress": max(0.0, min(1.0, progress))}
        if message is not None:
            data["message"] = self._parts.redactor.text(message)
        subject, body, headers = self._parts.event("progress", data)
        await self._parts.identity.link.send(subject, body, headers)

    async def call(self, capability: str, input: Any) -> Any:
        """Asks another agent to do one task and waits for its output.

        The task runs with the same guarantees as any other, in a run of its own that is linked to this one; a handler
        that runs again after a crash and asks the same gets the same answer without its being worked out again. Raises
        :class:`Fatal` with the other agent's code if it fails, :class:`Retryable` `timeout` when this task's own time
        is over.

        An agent that calls its own capability needs room for it: with all places taken by callers, nobody answers
        before the deadline.
        """
        from .call import call

        return await call(self, capability, input)

    def wait(self, asked: Awaitable[T]) -> T:
        """For handlers that are plain functions: `ctx.wait(ctx.call("price", {…}))`. Waits in the handler's thread for
        what the loop of the agent does."""
        if threading.get_ident() == self._parts.thread:
            raise RuntimeError("ctx.wait is for handlers that are plain functions: an async one uses await")

        async def ask() -> T:
            return await asked

        return asyncio.run_coroutine_threadsafe(ask(), self._parts.loop).result()


@dataclass(eq=False)
class Parts:
    """What a context is made of, and handlers need not know."""

    identity: Identity
    key: TaskKey
    #: Id of the event that asked for the task, which is its subject.
    cause: str
    correlation: str
    #: The trace that the work began in.
    origin: Trace | None
    #: The trace of whoever sent the task.
    hop: Trace | None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    #: The thread of the loop.
    thread: int = field(default_factory=threading.get_ident)
    #: How often this execution has asked which question of another agent.
    asked: Counter[str] = field(default_factory=Counter)
    #: Takes the secrets out of what is said that were put into the input.
    redactor: Redactor = field(default_factory=Redactor)

    def event(
        self, verb: str, data: dict[str, Any], *, delivery: int | None = None
    ) -> tuple[str, bytes, dict[str, str]]:
        """Subject, body and headers of an event of this attempt, or of one of its deliveries."""
        subject = self.key.subject(verb) if delivery is None else f"{self.key.subject(verb)}.{delivery}"
        event = envelope.event(
            subject,
            self.identity.source,
            f"task.{verb}",
            data,
            correlation=self.correlation,
            causation=self.cause,
            trace=self.origin,
        )
        return (subject, *structured(event, self.hop))
