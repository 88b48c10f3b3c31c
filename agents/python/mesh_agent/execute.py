"""One execution of one task: decode, look, run, store the outcome, acknowledge."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import re
import traceback
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable, TypeVar

from nats.aio.msg import Msg

from . import tracing
from .attempt import Task, is_wanted, lost_before, note_release
from .context import Context, Identity, Parts
from .envelope import Trace, Unreadable, decode, lower
from .errors import (
    Fatal,
    LostData,
    MeshError,
    Refused,
    Retryable,
    SettingError,
    TaskFailure,
    TooLarge,
    Unavailable,
)
from .handler import Handler, Output
from .large import store_event, whole
from .link import Link, Stored
from .names import TaskKey
from .store import DeadEnd, dead_letter, until_stored

log = logging.getLogger("mesh_agent")
T = TypeVar("T")

#: Deliveries of one attempt that may be lost: neither brought to an outcome nor given back. An attempt that comes once
#: more most likely kills whoever takes it.
MAX_LOST = 5
#: Seconds that a handler gets to end after it was told to stop.
GRACE = 5.0
#: Seconds before a task that this agent cannot read is offered again, to one that can.
_NEWER_PAUSE = 30.0
#: Seconds before the bus is asked again.
_LOOK_PAUSE = 0.25
_SCHEMA = re.compile(r"urn:mesh:schema:task\.created:([0-9]+)")


class _Newer(Exception):
    """A task of a newer schema."""


class _Unexpected(Retryable):
    """An error that the handler did not mean to raise: whoever mends it needs to see where it came from."""


@dataclass
class Worksite:
    """What the executions of one capability share."""

    identity: Identity
    handler: Handler
    #: Seconds between two marks that a task is in progress.
    marks: float
    #: Done when the agent must end at once.
    abandon: asyncio.Future[None]
    #: What to set when nobody waits for a running attempt any more, by the subject of its work.
    running: dict[str, asyncio.Event]


class Execution:
    """One delivery of a task."""

    def __init__(self, site: Worksite, message: Msg) -> None:
        """Nothing is done before :meth:`run`."""
        self._site = site
        self._message = message
        self._link: Link = site.identity.link
        self._delivery = message.metadata.num_delivered
        self._stored = message.metadata.timestamp
        self._cancelled = asyncio.Event()

    async def run(self) -> None:
        """Sees the delivery through, marking it in progress all the while."""
        work = asyncio.ensure_future(self._handle())
        try:
            while True:
                waiting: list[asyncio.Future[Any]] = [work, self._site.abandon]
                await asyncio.wait(waiting, timeout=self._site.marks, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    pause = work.result()
                    return await (self._settle(b"+ACK") if pause is None else self.release(pause))
                if self._site.abandon.done():
                    self._cancelled.set()
                    work.cancel()
                    return await self.release()
                await self._settle(b"+WPI")
        except Exception:
            # A defect of ours, not of the handler.
            log.exception("an execution died; its task will be delivered again")
        finally:
            work.cancel()

    async def release(self, pause: float = 0.0) -> None:
        """Gives the delivery back for others to do, after a pause in seconds; it is not to die with it."""
        with contextlib.suppress(SettingError):
            attributes: dict[str, Any] = {}
            with contextlib.suppress(Unreadable):
                attributes = decode(self._message.headers, self._message.data).attributes
            await note_release(self._parts(self._key(), attributes), self._delivery)
        delay = f' {{"delay":{int(pause * 1_000_000_000)}}}' if pause else ""
        await self._settle(f"-NAK{delay}".encode())

    async def _settle(self, answer: bytes) -> None:
        # Not confirmed: an acknowledgement that is lost leads to another delivery.
        await self._link.send(self._message.reply, answer)

    async def _handle(self) -> float | None:
        """Does what there is to do; none to acknowledge, or the pause in seconds after which others are to do it."""
        if not self._message.subject.startswith(f"{self._link.namespace}.task.created."):
            await self._bury(DeadEnd.TASK_TYPE, "only task.created is work")
            return None
        try:
            key = self._key()
        except SettingError as error:
            await self._bury(DeadEnd.TASK_SUBJECT, str(error))
            return None
        if self._delivery > 1:
            self._site.identity.figures.add("mesh_agent_redeliveries_total", 1, capability=key.capability)
        try:
            attributes, task = await self._read(key)
        except _Newer as newer:
            log.warning("a task of a newer schema is left to newer agents: %s", newer)
            return _NEWER_PAUSE
        except LostData as error:
            # Of a run that is gone, the data is gone, too.
            if await _until_answered(lambda: is_wanted(self._link, key, None)):
                lost = Fatal("lost_input", f"the input of the task is lost: {error}")
                await self._fail(self._parts(key, {}), lost)
            return None
        except Refused as error:
            log.warning("a task whose input this agent may not read is left to others: %s", error)
            return _NEWER_PAUSE
        except Unreadable as error:
            with contextlib.suppress(TooLarge):
                await self._fail(self._parts(key, {}), Retryable("malformed_task", str(error)))
            await self._bury(DeadEnd.UNREADABLE_TASK, str(error))
            return None
        if task.must_look(self._delivery) and not await _until_answered(
            lambda: is_wanted(self._link, key, task)
        ):
            log.debug("%s is done already, or not wanted any more", self._message.subject)
            return None
        parts = self._parts(key, attributes)
        if await self._is_poison(key):
            why = f"{MAX_LOST} deliveries ended without an outcome"
            with contextlib.suppress(TooLarge):
                await self._fail(parts, Fatal("poison", why))
            await self._bury(DeadEnd.POISON_TASK, why)
            return None
        try:
            with tracing.processing(parts, self._site.identity.agent, self._delivery):
                await self._execute(parts, task)
        except TooLarge as error:
            await self._bury(DeadEnd.LARGE_OUTCOME, str(error))
        return None

    async def _execute(self, parts: Parts, task: Task) -> None:
        context = self._context(parts, task)
        self._site.running[self._message.subject] = self._cancelled
        try:
            subject, body, headers = parts.event(
                "assigned", {"agent": context.agent, "delivery": self._delivery}, delivery=self._delivery
            )
            # Advisory: sent, not awaited.
            await self._link.send(subject, body, headers)
            try:
                secrets = self._site.identity.secrets
                # Files are read, which may take a moment.
                looking = functools.partial(secrets.put_into, task.input, task.secrets)
                loop = asyncio.get_running_loop()
                input, parts.redactor = await loop.run_in_executor(None, looking) if task.secrets else looking()
                output = await _run_handler(self._site.handler, context, input)
            except TaskFailure as failure:
                _log_failure(parts, failure)
                tracing.failed(failure, parts.redactor.text(failure.message))
                await self._fail(parts, failure)
            else:
                await self._complete(parts, output)
        finally:
            self._site.running.pop(self._message.subject, None)

    async def _complete(self, parts: Parts, output: Output) -> None:
        value = parts.redactor.value(output.value)
        data: dict[str, Any] = {"output": value, "agent": self._site.identity.agent}
        data.update({} if output.quality is None else {"quality": output.quality})
        data.update({} if output.usage is None else {"usage": parts.redactor.value(output.usage)})
        tracing.used(parts, self._site.identity.agent, output.usage)
        try:
            await self._store(parts, "completed", data)
        except TooLarge as error:
            await self._fail(
                parts, Fatal("payload_too_large", f"the outcome is larger than an event may be: {error}")
            )

    async def _fail(self, parts: Parts, failure: TaskFailure) -> None:
        """Stores a failure; :class:`TooLarge` if there is no room for any, however little is said in it."""
        message = parts.redactor.text(failure.message).encode("utf-8", "replace").decode()
        error = {"code": failure.code, "message": message, "retryable": failure.retryable}
        if failure.retry_after is not None:
            error["retry_after"] = failure.retry_after
        try:
            data = {"error": error, "agent": self._site.identity.agent}
            await self._store(parts, "failed", data)
        except TooLarge as too_large:
            if failure.code == "payload_too_large":
                raise
            text = f"the outcome is larger than an event may be: {too_large}"
            await self._fail(parts, Fatal("payload_too_large", text))

    async def _store(self, parts: Parts, verb: str, data: dict[str, Any]) -> None:
        subject, body, headers = parts.event(verb, data)
        storing = functools.partial(
            store_event, self._link, subject, body, headers, run=parts.key.run, once=True
        )
        await until_stored(subject, storing)
        figures = self._site.identity.figures
        figures.add("mesh_agent_outcomes_total", 1, capability=parts.key.capability, outcome=verb)

    async def _is_poison(self, key: TaskKey) -> bool:
        if self._delivery <= MAX_LOST:
            return False
        return await _until_answered(lambda: lost_before(self._link, key, self._delivery)) >= MAX_LOST

    async def _bury(self, end: DeadEnd, error: str) -> None:
        message = self._message
        stored = Stored(
            message.subject, message.metadata.sequence.stream, message.headers or {}, message.data
        )
        await dead_letter(self._link, end, stored, error)

    def _key(self) -> TaskKey:
        return TaskKey.parse(self._link.namespace, self._message.subject)

    async def _read(self, key: TaskKey) -> tuple[dict[str, Any], Task]:
        attributes, data = decode(self._message.headers, self._message.data)
        schema = _SCHEMA.fullmatch(attributes.get("dataschema", ""))
        if schema and int(schema.group(1)) > 1:
            raise _Newer(attributes["dataschema"])
        while True:
            try:
                return attributes, Task.read(await whole(self._link, key.run, attributes, data))
            except Unavailable as error:
                log.debug("the input of a task cannot be read yet: %s", error)
            await asyncio.sleep(_LOOK_PAUSE)

    def _parts(self, key: TaskKey, attributes: dict[str, Any]) -> Parts:
        header = Trace.of(lower(self._message.headers))
        origin = Trace.of(attributes) or header
        return Parts(
            identity=self._site.identity,
            key=key,
            cause=self._message.subject,
            correlation=attributes.get("correlationid", key.run),
            origin=origin,
            hop=header or origin,
        )

    def _context(self, parts: Parts, task: Task) -> Context:
        key = parts.key
        return Context(
            run=key.run,
            workflow=task.workflow,
            task=key.task,
            attempt=key.attempt,
            delivery=self._delivery,
            action=task.action,
            idempotency_key=task.idempotency_key,
            correlation_id=parts.correlation,
            deadline=task.end(datetime.now(timezone.utc), self._stored),
            agent=self._site.identity.agent,
            traceparent=parts.hop.traceparent if parts.hop else None,
            cancelled=self._cancelled,
            _parts=parts,
        )


def _log_failure(parts: Parts, failure: TaskFailure) -> None:
    """Tells of a failure, without the secrets that were put into the input."""
    cause = failure.__cause__ if isinstance(failure, _Unexpected) else None
    if not parts.redactor:
        log.warning("task failed: %s", failure, exc_info=cause)
        return
    told = [str(failure)]
    if cause is not None:
        told += traceback.format_exception(type(cause), cause, cause.__traceback__)
    text = parts.redactor.text("\n".join(told))
    log.warning("task failed: %s", text)


async def _until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Asks the bus until it answers."""
    while True:
        try:
            return await ask()
        except MeshError as error:
            log.debug("the bus does not answer yet: %s", error)
        await asyncio.sleep(_LOOK_PAUSE)


