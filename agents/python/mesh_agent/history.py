"""What is archived of runs that have ended, and was removed from the log."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from nats.aio.msg import Msg

from . import envelope, names
from .link import NO_MESSAGE, ApiError, Link
from .reader import read as read_stream

#: Seconds without a message before it is asked whether there is one.
_PATIENCE = 5
_NO_STREAM = 10059


class Archived(NamedTuple):
    """An event as it stood in the log."""

    subject: str
    sequence: int
    time: datetime
    headers: Mapping[str, str]
    data: bytes


async def read(link: Link, run: str) -> list[Archived]:
    """The archived events of a run in the order of the log; none if it is not archived, or not kept any more."""
    kinds = ("history", "history.late")
    subjects = [f"{link.namespace}.{kind}.*.*.{run}" for kind in kinds]
    last = max([await _last(link, subject) for subject in subjects])
    if last == 0:
        return []
    pieces: dict[int, list[dict[str, Any]]] = {}
    parts: set[int] = set()
    complete = False
    messages = read_stream(link, "HISTORY", subjects)
    try:
        while (message := await _next(messages, link, subjects, last)) is not None:
            data = _data(message)
            if data.get("part"):
                parts.add(data["part"])
                complete = complete or bool(data.get("complete"))
            for piece in data.get("events", []):
                if piece["stream"] == "events":
                    pieces.setdefault(piece["sequence"], []).append(piece)
            if message.metadata.sequence.stream >= last:
                break
    finally:
        await messages.aclose()
    # What came late is only there if the rest was, which may have been dropped since.
    if parts and not (complete and len(parts) == max(parts)):
        return []
    events: dict[str, Archived] = {}
    for _, cut in sorted(pieces.items()):
        event = _join(sorted(cut, key=lambda piece: piece.get("offset", 0)))
        if event is not None:
            # A subject stands for one fact: what was stored on it first.
            events.setdefault(event.subject, event)
    return list(events.values())


async def _last(link: Link, subject: str) -> int:
    """The sequence of the last message on a subject, by the leader of the stream; 0 if there is none."""
    stream = names.stream(link.namespace, "HISTORY")
    try:
        found = await link.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
    except ApiError as error:
        if error.code in (NO_MESSAGE, _NO_STREAM):
            return 0
        raise
    return int(found["message"]["seq"])


async def _next(messages: AsyncGenerator[Msg, None], link: Link, subjects: list[str], last: int) -> Msg | None:
    """The next message; none if there is none any more, as the last one was dropped meanwhile."""
    next = asyncio.ensure_future(messages.__anext__())
    while True:
        done, _ = await asyncio.wait({next}, timeout=_PATIENCE)
        if done:
            return next.result()
        if max([await _last(link, subject) for subject in subjects]) < last:
            next.cancel()
            await asyncio.wait({next})
            return None


def _data(message: Msg) -> dict[str, Any]:
    try:
        data = envelope.decode(message.headers, message.data).data
    except envelope.Unreadable:
        return {}
    return data if isinstance(data, dict) else {}


def _join(pieces: list[dict[str, Any]]) -> Archived | None:
    body, whole = b"", False
    for piece in pieces:
        there = len(body) - piece.get("offset", 0)
        if there < 0:
            return None
        encoded = piece.get("body_base64")
        content = base64.b64decode(encoded) if encoded is not None else piece.get("body", "").encode()
        body += content[there:]
        whole = whole or not piece.get("continues")
    if not whole:
        return None
    first = pieces[0]
    headers = {name: value for name, value in first.get("headers", [])}
    return Archived(first["subject"], first["sequence"], envelope.time(first["time"]), headers, body)
