"""Being known: the entry in the registry, and the events that go with it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from typing import Any

from . import envelope, names
from .context import Identity
from .envelope import dumps
from .errors import MeshError
from .store import store, structured

log = logging.getLogger("mesh_agent")

#: How long in seconds an agent that says nothing stays in the registry.
_TTL = 15
#: How often in seconds an agent renews its entry.
_HEARTBEAT = 5
#: How long in seconds the registry remembers that an agent is gone, for watchers that were away.
_MARKER_TTL = 600
#: Longest time in seconds that a stopping agent takes to leave the registry.
_GOODBYE = 2.0


async def keep_alive(identity: Identity, entry: dict[str, Any], farewell: asyncio.Event) -> None:
    """Registers the agent, renews its entry until `farewell`, and takes it out again. An agent that cannot register
    works all the same: nothing depends on the registry."""
    renewing = asyncio.ensure_future(_renew(identity, entry))
    try:
        await farewell.wait()
    finally:
        renewing.cancel()
    goodbye = asyncio.ensure_future(_say_goodbye(identity))
    if not (await asyncio.wait({goodbye}, timeout=_GOODBYE))[0]:
        goodbye.cancel()
        log.warning("the bus does not answer: the agent's entry stays in the registry until it expires")


async def _renew(identity: Identity, entry: dict[str, Any]) -> None:
    await _announce(identity, "registered", entry)
    said = False
    while True:
        try:
            await store(identity.link, _key(identity), dumps(entry), {"Nats-TTL": f"{_TTL}s"})
            said = False
        except MeshError as error:
            if not said:
                log.warning("the agent cannot be kept in the registry; it works all the same: %s", error)
                said = True
        subject, body, headers = _event(identity, "heartbeat", entry)
        await identity.link.send(subject, body, headers)
        await asyncio.sleep(_HEARTBEAT)


async def _say_goodbye(identity: Identity) -> None:
    await _announce(identity, "deregistered", {"agent": identity.agent, "reason": "stopped"})
    headers = {"KV-Operation": "DEL", "Nats-TTL": f"{_MARKER_TTL}s"}
    try:
        await store(identity.link, _key(identity), b"", headers)
    except MeshError as error:
        log.warning("the agent's entry stays in the registry until it expires: %s", error)


async def _announce(identity: Identity, verb: str, data: dict[str, Any]) -> None:
    subject, body, headers = _event(identity, verb, data)
    try:
        await store(identity.link, subject, body, headers)
    except MeshError as error:
        log.warning("agent.%s was not stored; nothing depends on it: %s", verb, error)


def _event(identity: Identity, verb: str, data: dict[str, Any]) -> tuple[str, bytes, dict[str, str]]:
    event = envelope.event(str(uuid.uuid4()), identity.source, f"agent.{verb}", data)
    return (f"{identity.link.namespace}.agent.{verb}.{identity.agent}", *structured(event))


def _key(identity: Identity) -> str:
    return f"$KV.{names.stream(identity.link.namespace, 'AGENTS')}.{identity.agent}"