async def _run_handler(handler: Handler, context: Context, input: Any) -> Output:
    """Runs the handler within its time. One that was told to stop gets a little longer before it is dropped."""
    left = None
    if context.deadline is not None:
        left = (context.deadline - datetime.now(timezone.utc)).total_seconds()
        if left <= 0:
            raise Retryable("timeout", "the time for the task was over before it could begin")
    handling = asyncio.ensure_future(_handled(handler, context, input))
    handling.add_done_callback(_forget)
    cancelled = asyncio.ensure_future(context.cancelled.wait())
    try:
        await asyncio.wait({handling, cancelled}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not handling.done() and not cancelled.done():
            context.cancelled.set()
            raise Retryable("timeout", "the handler did not end within the time for the task")
        if not handling.done():
            await asyncio.wait({handling}, timeout=GRACE)
        if not handling.done():
            raise Fatal("run_ended", "the task was cancelled and its handler did not end")
        return handling.result()
    except asyncio.CancelledError:
        if handling.cancelled():
            raise Retryable("error", "the handler was cancelled from within") from None
        raise
    finally:
        cancelled.cancel()
        handling.cancel()


async def _handled(handler: Handler, context: Context, input: Any) -> Output:
    """Every error of a handler is a failure of its task."""
    try:
        return await handler(context, input)
    except TaskFailure:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        raise _Unexpected("error", _told(error)) from error


def _forget(ended: asyncio.Future[Output]) -> None:
    """Takes note of how a handler ended that nobody waits for any more, which asyncio would complain about."""
    if not ended.cancelled():
        ended.exception()


def _told(error: BaseException) -> str:
    """What an error and its causes say."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(texts) < 10:
        texts.append(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)
        cause = cause.__cause__
    return ": ".join(texts)
