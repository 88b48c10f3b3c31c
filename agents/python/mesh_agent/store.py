"""Storing messages, until it is known that they are stored."""

from __future__ import annotations

import asyncio
import enum
import functools
import logging
import re
from collections.abc import Awaitable, Mapping
from datetime import datetime, timezone
from typing import Any, Callable
from urllib.parse import quote

from . import names
from .envelope import STRUCTURED, Trace, Unreadable, decode, dumps, lower
from .errors import Refused, TooLarge, Unavailable
from .link import ApiError, Link, NoResponders, Stored, read_answer

log = logging.getLogger("mesh_agent")

#: Seconds before a message that was not stored is sent again for the first time; it doubles from there.
_FIRST_PAUSE = 0.02
#: Longest pause in seconds: short, as whoever waits for the message has waited long already.
_LONGEST_PAUSE = 1.0
#: Store only if the subject holds nothing.
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
#: Longest error text in a dead letter, in bytes: headers are for a glance, and count towards a message's size.
_MAX_ERROR = 1024
#: Headers that can be sent again.
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_WRONG_LAST_SEQUENCE = 10071
_TOO_LARGE = (10054, 10097)
# Another message on the subject is in flight, or the subject or the account is full: the next try tells.
_NOT_NOW = (10164, 10077, 10167, 10002)


class DeadEnd(enum.Enum):
    """Each place where work is given up, with the reason. Tests lead a task into each."""

    TASK_SUBJECT = ("malformed", "The subject has a token that is no name.")
    TASK_TYPE = ("unknown_type", "The subject is not that of work.")
    UNREADABLE_TASK = ("malformed", "The work cannot be read.")
    POISON_TASK = ("poison", "The work was lost as often as is allowed.")
    LARGE_OUTCOME = ("too_large", "No outcome can be stored, not even that it is too large.")

    def __init__(self, reason: str, meaning: str) -> None:
        """The reason is stable and short."""
        self.reason = reason
        self.meaning = meaning


async def store(
    link: Link, subject: str, body: bytes, headers: Mapping[str, str] | None = None, *, once: bool = False
) -> None:
    """Stores a message; `once` only if its subject holds none yet, and then one that is there is as good as stored.

    Raises :class:`Unavailable` (it may be stored or not, and sending it again is safe), :class:`TooLarge` or
    :class:`Refused`.
    """
    whole = {**(headers or {}), **({_EXPECTED: "0"} if once else {})}
    operation = f"store {subject}"
    try:
        read_answer(operation, await link.request(subject, body, whole))
    except NoResponders:
        # Nobody listens: no stream has the subject, or JetStream is not ready. Only a definite answer makes it the former.
        streams = await link.api("STREAM.NAMES", {"subject": subject})
        if not streams.get("total"):
            raise Refused(f"no stream takes the subject {subject!r}") from None
        raise
    except ApiError as error:
        if once and error.code == _WRONG_LAST_SEQUENCE:
            return
        if error.code in _TOO_LARGE:
            raise TooLarge(str(error)) from None
        if error.code in _NOT_NOW:
            raise Unavailable(str(error)) from None
        raise


async def until_stored(subject: str, storing: Callable[[], Awaitable[None]]) -> None:
    """Repeats what stores a message on a subject, however long that takes. Raises only :class:`TooLarge`."""
    pause = _FIRST_PAUSE
    while True:
        try:
            return await storing()
        except TooLarge:
            raise
        except Unavailable as error:
            log.debug("%s is not stored yet: %s", subject, error)
        except Refused as error:
            log.warning("%s is not stored, trying again until it is mended: %s", subject, error)
            pause = _LONGEST_PAUSE
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, 2 * pause)


def structured(event: dict[str, Any], hop: Trace | None = None) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an event; `hop` is the trace of whoever sends it."""
    return dumps(event), {"content-type": STRUCTURED, **(hop.attributes() if hop else {})}


async def dead_letter(link: Link, end: DeadEnd, message: Stored, error: str) -> None:
    """Puts a message of the stream of tasks among the dead letters, however long that takes, with the reason.

    The letter is a CloudEvent in binary mode: its body is the message, byte by byte, and the message's own headers
    stand beside the letter's. One that would be too large refers to the message instead.
    """
    reason = end.reason
    log.warning("dead letter: %s: %s: %s", message.subject, reason, error)
    id = f"{names.stream(link.namespace, 'TASKS')}/{message.sequence}"
    subject = f"{link.namespace}.dead.tasks.{reason}"
    attributes = {
        "specversion": "1.0",
        "id": id,
        "source": f"/{link.namespace}",
        "type": "dead",
        "subject": message.subject,
        "time": datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "stream": "tasks",
        "sequence": str(message.sequence),
        "reason": reason,
        "error": error.encode()[:_MAX_ERROR].decode("utf-8", "ignore"),
    }
    whole = {**_letter_headers(attributes, message), "Nats-Msg-Id": id}
    reference = {**_binary({**attributes, "dataref": f"nats:{id}"}), "Nats-Msg-Id": id}
    for headers, body in ((whole, message.data), (reference, b"")):
        try:
            return await until_stored(subject, functools.partial(store, link, subject, body, headers))
        except TooLarge as too_large:
            log.debug("a dead letter is too large: %s", too_large)
    log.warning("the dead letter about %s cannot be stored", message.subject)


def _letter_headers(attributes: dict[str, str], message: Stored) -> dict[str, str]:
    attributes = dict(attributes)
    known = lower(message.headers)
    if "content-type" in known:
        attributes["datacontenttype"] = known["content-type"]
    try:
        original = decode(message.headers, message.data).attributes
    except Unreadable:
        original = {}
    attributes.update({name: original[name] for name in ("correlationid", "causationid") if name in original})
    own = {}
    for name, value in message.headers.items():
        # Not those that steer the server. Ours take the place of the attributes of an event in binary mode.
        if not name.lower().startswith("nats-") and _HEADER_NAME.fullmatch(name):
            own[f"original-{name.lower()}" if name.lower().startswith("ce-") else name] = value
    return {**own, **_binary(attributes)}


def _binary(attributes: dict[str, str]) -> dict[str, str]:
    """Attributes as headers: what is not printable ASCII, and `\"` and `%`, is percent-encoded."""
    safe = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
    return {f"ce-{name}": quote(value, safe=safe) for name, value in attributes.items()}
