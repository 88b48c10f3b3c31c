"""A process that does tasks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
import uuid
from typing import Any, Callable, TypeVar

from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from . import names, registry
from .context import Identity
from .envelope import dumps
from .errors import ConnectError, MeshError, SettingError
from .handler import Handler, adapt
from .link import Link, quietly
from .observe import Endpoint, place
from .secret import Secrets
from .settings import Connection
from .tracing import LogFormatter
from .worker import Worker

log = logging.getLogger("mesh_agent")
F = TypeVar("F", bound=Callable[..., Any])

#: Seconds that leaving `$SRV` may take.
_LEAVE = 1.0


class Agent:
    """An agent: handlers for capabilities, and everything around them.

    ::

        agent = Agent("greeter")

        @agent.capability("greeter")
        async def greet(ctx, input):
            return f"Hello, {input['name']}"

        agent.run()
    """

    def __init__(
        self,
        type: str,
        *,
        capacity: int = 10,
        version: str = "0.1.0",
        id: str | None = None,
        drain_timeout: float = 25.0,
        connection: Connection | None = None,
        secrets: Secrets | None = None,
        observe: str | None = None,
    ) -> None:
        """`type` is the same for every process of one deployment.

        :param capacity: How many tasks of each capability run at once. Each capability has room of its own, so that a
            backlog of one never delays another.
        :param version: Version of the agent, a semantic version.
        :param id: Name of this process, unlike that of any other; else the type and eight random digits.
        :param drain_timeout: Seconds that running tasks get to end when the agent is stopped. What does not end is
            handed to other agents.
        :param connection: How to connect; what is not given is taken from the environment.
        :param secrets: Where the secrets are that tasks refer to; else as the environment says.
        :param observe: Where to tell metrics and health: an address with a port, or `off`; else as `MESH_OBSERVE` says.

        Raises :class:`SettingError` if one of them cannot be.
        """
        self._type = names.name("agent type", type)
        self._id = names.name("agent id", id or f"{type}-{uuid.uuid4().hex[:8]}")
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise SettingError(
                f"capacity is {capacity!r}: give the number of tasks that may run at once, from 1"
            )
        if not drain_timeout >= 0:
            raise SettingError(f"drain_timeout is {drain_timeout!r}: give a number of seconds from 0")
        try:
            ServiceConfig(name=type, version=version)
        except (ValueError, TypeError):
            raise SettingError(f"version is {version!r}: give a semantic version such as '1.2.3'") from None
        self._capacity = capacity
        self._version = version
        self._drain = drain_timeout
        self._connection = connection or Connection()
        self._secrets = secrets or Secrets()
        self._observe = place(observe)
        self._handlers: dict[str, Handler] = {}
        #: The port of the endpoint for metrics and health, once it is open.
        self.observed_port: int | None = None

    @property
    def id(self) -> str:
        """Name of this process."""
        return self._id

    def capability(self, name: str) -> Callable[[F], F]:
        """Makes a function the handler of a capability: `async def` or plain, of `(ctx, input)`.

        A plain function runs in a thread of its own. The input is read as the type that the second parameter is
        annotated with (see :func:`mesh_agent.typed.reader`); one that does not fit is a fatal failure with the code
        `invalid_input`. The result is written as JSON, or is an :class:`Output`.

        Raises :class:`SettingError` if the name cannot be one, has a handler already, or the function cannot be one.
        """
        names.name("capability", name)

        def decorate(function: F) -> F:
            if name in self._handlers:
                raise SettingError(f"the capability {name!r} has two handlers: give one of them another name")
            self._handlers[name] = adapt(function)
            return function

        return decorate

    def run(self) -> None:
        """Runs the agent until the process is asked to stop by SIGTERM or Ctrl-C, then lets running tasks end.

        Logs to stderr unless logging is set up already. An agent that cannot start, or loses its server for good, says
        why and ends the process with the code 1.
        """
        try:
            lines = logging.StreamHandler()
            lines.setFormatter(LogFormatter())
            logging.basicConfig(level=logging.INFO, handlers=[lines])
            asyncio.run(self._run())
        except MeshError as error:
            raise SystemExit(f"agent {self._type}: {error}") from None

    async def serve(self, stop: asyncio.Event) -> None:
        """Runs the agent until `stop` is set, then lets running tasks end.

        Raises :class:`MeshError` if no capability was given, NATS cannot be reached, or the server ends the connection
        for good.
        """
        if not self._handlers:
            raise SettingError("the agent has no capabilities: add one with @agent.capability(…)")
        link = await Link.open(self._connection, self._id)
        try:
            identity = Identity(link, self._id, self._type, self._secrets)
            endpoint = await self._open(identity)
            service = await self._announce(identity)
            farewell = asyncio.Event()
            heartbeat = asyncio.ensure_future(registry.keep_alive(identity, self._entry(), farewell))
            try:
                await self._work(identity, stop)
            finally:
                # Heartbeats go on while the last tasks end.
                farewell.set()
                await quietly(heartbeat)
                if endpoint is not None:
                    endpoint.close()
            await asyncio.wait({asyncio.ensure_future(quietly(service.stop()))}, timeout=_LEAVE)
            log.info("agent %s stopped", self._id)
        finally:
            await link.close()

    async def _announce(self, identity: Identity) -> Service:
        """Makes the process visible as a NATS service, which says how it is in the statistics of its endpoint."""
        link = identity.link

        def report() -> dict[str, Any]:
            return {**self._entry(), "problems": problems(identity)}

        async def tell(request: Request) -> None:
            await request.respond(dumps(report()))

        config = ServiceConfig(
            self._type, self._version, "agent of the mesh", stats_handler=lambda _: report()
        )
        service = Service(link.client, config)
        await service.start()
        subject = f"{link.namespace}.service.state.{self._type}"
        await service.add_endpoint(EndpointConfig(name="state", handler=tell, subject=subject))
        return service

    async def _open(self, identity: Identity) -> Endpoint | None:
        """Opens the endpoint where the agent tells how it is, if it is to have one."""
        if self._observe is None:
            return None
        link, figures = identity.link, identity.figures

        def metrics() -> str:
            now = {"mesh_nats_up": int(link.lost_at is None), "mesh_nats_reconnects_total": link.returns}
            return figures.text({**now, "mesh_problems": len(problems(identity))})

        endpoint = Endpoint(metrics, lambda: problems(identity))
        await endpoint.open(self._observe)
        self.observed_port = endpoint.port
        return endpoint

    async def _run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(name, stop.set)
            except NotImplementedError:
                # Not on Windows.
                signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop.set))
        await self.serve(stop)

    async def _work(self, identity: Identity, stop: asyncio.Event) -> None:
        """Works until `stop`, the loss of the connection for good, or a defect."""
        ending = asyncio.Event()
        workers = [
            asyncio.ensure_future(Worker(identity, name, handler, self._capacity, self._drain).run(ending))
            for name, handler in self._handlers.items()
        ]
        stopped = asyncio.ensure_future(stop.wait())
        closed = asyncio.ensure_future(identity.link.closed.wait())
        log.info("agent %s ready: %s", self._id, ", ".join(self._handlers))
        try:
            await asyncio.wait({stopped, closed, *workers}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                raise ConnectError(f"the NATS server ended the connection: {identity.link.why_closed}")
            ending.set()
            # One that died does not keep the others from finishing.
            await asyncio.wait(workers)
            await asyncio.gather(*workers)
        finally:
            for task in (stopped, closed, *workers):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*workers, return_exceptions=True)

    def _entry(self) -> dict[str, Any]:
        return {
            "agent": self._id,
            "type": self._type,
            "capabilities": sorted(self._handlers),
            "capacity": self._capacity * len(self._handlers),
            "version": self._version,
        }


def problems(identity: Identity) -> list[str]:
    """What is wrong with an agent, one thing each; nothing if all is well."""
    lost = identity.link.lost_at
    told = [] if lost is None else [f"no connection to NATS for {int(time.monotonic() - lost)} s"]
    workless = sorted(identity.figures.workless.items())
    return told + [f"no source of work for capability {name}: {why}" for name, why in workless]
