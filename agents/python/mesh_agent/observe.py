"""The endpoint where an agent tells how it is: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable

from .errors import SettingError

log = logging.getLogger("mesh_agent")

#: Most connections at once: more than a collector and a supervisor need.
_MOST_CONNECTIONS = 32
#: Seconds that all of a request and its answer may take.
_CONNECTION = 15.0
#: Most bytes of a request's first line.
_MOST_BYTES = 8 * 1024
#: What the metrics mean that are told here: kind and help, by name.
_METRICS = {
    "mesh_agent_tasks_running": ("gauge", "Tasks that the agent has in hand."),
    "mesh_agent_capacity": ("gauge", "Tasks that the agent does at once."),
    "mesh_agent_redeliveries_total": ("counter", "Tasks that came once more."),
    "mesh_agent_outcomes_total": ("counter", "Outcomes that the agent stored: `completed` or `failed`."),
    "mesh_nats_up": ("gauge", "1 while the process is connected to NATS, else 0."),
    "mesh_nats_reconnects_total": (
        "counter",
        "How often the connection to NATS was lost and made again.",
    ),
    "mesh_problems": ("gauge", "What is wrong with the process; `/readyz` says it in words."),
}


class Figures:
    """What an agent counts of itself. Each key is a name and its labels, in order."""

    def __init__(self) -> None:
        """All is nothing."""
        self._values: Counter[tuple[str, str]] = Counter()
        #: Why a capability has no source of work, by the capability.
        self.workless: dict[str, str] = {}

    def add(self, name: str, change: int, **labels: str) -> None:
        """So much more, or less."""
        told = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
        self._values[name, f"{{{told}}}" if told else ""] += change

    def text(self, now: dict[str, int]) -> str:
        """All of it as Prometheus reads it, with what is so now."""
        lines: list[str] = []
        for name, (kind, means) in _METRICS.items():
            samples = [(labels, value) for (of, labels), value in sorted(self._values.items()) if of == name]
            if name in now:
                samples.append(("", now[name]))
            if samples:
                lines += [f"# HELP {name} {means}", f"# TYPE {name} {kind}"]
                lines += [f"{name}{labels} {value}" for labels, value in samples]
        return "".join(f"{line}\n" for line in lines)


def place(given: str | None) -> tuple[str, int] | None:
    """Where to listen, as given or as `MESH_OBSERVE` says; none for nowhere.

    Raises :class:`SettingError` if it is no address with a port.
    """
    text = given if given is not None else os.environ.get("MESH_OBSERVE", "")
    if text in ("", "off"):
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise SettingError(
            f"observe is {text!r}: give an address with a port, such as '127.0.0.1:9465', or 'off'"
        )
    return host.strip("[]"), int(port)


class Endpoint:
    """Tells how the agent is to whoever asks."""

    def __init__(self, metrics: Callable[[], str], problems: Callable[[], list[str]]) -> None:
        """Nothing listens before :meth:`open`."""
        self._metrics = metrics
        self._problems = problems
        self._server: asyncio.Server | None = None
        self._connections = 0
        #: The port that it listens on.
        self.port = 0

    async def open(self, where: tuple[str, int]) -> None:
        """Listens. Raises :class:`SettingError` if the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._on_connection, *where, limit=_MOST_BYTES)
        except OSError as error:
            told = f"metrics and health cannot be told at {where[0]}:{where[1]}: {error}"
            raise SettingError(told) from None
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("metrics and health are told at port %s: /metrics, /healthz, /readyz", self.port)

    def close(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _MOST_CONNECTIONS:
                # Whoever goes away or is slow has no answer; nobody else is kept waiting.
                with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
                    await asyncio.wait_for(self._answer(reader, writer), _CONNECTION)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).decode("latin-1").split()
        while (await reader.readline()).strip():
            pass
        status, body = self._say(*words[:2]) if len(words) == 3 else ("400 Bad Request", "")
        version = "version=0.0.4; " if _path(words[1] if len(words) > 1 else "") == "/metrics" else ""
        content = body.encode()
        head = [
            f"HTTP/1.1 {status}",
            f"Content-Type: text/plain; {version}charset=utf-8",
            f"Content-Length: {len(content)}",
            "Connection: close",
        ]
        if status.startswith("405"):
            head.append("Allow: GET, HEAD")
        writer.write("\r\n".join([*head, "", ""]).encode() + (b"" if words[:1] == ["HEAD"] else content))
        await writer.drain()

    def _say(self, method: str, target: str) -> tuple[str, str]:
        path = _path(target)
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "use GET\n"
        if path == "/metrics":
            return "200 OK", self._metrics()
        if path == "/healthz":
            return "200 OK", "alive\n"
        if path == "/readyz":
            problems = self._problems()
            if problems:
                return "503 Service Unavailable", "\n".join(problems) + "\n"
            return "200 OK", "ready\n"
        return "404 Not Found", "there are /metrics, /healthz and /readyz\n"


def _path(target: str) -> str:
    """What is asked for, without the query that some collectors add."""
    return target.partition("?")[0]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
