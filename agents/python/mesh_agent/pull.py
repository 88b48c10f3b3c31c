"""Receiving from a pull consumer (NATS ADR-37): asks for exactly as many messages as there is room for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import Callable

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from .envelope import dumps, lower
from .errors import MeshError
from .link import ApiError, Link, quietly

log = logging.getLogger("mesh_agent")

#: Longest time in seconds between two signs that the server still knows of a request.
_HEARTBEAT = 5.0
#: Shortest and longest time in seconds that the server keeps a request; between them it is the consumer's `ack_wait`.
_EXPIRES = (1.0, 30.0)
#: Pause in seconds after the server refused a request, so that a standing refusal costs little.
_REFUSED_PAUSE = 0.1
#: Seconds that a stopping receiver waits for what is on its way.
_STOP_TIME = 1.0
_SECOND = 1_000_000_000

#: The consumer, or its stream, does not exist.
GONE = (10014, 10059, 10149)


class Pull:
    """Messages of one consumer, handed to `take` as they come, at most `room()` at a time."""

    def __init__(
        self,
        link: Link,
        stream: str,
        consumer: str,
        ack_wait: float,
        room: Callable[[], int],
        take: Callable[[Msg], None],
    ) -> None:
        """`ack_wait` is the consumer's, in seconds; `take` must not wait."""
        self._link = link
        self._place = f"{stream}.{consumer}"
        self._expires = min(max(ack_wait, _EXPIRES[0]), _EXPIRES[1])
        # The server demands at most half of the request's time.
        self._heartbeat = min(_HEARTBEAT, self._expires * 2 / 5)
        self._room = room
        self._take = take
        self._inbox: Subscription | None = None
        #: Asked for and not here yet.
        self._outstanding = 0
        self._lost = False
        self._refused = False
        self._heard = 0.0
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """There is more room."""
        self._wake.set()

    async def run(self) -> None:
        """Receives until the consumer is gone."""
        self._link.on_return.append(self._reconnected)
        try:
            await self._renew()
            while True:
                self._wake.clear()
                if self._refused:
                    await asyncio.sleep(_REFUSED_PAUSE)
                    if not await self._is_there():
                        return
                if self._refused or self._lost:
                    await self._renew()
                await self._ask()
                if not await self._woken():
                    log.debug("no word of a pull request at %s", self._place)
                    self._lost = True
        finally:
            self._link.on_return.remove(self._reconnected)

    async def stop(self) -> None:
        """Tells the server to send nothing more, and takes what it had sent by then."""
        if self._inbox is not None:
            # Not cancelled when it takes too long: the client library takes that badly.
            drain: Callable[[], Awaitable[None]] = self._inbox.drain
            await asyncio.wait({asyncio.ensure_future(quietly(drain()))}, timeout=_STOP_TIME)

    async def _woken(self) -> bool:
        """Waits for something to do; false if the server has not said a word of a request for too long."""
        loop = asyncio.get_running_loop()
        while True:
            silence = self._heard + 2 * self._heartbeat - loop.time() if self._outstanding else None
            if silence is not None and silence <= 0:
                return False
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), silence)
                return True

    async def _ask(self) -> None:
        """Sends one request for everything that there is room for and that was not asked for."""
        batch = self._room() - self._outstanding
        if batch <= 0 or self._inbox is None:
            return
        if self._outstanding == 0:
            self._heard = asyncio.get_running_loop().time()
        self._outstanding += batch
        ask = {
            "batch": batch,
            "expires": int(self._expires * _SECOND),
            "idle_heartbeat": int(self._heartbeat * _SECOND),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._place}"
        try:
            await self._link.client.publish(subject, dumps(ask), reply=self._inbox.subject)
        except nats.errors.Error as error:
            # Nothing is heard of it then, and it is asked for anew.
            log.debug("a pull request was not sent: %s", error)

    async def _renew(self) -> None:
        """Begins anew on another inbox. The server drops requests whose inbox nobody listens to, so those from before
        cannot be served beside those that follow."""
        if self._inbox is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._inbox.unsubscribe()
        self._outstanding, self._lost, self._refused = 0, False, False
        self._inbox = await self._link.subscribe(self._link.client.new_inbox(), self._receive)

    async def _is_there(self) -> bool:
        while True:
            try:
                await self._link.api(f"CONSUMER.INFO.{self._place}")
                return True
            except ApiError as error:
                if error.code in GONE:
                    return False
                log.debug("looking at %s again: %s", self._place, error)
            except MeshError as error:
                log.debug("looking at %s again: %s", self._place, error)
            await asyncio.sleep(_REFUSED_PAUSE)

    async def _receive(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if message.reply.startswith("$JS.ACK."):
            self._outstanding = max(0, self._outstanding - 1)
            self._take(message)
            return
        headers = lower(message.headers)
        status, returned = headers.get("status"), headers.get("nats-pending-messages", "")
        if status == "100":
            return
        if status in ("404", "408") and returned.isdigit():
            self._outstanding = max(0, self._outstanding - int(returned))
        else:
            log.debug("a pull at %s was refused: %s %s", self._place, status, headers.get("description"))
            self._refused = True
        self._wake.set()

    def _reconnected(self) -> None:
        # A request may have survived the loss or not: only a new inbox makes sure that it is served once.
        self._lost = True
        self._wake.set()
