"""A mesh of a test's own: a NATS server and an orchestrator, which are stopped however the test ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
from nats.js.api import AckPolicy, ConsumerConfig

import mesh_agent
from mesh_agent import Agent, Connection, Mesh

# What agents say of failures that tests make on purpose is of no interest.
logging.getLogger("mesh_agent").setLevel(logging.CRITICAL)

#: Longest time in seconds that a test waits for anything: far above what a busy machine needs.
PATIENCE = 30
ROOT = Path(__file__).resolve().parents[3]
SERVER = os.environ.get("NATS_SERVER", str(ROOT / "target/tools/nats-server"))
MESH = os.environ.get("MESH_BIN", str(ROOT / "target/debug/mesh"))
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def clean_environment() -> dict[str, str]:
    """The environment without settings of the developer's own, which must not get in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESH_")}


class Process:
    """A program whose log is read, so that it never blocks, and can be waited for."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        """Starts it."""
        self.log: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.child = subprocess.Popen(
            command,
            env={**clean_environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, text: str) -> None:
        """Waits for a text in its log."""

        def is_there() -> bool:
            return self._ended or any(text in line for line in self.log)

        with self._changed:
            self._changed.wait_for(is_there, PATIENCE)
            if not any(text in line for line in self.log):
                raise AssertionError(f"waited for {text!r}, and found:\n" + "\n".join(self.log))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Sends it a signal, waits for its end and gives its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(how)
        return self.ended()

    def ended(self) -> int:
        """Waits for its end and gives its exit code."""
        code = self.child.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        """Ends it, whatever it does."""
        self.stop(signal.SIGKILL)
        assert self.child.stdout is not None
        self.child.stdout.close()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            with self._changed:
                self.log.append(_COLOURS.sub("", line.rstrip()))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Server:
    """A NATS server with JetStream on a port and in a folder of its own."""

    def __init__(self, folder: str, *arguments: str) -> None:
        """Starts it and waits until it takes clients."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._command = [SERVER, "--addr", "127.0.0.1", "--port", str(self.port), *arguments]
        self._command += ["--jetstream", "--store_dir", folder] if "--config" not in arguments else []
        self.start()

    def start(self) -> None:
        """Starts it, again if it was killed, with what it had stored."""
        self.process = Process(self._command)
        self.process.until("Server is ready")

    def kill(self) -> None:
        """Kills it; what it stored stays."""
        self.process.kill()


