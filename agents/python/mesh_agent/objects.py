"""Objects of runs: content that is too large for a message, in the bucket of objects of the namespace.

The layout is that of NATS object stores (ADR-20), so `nats object get` and nats-py read them. The chunks stand on subjects
that begin with the run, so that they can be removed with it; a put of nats-py chooses others.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import uuid
from collections.abc import Awaitable
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, TypeVar

from . import envelope, names
from .envelope import dumps, lower
from .errors import LostData, MeshError, Refused, Unavailable
from .link import ApiError, Link, NoResponders, Stored, read_answer

T = TypeVar("T")

#: Largest content of an object in bytes: what reads one holds all of it in memory.
MAX_OBJECT = 64 * 1024 * 1024

#: Bytes of an object that one message holds, where servers take that much.
_CHUNK = 512 * 1024
#: Bytes that one request is answered with at most.
_PAGE = 8 * 1024 * 1024
#: Age from which on an object that is put again counts as new, so that housekeeping leaves it alone.
_RENEWED_AFTER = timedelta(hours=1)
_FIRST = "mesh-first-chunk"


async def put(link: Link, run: str, content: bytes) -> str:
    """Keeps content as an object of a run and gives its name. Content that the run has already is not stored again."""
    digest = hashlib.sha256(content)
    name = f"{run}.{digest.hexdigest()}"
    described = await _described(link, name)
    if described is not None:
        info = _read_info(described)
        if info is not None and await _is_whole(link, info):
            if datetime.now(timezone.utc) - _time(described) > _RENEWED_AFTER:
                await _describe(link, name, info)
            return name
    nuid = f"{name}.{uuid.uuid4().hex}"
    size = max(1, min(_CHUNK, link.client.max_payload))
    # Empty content is one empty chunk.
    chunks = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    first = await _store_chunks(link, f"{_subject(link, 'C')}.{nuid}", chunks)
    info = {
        "name": name,
        "bucket": names.stream(link.namespace, "OBJECTS"),
        "nuid": nuid,
        "size": len(content),
        "chunks": len(chunks),
        "digest": f"SHA-256={base64.urlsafe_b64encode(digest.digest()).decode()}",
        "mtime": datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "metadata": {_FIRST: str(first)},
        "options": {"max_chunk_size": size},
    }
    await _describe(link, name, info)
    return name


async def _store_chunks(link: Link, subject: str, chunks: list[bytes]) -> int:
    """Stores the parts of an object, and gives the sequence of the first."""
    first = 0
    try:
        # One after the other: readers take them in the order of the stream.
        for chunk in chunks:
            sequence = await _store(link, subject, chunk)
            first = first or sequence
    except MeshError:
        # As far as that can be done: what stays goes with the run, but each further try would add to it.
        with contextlib.suppress(MeshError):
            await link.api(f"STREAM.PURGE.{_stream(link)}", {"filter": subject})
        raise
    return first


async def get(link: Link, name: str) -> bytes:
    """The content of an object; :class:`LostData` if it is not there, or not what its name says, by the word of whoever
    must know."""
    described = await _described(link, name)
    if described is None:
        if await link.leader_has(_stream(link), _description(link, name)):
            raise Unavailable(f"the answering server does not have object {name} yet")
        raise LostData(f"object {name} is not there")
    info = _read_info(described)
    if info is None:
        raise LostData(f"object {name} is damaged: its description is unreadable")
    if info.get("deleted"):
        raise LostData(f"object {name} is not there")
    if info["size"] > MAX_OBJECT:
        raise LostData(f"object {name} has {info['size']} bytes, and at most {MAX_OBJECT} are allowed")
    content = await _content(link, info)
    if len(content) < info["size"]:
        # A server that is behind may lack what the others have.
        if await _is_whole(link, info):
            raise Unavailable(f"the answering server does not have all of object {name} yet")
        raise LostData(f"object {name} is damaged: {len(content)} of its {info['size']} bytes are there")
    if hashlib.sha256(content).hexdigest() != name.rsplit(".", 1)[1]:
        raise LostData(f"object {name} is damaged: its content is another than its name says")
    return content


async def _content(link: Link, info: dict[str, Any]) -> bytes:
    first = (info.get("metadata") or {}).get(_FIRST, "")
    content, at = bytearray(), int(first) if first.isdigit() else 1
    subject = f"{_subject(link, 'C')}.{info['nuid']}"
    while len(content) < info["size"]:
        request = {"next_by_subj": subject, "seq": at, "batch": info["chunks"], "max_bytes": _PAGE}
        chunks = await link.direct_get_many(_stream(link), request)
        if not chunks:
            break
        for chunk in chunks:
            content += chunk.data
        at = chunks[-1].sequence + 1
    return bytes(content)


async def _described(link: Link, name: str) -> Stored | None:
    """What is written down of an object. :class:`Refused` if there is no bucket, or this user may not read it."""
    stream = _stream(link)
    arguments = {"last_by_subj": _description(link, name)}
    try:
        return await _allowed(
            link, f"$JS.API.DIRECT.GET.{stream}", lambda: link.direct_get(stream, arguments)
        )
    except NoResponders:
        # A definite answer, if there is no such stream.
        await link.api(f"STREAM.INFO.{stream}")
        raise


async def _allowed(link: Link, subject: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Asks on a subject; :class:`Refused` if this user may not."""
    try:
        if not link.is_denied(subject):
            return await ask()
    except Unavailable:
        # The server says it beside the answers, which are waited for in vain.
        if not link.is_denied(subject):
            raise
    raise Refused(f"this user may not publish on {subject}: give the user that permission on the NATS server")


def _read_info(described: Stored) -> dict[str, Any] | None:
    try:
        info = json.loads(described.data)
        usable = isinstance(info["nuid"], str) and info["size"] >= 0 and info["chunks"] >= 0
    except (ValueError, TypeError, KeyError):
        return None
    return info if usable else None


def _time(described: Stored) -> datetime:
    return envelope.time(lower(described.headers).get("nats-time-stamp"))


async def _is_whole(link: Link, info: dict[str, Any]) -> bool:
    """Whether all chunks of an object are there, by the leader of the stream."""
    subject = f"{_subject(link, 'C')}.{info['nuid']}"
    answer = await link.api(f"STREAM.INFO.{_stream(link)}", {"subjects_filter": subject})
    held = (answer["state"].get("subjects") or {}).get(subject, 0)
    return not info.get("deleted") and held == info["chunks"]


async def _describe(link: Link, name: str, info: dict[str, Any]) -> None:
    await _store(link, _description(link, name), dumps(info), {"Nats-Rollup": "sub"})


async def _store(link: Link, subject: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    answer = await _allowed(link, subject, lambda: link.request(subject, body, headers))
    return int(read_answer(f"store {subject}", answer)["seq"])


def _stream(link: Link) -> str:
    return f"OBJ_{names.stream(link.namespace, 'OBJECTS')}"


def _subject(link: Link, kind: str) -> str:
    return f"$O.{names.stream(link.namespace, 'OBJECTS')}.{kind}"


def _description(link: Link, name: str) -> str:
    return f"{_subject(link, 'M')}.{base64.urlsafe_b64encode(name.encode()).decode()}"
