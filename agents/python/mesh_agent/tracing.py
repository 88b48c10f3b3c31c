"""The span of a task's processing, and what log lines say of the task.

Spans are made with `opentelemetry` if that is installed; the process that runs the agent sets up where they go, as for any
other program (`opentelemetry-instrument`, or `opentelemetry.sdk` in code). Without it, the trace is passed on as it came.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any, Protocol

from .envelope import Trace
from .errors import SettingError, TaskFailure
from .names import TaskKey

_trace: Any = None
_propagate: Any = None
with contextlib.suppress(ImportError):
    _propagate = importlib.import_module("opentelemetry.propagate")
    _trace = importlib.import_module("opentelemetry.trace")


class _Task(Protocol):
    """What there is to say of a task."""

    key: TaskKey
    cause: str
    correlation: str
    hop: Trace | None


#: What the log lines of the running handler are about; threads that a handler starts by asyncio inherit it.
_about: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("mesh_agent_about", default={})


@contextlib.contextmanager
def processing(task: _Task, agent: str, delivery: int) -> Iterator[None]:
    """Within this, the hop of the task is its processing, and log lines say which task it is."""
    with _span(task, agent, delivery):
        token = _about.set(_described(task))
        try:
            yield
        finally:
            _about.reset(token)


@contextlib.contextmanager
def _span(task: _Task, agent: str, delivery: int) -> Iterator[None]:
    if _trace is None:
        yield
        return
    key = task.key
    template = f"task.created.{key.capability}.{key.lane}.{{shard}}.{{run}}.{{task}}.{{attempt}}"
    attributes = {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": task.cause,
        "messaging.destination.template": template,
        "messaging.message.id": task.cause,
        "messaging.message.conversation_id": task.correlation,
        "cloudevents.event_id": task.cause,
        "cloudevents.event_type": "task.created",
        "mesh.run.id": key.run,
        "mesh.task.id": key.task,
        "mesh.attempt": int(key.attempt),
        "mesh.delivery": delivery,
        "mesh.capability": key.capability,
        "mesh.agent.id": agent,
    }
    tracer = _trace.get_tracer("mesh_agent")
    parent = _propagate.extract(task.hop.attributes() if task.hop else {})
    receipt = {**attributes, "messaging.operation.name": "fetch", "messaging.operation.type": "receive"}
    kind = _trace.SpanKind.CLIENT
    tracer.start_span(f"receive {template}", context=parent, kind=kind, attributes=receipt).end()
    # Our own errors are noted by `failed`, with their codes.
    with tracer.start_as_current_span(
        f"process {template}",
        context=parent,
        kind=_trace.SpanKind.CONSUMER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ):
        carrier: dict[str, str] = {}
        _propagate.inject(carrier)
        task.hop = Trace.of(carrier) or task.hop
        yield


def failed(failure: TaskFailure, message: str) -> None:
    """Notes on the span of the processing that the task failed, with this message."""
    if _trace is None:
        return
    span = _trace.get_current_span()
    span.set_status(_trace.Status(_trace.StatusCode.ERROR, message))
    span.set_attribute("error.type", failure.code)
    span.add_event("exception", {"exception.type": failure.code, "exception.message": message})


def used(task: _Task, agent: str, usage: Any) -> None:
    """Notes on the span of the processing what the agent used: those that use tokens are AI agents."""
    if _trace is None or not isinstance(usage, dict):
        return
    tokens = {name: usage.get(name) for name in ("input_tokens", "output_tokens")}
    told: dict[str, Any] = {}
    told.update({f"gen_ai.usage.{name}": count for name, count in tokens.items() if type(count) is int})
    if told:
        about = {"operation.name": "invoke_agent", "agent.id": agent, "conversation.id": task.correlation}
        told.update({f"gen_ai.{name}": value for name, value in about.items()})
        _trace.get_current_span().set_attributes(told)


def _described(task: _Task) -> dict[str, Any]:
    key = task.key
    about: dict[str, Any] = {
        "run": key.run,
        "task": key.task,
        "attempt": int(key.attempt),
        "correlation_id": task.correlation,
    }
    if task.hop is not None:
        about["trace_id"] = task.hop.traceparent.split("-")[1]
    return about


#: The names that the other processes of the mesh have for levels.
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


class LogFormatter(logging.Formatter):
    """Log lines that say of which run and task they are: as text, or, with `MESH_LOG_FORMAT=json`, as one JSON object each.

    It is what :meth:`Agent.run` logs with if logging is not set up already; give it to your own handlers to have the same.
    """

    def __init__(self) -> None:
        """The form is read from the environment.

        Raises :class:`SettingError` if `MESH_LOG_FORMAT` is no form that there is.
        """
        form = os.environ.get("MESH_LOG_FORMAT") or "text"
        if form not in ("text", "json"):
            raise SettingError(f"MESH_LOG_FORMAT is {form!r}: use text or json")
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"
        self.default_msec_format = "%s.%03dZ"
        self._is_json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        """The line, or lines where an exception is told of in text."""
        about = _about.get()
        if not self._is_json:
            told = "".join(f" {name}={value}" for name, value in about.items())
            head, *rest = super().format(record).split("\n", 1)
            return "\n".join([head + told, *rest])
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "target": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if about:
            line["spans"] = [{"name": "task", **about}]
        return json.dumps(line, ensure_ascii=False, default=str)