class World:
    """A server with an orchestrator."""

    def __init__(
        self, folder: str, *arguments: str, user: str = "", settings: dict[str, str] | None = None
    ) -> None:
        """Starts both; the server with further arguments, the orchestrator as `user:password` and with settings."""
        self.folder = folder
        self.server = Server(os.path.join(folder, "data"), *arguments)
        self.url = self.server.url.replace("//", f"//{user}@") if user else self.server.url
        self.orchestrator: Process | None = None
        try:
            self.environment = {"MESH_NATS_URL": self.url, "NO_COLOR": "1"}
            self.orchestrator = Process([MESH, "orchestrator"], {**self.environment, **(settings or {})})
            self.orchestrator.until("orchestrator ready")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends both."""
        if self.orchestrator is not None:
            self.orchestrator.kill()
        self.server.kill()

    def apply(self, definition: str) -> None:
        """Registers a definition written in YAML."""
        path = os.path.join(self.folder, "workflow.yaml")
        Path(path).write_text(definition, encoding="utf-8")
        done = subprocess.run(
            [MESH, "workflow", "apply", path],
            env={**clean_environment(), **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def one(self, name: str, capability: str | None = None, task: str = "retry: {max_attempts: 1}") -> str:
        """Registers a workflow of one task `t`, which gets the run's input and gives the run's output."""
        task = f"{{agent: {capability or name}, {task}}}"
        self.apply(f"mesh: v1\nname: {name}\noutput: '${{tasks.t.output}}'\ntasks: {{t: {task}}}\n")
        return name

    def worker(self, *arguments: str) -> Process:
        """An agent in a process of its own, see `worker.py`."""
        script = str(Path(__file__).with_name("worker.py"))
        package = str(Path(mesh_agent.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        return Process([sys.executable, script, *arguments], {**self.environment, "PYTHONPATH": path})


class MeshTest(unittest.IsolatedAsyncioTestCase):
    """Tests that share a world, each with workflows of its own."""

    world: World

    @classmethod
    def setUpClass(cls) -> None:
        """Starts the world."""
        cls.world = cls.new_world()

    @classmethod
    def new_world(cls, config: str = "", user: str = "", settings: dict[str, str] | None = None) -> World:
        """A world that ends with the tests of the class; the server may have a configuration."""
        folder = tempfile.TemporaryDirectory(prefix="mesh-agent-")
        cls.addClassCleanup(folder.cleanup)
        arguments = []
        if config:
            path = Path(folder.name) / "server.conf"
            path.write_text(f"{config}\njetstream {{store_dir: '{folder.name}/data'}}\n", encoding="utf-8")
            arguments = ["--config", str(path)]
        world = World(folder.name, *arguments, user=user, settings=settings)
        cls.addClassCleanup(world.stop)
        return world

    async def asyncSetUp(self) -> None:
        """Connects a client, and a plain NATS client to look at what is on the wire."""
        # Starting programs takes a moment.
        asyncio.get_running_loop().slow_callback_duration = PATIENCE
        self.connection = Connection(url=self.world.url)
        mesh = mesh_agent.connect(connection=self.connection)
        self.mesh: Mesh = await mesh.__aenter__()
        self.addAsyncCleanup(mesh.__aexit__, None, None, None)
        self.nats = await nats.connect(self.world.url, error_cb=_ignore, max_reconnect_attempts=-1)
        self.addAsyncCleanup(self.nats.close)
        self.js = self.nats.jetstream()

    def agent(self, **settings: Any) -> Agent:
        """An agent of this world, to be given handlers and run by :meth:`serving`."""
        return Agent("tested", connection=self.connection, **settings)

    def worker(self, *arguments: str) -> Process:
        """An agent in a process of its own, which is up when this returns and ends with the test at the latest."""
        process = self.world.worker(*arguments)
        self.addCleanup(process.kill)
        process.until("ready")
        return process

    @contextlib.asynccontextmanager
    async def serving(self, *agents: Agent) -> AsyncIterator[None]:
        """Agents in this process."""
        stop = asyncio.Event()
        running = [asyncio.ensure_future(agent.serve(stop)) for agent in agents]
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.gather(*running), PATIENCE)

    async def output(self, workflow: str, input: Any = None) -> Any:
        """Starts a run and gives its output."""
        run = await self.mesh.start(workflow, input)
        return await run.result(PATIENCE)

    async def failure(self, workflow: str, input: Any = None) -> mesh_agent.RunFailed:
        """Starts a run that fails, and gives its error."""
        with self.assertRaises(mesh_agent.RunFailed) as failed:
            await self.output(workflow, input)
        return failed.exception

    async def impatient(self, capability: str, ack_wait: float = 1.0) -> None:
        """Makes the consumer of a capability, with agents that are given up after a short silence."""
        config = ConsumerConfig(
            durable_name=f"agent-{capability}-normal",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            filter_subject=f"mesh.task.created.{capability}.normal.>",
        )
        await self.js.add_consumer("MESH_TASKS", config)

    async def first(self, stream: str, subject: str) -> Any:
        """The first message of a stream on a subject, as soon as there is one."""
        messages = await self.js.subscribe(subject, stream=stream, ordered_consumer=True)
        try:
            return await messages.next_msg(PATIENCE)
        finally:
            await messages.unsubscribe()

    async def assigned(self, run: mesh_agent.Run, capability: str, delivery: int = 1) -> dict[str, Any]:
        """Waits until an agent has taken task `t` of a run, and gives the note's data."""
        subject = f"mesh.task.assigned.{capability}.normal.{run.id}.t.1.{delivery}"
        return json.loads((await self.first("MESH_NOTES", subject)).data)["data"]

    async def stored(self, stream: str, subject: str) -> list[Any]:
        """Everything that a stream holds on a subject now."""
        messages = await self.js.subscribe(subject, stream=stream, ordered_consumer=True)
        info = await messages.consumer_info()
        found = [
            await messages.next_msg(PATIENCE) for _ in range(info.num_pending + info.delivered.consumer_seq)
        ]
        await messages.unsubscribe()
        return found


async def _ignore(_error: Exception) -> None:
    """Servers come and go in tests."""
