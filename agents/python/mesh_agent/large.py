"""Data that an event refers to instead of carrying it, because it is too large (`dataref` of CloudEvents)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from . import names, objects
from .envelope import Unreadable, dumps, loads
from .errors import LostData, Refused, TooLarge
from .link import Link
from .store import store

log = logging.getLogger("mesh_agent")

#: Largest JSON text in bytes that the input or output of a task or a run may have.
MAX_DATA = 16 * 1024 * 1024

_SCHEME = "nats-object:"
_REFERENCE = re.compile(r"nats-object:([^/#]+)/([^/#]+)\.([0-9a-f]{64})(?:#/([^/~%]+))?")
#: What of events of a type is kept elsewhere when it is large: a member of the data, or all of it.
_PARTS: dict[str, str | None] = {
    "workflow.requested": None,
    "task.requested": None,
    "workflow.started": "input",
    "task.created": "input",
    "task.completed": "output",
    "workflow.completed": "output",
}


class DataRef(NamedTuple):
    """Where data of an event is."""

    #: The object in the bucket of the namespace.
    object: str
    #: The member of the data that it is; none if it is all of it.
    member: str | None


def dataref(namespace: str, run: str, attributes: Mapping[str, Any], data: Any) -> DataRef | None:
    """Where data is that an event of a run does not carry; :class:`Unreadable` if it is nowhere that the mesh reads.

    An event that carries its data may name any place where the same can be had: that is not looked at.
    """
    text = attributes.get("dataref")
    if text is None or (data is not None and not str(text).startswith(_SCHEME)):
        return None
    match = _REFERENCE.fullmatch(str(text))
    if match is None:
        raise Unreadable(f"dataref: {text!r} is no reference that the mesh can follow")
    bucket, owner, digest, member = match.groups()
    if bucket != names.stream(namespace, "OBJECTS"):
        raise Unreadable(f"dataref: {text!r} is in another bucket than that of the namespace")
    if owner != run:
        raise Unreadable(f"dataref: the object does not belong to run {run}")
    return DataRef(f"{owner}.{digest}", member)


async def whole(link: Link, run: str, attributes: Mapping[str, Any], data: Any) -> Any:
    """The data of an event of a run, wherever it is; :class:`LostData` if it is nowhere."""
    reference = dataref(link.namespace, run, attributes, data)
    if reference is None:
        return data
    content = await objects.get(link, reference.object)
    if len(content) > MAX_DATA:
        raise LostData(f"object {reference.object} has {len(content)} bytes, and data at most {MAX_DATA}")
    try:
        value = loads(content)
    except Unreadable as error:
        raise LostData(f"object {reference.object}: {error}") from None
    if reference.member is None:
        return value
    if data is not None and (not isinstance(data, dict) or reference.member in data):
        raise Unreadable(f"dataref: the data has no place for a member {reference.member!r}")
    return {**(data or {}), reference.member: value}


async def store_event(
    link: Link, subject: str, body: bytes, headers: Mapping[str, str], *, run: str, once: bool = False
) -> None:
    """Stores an event of a run, or the request for one, as :func:`store` does. What is too large for the event to carry is
    stored first, as an object of the run.

    The event carries its data all the same, as far as servers take it, where this user may not write objects or there is
    no bucket for them yet.
    """
    if len(body) > link.max_inline:
        body = await _by_reference(link, run, subject, body)
    await store(link, subject, body, headers, once=once)


async def _by_reference(link: Link, run: str, subject: str, body: bytes) -> bytes:
    event = json.loads(body)
    type, rest = event["type"], event.pop("data")
    if type not in _PARTS:
        return body
    member = _PARTS[type]
    content = dumps(rest if member is None else rest.pop(member))
    if len(content) > MAX_DATA:
        raise TooLarge(f"{len(content)} bytes of JSON, and at most {MAX_DATA} are allowed")
    try:
        name = await objects.put(link, run, content)
    except Refused as error:
        log.debug("no object can be written, and %s carries its data: %s", subject, error)
        return body
    fragment = "" if member is None else f"#/{member}"
    event["dataref"] = f"{_SCHEME}{names.stream(link.namespace, 'OBJECTS')}/{name}{fragment}"
    return dumps(event if member is None else {**event, "data": rest})
