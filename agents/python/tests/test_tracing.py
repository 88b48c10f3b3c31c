"""What the package says of a task in spans and on log lines."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import unittest
from pathlib import Path

import nats

from mesh_agent import LogFormatter, SettingError, tracing
from mesh_agent.envelope import Trace
from mesh_agent.names import TaskKey

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Task:
    """What an execution knows of its task."""

    def __init__(self) -> None:
        self.key = TaskKey("mesh", "risk", "normal", "3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11", "score", 2)
        self.cause = self.key.subject("created")
        self.correlation = "order-7"
        self.hop: Trace | None = Trace(PARENT)


class TestLogLines(unittest.TestCase):
    """Log lines of a handler."""

    def line(self, form: str) -> str:
        """A line that a handler writes."""
        record = logging.LogRecord("shop", logging.INFO, "", 0, "checked %s", ("it",), None)
        before = os.environ.get("MESH_LOG_FORMAT")
        os.environ["MESH_LOG_FORMAT"] = form
        try:
            with tracing.processing(Task(), "risk-1", 1):
                return LogFormatter().format(record)
        finally:
            if before is None:
                del os.environ["MESH_LOG_FORMAT"]
            else:
                os.environ["MESH_LOG_FORMAT"] = before

    def test_text(self) -> None:
        """The line goes on with what it is about."""
        self.assertTrue(
            self.line("text").endswith(
                "INFO shop: checked it run=3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11 task=score attempt=2 "
                "correlation_id=order-7 trace_id=0af7651916cd43dd8448eb211c80319c"
            )
        )

    def test_unknown_form(self) -> None:
        """What is no form is said, with those that are."""
        with self.assertRaisesRegex(SettingError, "MESH_LOG_FORMAT is 'xml': use text or json"):
            self.line("xml")

    def test_json(self) -> None:
        """The line is one object."""
        line = json.loads(self.line("json"))
        self.assertEqual((line["level"], line["message"]), ("INFO", "checked it"))
        self.assertEqual(line["spans"][0]["task"], "score")
        self.assertEqual(line["spans"][0]["trace_id"], "0af7651916cd43dd8448eb211c80319c")

    def test_elsewhere(self) -> None:
        """A line that no handler writes is about no task."""
        record = logging.LogRecord("shop", logging.INFO, "", 0, "ready", (), None)
        self.assertTrue(LogFormatter().format(record).endswith("INFO shop: ready"))


class TestSpan(unittest.TestCase):
    """The span of the processing, made with the library."""

    def test_the_span_is_below_the_creation_and_the_hop_of_what_follows(self) -> None:
        """In a process of its own, as the library is looked for when the package is imported."""
        library = Path(nats.__path__[0]).resolve().parent.parent / "opentelemetry"
        if not library.is_dir():
            self.skipTest(f"there is no {library}: `make tools` fetches it")
        path = [str(library), os.environ.get("PYTHONPATH", ""), *sys.path]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
        # This file, as a program.
        done = subprocess.run(
            [sys.executable, __file__], env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=60
        )
        span = json.loads(done.stdout)
        self.assertEqual(span["parent"], "b7ad6b7169203331")
        self.assertEqual(span["hop"], f"00-0af7651916cd43dd8448eb211c80319c-{span['id']}-01")
        self.assertEqual(span["name"], "process task.created.risk.normal.{shard}.{run}.{task}.{attempt}")
        self.assertEqual((span["kind"], span["error"]), ("CONSUMER", "too_risky"))
        self.assertEqual(span["attributes"]["mesh.attempt"], 2)
        self.assertEqual(span["attributes"]["messaging.system"], "nats")
        self.assertEqual(span["attributes"]["gen_ai.usage.input_tokens"], 12)
        self.assertEqual(span["attributes"]["gen_ai.operation.name"], "invoke_agent")
        self.assertEqual(span["events"], ["exception"])


def emit() -> None:
    """Prints the span of a task that failed, and the hop that it has."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from mesh_agent import Fatal

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    task = Task()
    with tracing.processing(task, "risk-1", 1):
        tracing.used(task, "risk-1", {"input_tokens": 12, "output_tokens": 3})
        tracing.failed(Fatal("too_risky", "no"), "no")
    received, span = spans.get_finished_spans()
    assert received.name.startswith("receive task.created.")
    assert span.parent is not None and task.hop is not None and span.attributes is not None
    told = {
        "parent": f"{span.parent.span_id:016x}",
        "id": f"{span.context.span_id:016x}",
        "hop": task.hop.traceparent,
        "name": span.name,
        "kind": span.kind.name,
        "error": span.attributes["error.type"],
        "attributes": dict(span.attributes),
        "events": [event.name for event in span.events],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    emit()
