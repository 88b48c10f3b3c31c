"""Reading a stream in order."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator
from typing import Any

from nats.aio.msg import Msg

from . import names
from .errors import Refused, Unavailable
from .link import Link
from .pull import Pull

#: Messages under way to a reader: enough that it never waits for the next request.
_IN_FLIGHT = 256
#: Seconds that the server keeps the consumer of a reader that went away.
_INACTIVE = 30
#: Seconds before the server is asked again.
_RETRY_PAUSE = 0.25
_SECOND = 1_000_000_000


async def read(link: Link, stream: str, filters: list[str]) -> AsyncGenerator[Msg, None]:
    """Reads the messages of a stream in order, each once, with a consumer of its own that is made anew whenever it is
    lost."""
    name, last = names.stream(link.namespace, stream), 0
    while True:
        config: dict[str, Any] = {
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence" if last else "all",
            "filter_subjects": filters,
            "inactive_threshold": _INACTIVE * _SECOND,
            "num_replicas": 1,
            "mem_storage": True,
        }
        config.update({"opt_start_seq": last + 1} if last else {})
        try:
            made = await link.api(f"CONSUMER.CREATE.{name}", {"stream_name": name, "config": config})
        except Unavailable:
            await asyncio.sleep(_RETRY_PAUSE)
            continue
        received: asyncio.Queue[Msg] = asyncio.Queue()
        room = functools.partial(_room, received)
        pull = Pull(link, name, made["name"], _INACTIVE, room, received.put_nowait)
        pulling = asyncio.ensure_future(pull.run())
        position = 0
        try:
            while True:
                next = asyncio.ensure_future(received.get())
                await asyncio.wait({next, pulling}, return_when=asyncio.FIRST_COMPLETED)
                if not next.done():
                    next.cancel()
                    break
                message = next.result()
                if message.metadata.sequence.consumer != position + 1:
                    # One was lost on the way.
                    break
                position, last = position + 1, message.metadata.sequence.stream
                yield message
                pull.nudge()
            if pulling.done() and link.client.is_closed:
                raise Refused(f"the connection is closed: {link.why_closed}")
        finally:
            pulling.cancel()
            await pull.stop()


def _room(received: asyncio.Queue[Msg]) -> int:
    return _IN_FLIGHT - received.qsize()
