"""The connection to NATS: requests with clear outcomes, and word of every loss and return."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from . import names
from .envelope import dumps, lower
from .errors import ConnectError, MeshError, Refused, TooLarge, Unavailable
from .settings import DEFAULT_MAX_INLINE, Connection

log = logging.getLogger("mesh_agent")

#: Seconds that the server may take for an answer: a cluster elects a new leader within about 4 s.
TIME_LIMIT = 5.0
#: Seconds that a server may take to greet.
_GREETING = 5
#: How often to see whether the server is still there, in seconds; two pings without an answer are a lost connection.
_PING = 10
#: Seconds between two tries to connect again: short, as every run waits meanwhile.
_PAUSE = 1
#: The first server version with recurring schedules.
_NEEDED = (2, 14)
#: What the server writes around the headers of a message, in bytes.
_HEADER_FRAME = len("NATS/1.0\r\n\r\n")

#: How the server says that a user may not publish on a subject.
_DENIED = re.compile(r'permissions violation for publish to "([^"]+)"')
#: Status after the last message of a direct get, and status of one that finds none.
_NO_MORE = ("204", "404")
_STREAM_NOT_FOUND = 10059
#: How the leader of a stream says that it has no such message.
NO_MESSAGE = 10037


class ApiError(Refused):
    """JetStream says no, with its own number of the error."""

    def __init__(self, operation: str, code: int, description: str) -> None:
        super().__init__(f"{operation} was refused: {description} ({code})")
        #: `err_code` of the JetStream API.
        self.code = code


class NoResponders(Unavailable):
    """Nothing listens on the subject: no JetStream, or not yet; no such stream or consumer."""


class Stored(NamedTuple):
    """A message and its place in its stream."""

    subject: str
    sequence: int
    headers: Mapping[str, str]
    data: bytes


class Link:
    """One connection, which is made again whenever it is lost, and the namespace that is worked in."""

    def __init__(self, settings: Connection) -> None:
        """Not connected yet: see :meth:`open`."""
        self._settings = settings
        self._failures = 0
        self._connecting = True
        self._open = False
        self._lost = False
        self._said: set[str] = set()
        self._denied: set[str] = set()
        self._shards: int | None = None
        self._loss: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: Called when the connection is there again.
        self.on_return: list[Callable[[], None]] = []
        #: Set when the server ended the connection for good, with the reason in :attr:`why_closed`.
        self.closed = asyncio.Event()
        #: When the connection was lost, by the monotonic clock; none while it is there.
        self.lost_at: float | None = None
        #: How often it was lost and is there again.
        self.returns = 0
        #: The client of nats-py.
        self.client = Client()
        #: First token of every subject.
        self.namespace = settings.namespace or ""
        #: Largest body, in bytes, of an event that carries its data itself.
        self.max_inline = settings.max_inline or DEFAULT_MAX_INLINE

    @classmethod
    async def open(cls, connection: Connection, name: str) -> Link:
        """Connects to the first server that answers, under a name that the server shows. Fails at once if none does."""
        link = cls(connection.resolved())
        try:
            await link._connect(name)
            link._check_server()
        except BaseException:
            await link._end()
            raise
        link._connecting, link._open = False, True
        return link

    async def close(self) -> None:
        """Sends what is not sent yet, if that can be done soon, and ends the connection."""
        self._open = False
        if self.client.is_connected:
            # Not cancelled when it takes too long: the client takes that badly.
            await asyncio.wait({asyncio.ensure_future(quietly(self.client.flush(2)))}, timeout=2)
        await self._end()

    async def request(self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Msg:
        """Sends a message and waits for the answer to it.

        A request that is under way when the connection is lost fails at once: its answer, if there was one, was lost
        too, and waiting for it would only delay the next try.
        """
        size = len(body)
        if headers:
            size += _HEADER_FRAME + sum(
                len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items()
            )
        # The client library only counts the body, and the server ends the connection for a larger message.
        if size > self.client.max_payload:
            raise TooLarge(f"{size} bytes, and the server takes {self.client.max_payload}")
        sent = self.client.request(
            subject, body, timeout=TIME_LIMIT, headers=dict(headers) if headers else None
        )
        answer = asyncio.ensure_future(sent)
        try:
            either: list[asyncio.Future[Any]] = [answer, self._loss]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise Unavailable("the connection was lost")
            return answer.result()
        except nats.errors.NoRespondersError:
            raise NoResponders("JetStream does not answer: it is not ready yet, or not enabled") from None
        except nats.errors.MaxPayloadError:
            raise TooLarge(f"{size} bytes, and the server takes {self.client.max_payload}") from None
        except nats.errors.TimeoutError:
            raise Unavailable(f"no answer within {TIME_LIMIT:g} s") from None
        except nats.errors.ConnectionClosedError:
            raise self._is_closed() from None
        except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
            raise Refused(str(error)) from None
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(str(error)) from None
        finally:
            answer.cancel()

    def is_denied(self, subject: str) -> bool:
        """Whether the server has said, on this connection, that this user may not publish on a subject."""
        return subject.lower() in self._denied

    async def subscribe(self, subject: str, take: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Hands on what is sent to a subject from now on, over lost connections too."""
        try:
            return await self.client.subscribe(subject, cb=take)
        except nats.errors.ConnectionClosedError:
            raise self._is_closed() from None

    async def api(self, operation: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Calls an operation of the JetStream API; raises :class:`ApiError` if the server says no."""
        return read_answer(operation, await self.request(f"$JS.API.{operation}", dumps(arguments or {})))

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message of a stream on a subject, which may have wildcards."""
        return await self.direct_get(names.stream(self.namespace, stream), {"last_by_subj": subject})

    async def last_for_sure(self, stream: str, subject: str) -> Stored | None:
        """The same; that there is none is known from the leader of the stream, as a copy of it may be behind."""
        stored = await self.last(stream, subject)
        if stored is None and self.client._server_info.get("cluster"):
            if await self.leader_has(names.stream(self.namespace, stream), subject):
                raise Unavailable(f"the answering server does not have {subject} yet")
        return stored

    async def leader_has(self, stream: str, subject: str) -> bool:
        """Whether a stream has a message on a subject, by its leader, which is never behind."""
        try:
            await self.api(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        except ApiError as error:
            if error.code == NO_MESSAGE:
                return False
            raise
        return True

    async def direct_get(self, stream: str, arguments: dict[str, Any]) -> Stored | None:
        """One message of a stream, by its name on the server."""
        answer = await self.request(f"$JS.API.DIRECT.GET.{stream}", dumps(arguments))
        stored = _from_direct_get(answer)
        if stored is None and (answer.headers or {}).get("Status") != "404":
            raise Unavailable(f"a message of {stream} cannot be read: {arguments}: {answer.headers}")
        return stored

    async def each_last(self, stream: str, subject: str) -> list[Stored]:
        """The last message on each subject that a filter matches, in the order of the stream."""
        found = await self.direct_get_many(
            names.stream(self.namespace, stream), {"multi_last": [subject]}
        )
        return sorted(found, key=lambda stored: stored.sequence)

    async def direct_get_many(self, stream: str, arguments: dict[str, Any]) -> list[Stored]:
        """Messages of a stream, by its name on the server, as it sends them."""
        answers: asyncio.Queue[Msg] = asyncio.Queue()
        found = []
        try:
            inbox = await self.subscribe(self.client.new_inbox(), answers.put)
            try:
                get = f"$JS.API.DIRECT.GET.{stream}"
                await self.client.publish(get, dumps(arguments), reply=inbox.subject)
                while True:
                    answer = await asyncio.wait_for(answers.get(), TIME_LIMIT)
                    stored = _from_direct_get(answer)
                    if stored is None:
                        break
                    found.append(stored)
            finally:
                await quietly(inbox.unsubscribe())
        except nats.errors.ConnectionClosedError:
            raise self._is_closed() from None
        except (nats.errors.Error, asyncio.TimeoutError) as error:
            raise Unavailable(f"{stream} cannot be read: {arguments}: {error or 'no answer'}") from None
        if (answer.headers or {}).get("Status") not in _NO_MORE:
            raise Unavailable(f"{stream} cannot be read: {arguments}: {answer.headers}")
        return found

    async def shards(self) -> int:
        """How many shards the namespace has, which is part of run ids."""
        if self._shards is None:
            stream = names.stream(self.namespace, "EVENTS")
            try:
                info = await self.api(f"STREAM.INFO.{stream}")
            except ApiError as error:
                if error.code != _STREAM_NOT_FOUND:
                    raise
                hint = "start an orchestrator for it (`mesh up`, `mesh orchestrator`)"
                raise Refused(
                    f"the namespace {self.namespace!r} is not set up on this server: {hint}"
                ) from None
            written = info["config"].get("metadata", {}).get("mesh-shards", "")
            if not written.isdigit() or not 1 <= int(written) <= names.MAX_SHARDS:
                raise Refused(
                    f"stream {stream} is not one of the mesh: its metadata says mesh-shards = {written!r}"
                )
            self._shards = int(written)
        return self._shards

    async def send(self, subject: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Sends a message that nothing depends on; it may be lost."""
        try:
            await self.client.publish(subject, body, headers=dict(headers) if headers else None)
        except (nats.errors.Error, OSError) as error:
            log.debug("not sent to %s: %s", subject, error)

    @property
    def why_closed(self) -> str:
        """What the server said when it ended the connection."""
        return str(self.client.last_error or "it was closed here")

    def _is_closed(self) -> Refused:
        return Refused(f"the connection is closed: {self.why_closed}")

    async def _end(self) -> None:
        # The client waits for ever for the end of a connection whose TLS handshake failed.
        ending = asyncio.ensure_future(quietly(self.client.close()))
        await asyncio.wait({ending}, timeout=_PAUSE)
        ending.cancel()

    async def _connect(self, name: str) -> None:
        settings = self._settings
        options = settings.client_options()
        for secret in ("user", "password", "token"):
            value = getattr(settings, secret)
            if value:
                options[secret] = self._guarded(value)
        try:
            connecting = self.client.connect(
                name=name,
                connect_timeout=_GREETING,
                ping_interval=_PING,
                reconnect_time_wait=_PAUSE,
                max_reconnect_attempts=-1,
                error_cb=self._on_error,
                disconnected_cb=self._on_loss,
                reconnected_cb=self._on_return,
                closed_cb=self._on_close,
                **options,
            )
            # Longer than the client takes by itself, unless it waits for ever.
            await asyncio.wait_for(connecting, (2 * _GREETING + _PAUSE) * len(settings.servers))
        except MeshError:
            raise
        except Exception as error:
            raise self._cannot_connect(self.client.last_error or error) from error

    def _check_server(self) -> None:
        if not self.client.is_connected:
            raise self._cannot_connect(self.client.last_error or "the server hung up")
        self._check_tls()
        version = self.client.connected_server_version
        try:
            found = (version.major, version.minor)
        except ValueError:
            found = (0, 0)
        if found < _NEEDED:
            raise ConnectError(
                f"the NATS server at {self._settings.shown()} is {version!r}, but the mesh needs 2.14 or later: install "
                "a current nats-server (https://github.com/nats-io/nats-server/releases), or let `mesh up` start one"
            )
        if not self._info().get("jetstream"):
            raise ConnectError(
                f"the NATS server at {self._settings.shown()} runs without JetStream: start it with `nats-server "
                "--jetstream`, or with a `jetstream` block in its configuration"
            )

    def _info(self) -> dict[str, Any]:
        """What the server said of itself; nats-py has no public name for it."""
        return self.client._server_info

    def _check_tls(self) -> None:
        if self._settings.needs_tls and not self._info().get("tls_required"):
            raise ConnectError(
                f"the NATS server at {self._settings.shown()} does not demand TLS, and the settings do: give the server "
                "a `tls` block, or connect without tls://, MESH_NATS_CA and MESH_NATS_CERT"
            )

    def _guarded(self, secret: str) -> Callable[[], str]:
        """The secret, for a connection that is as safe as the settings ask for."""

        def give() -> str:
            self._check_tls()
            return secret

        return give

    def _cannot_connect(self, error: object) -> ConnectError:
        text = str(error) or type(error).__name__
        if "uthoriz" in text or "uthentic" in text:
            hint = "Give MESH_NATS_USER and MESH_NATS_PASSWORD, MESH_NATS_TOKEN, MESH_NATS_NKEY or MESH_NATS_CREDS"
        elif "ertificate" in text or "SSL" in text or "TLS" in text:
            hint = "Give MESH_NATS_CA, and MESH_NATS_CERT and MESH_NATS_KEY if the server verifies clients"
        else:
            hint = "Is a server running there? `mesh up` starts one"
        return ConnectError(f"cannot connect to NATS at {self._settings.shown()}: {text}. {hint}")

    async def _on_error(self, error: Exception) -> None:
        if self._connecting:
            # The first connection fails when no server takes it; the client library would try for ever.
            self._failures += 1
            if self._failures >= len(self._settings.servers):
                raise error if isinstance(error, MeshError) else self._cannot_connect(error)
        elif "ermissions" in str(error) or isinstance(error, nats.errors.SlowConsumerError):
            denied = _DENIED.search(str(error).lower())
            if denied:
                self._denied.add(denied.group(1))
            # Once for each kind of subject: their ends differ for every task.
            kind = re.sub(r'"((?:[^".]+\.){2}[^".]+)[^"]*"', r"\1", str(error))
            if kind not in self._said:
                self._said.add(kind)
                log.warning("NATS reports: %s", error)
        else:
            log.debug("NATS client: %r", error)

    async def _on_loss(self) -> None:
        if self._open and not self._lost:
            self._lost = True
            self.lost_at = time.monotonic()
            log.warning("connection to NATS lost, connecting again")
        loss, self._loss = self._loss, asyncio.get_running_loop().create_future()
        loss.set_result(None)

    async def _on_return(self) -> None:
        self._lost = False
        self.lost_at = None
        self.returns += 1
        self._denied.clear()
        log.warning("connected to NATS again")
        for listener in list(self.on_return):
            listener()

    async def _on_close(self) -> None:
        if self._open:
            self.closed.set()


def read_answer(operation: str, answer: Msg) -> dict[str, Any]:
    """Reads the JSON that the JetStream API answers with."""
    try:
        value = json.loads(answer.data)
        error = value.get("error")
    except (ValueError, AttributeError):
        raise Unavailable(f"{operation}: the answer cannot be read: {answer.data[:100]!r}") from None
    if error is None:
        return dict(value)
    refused = ApiError(operation, error.get("err_code", 0), error.get("description", ""))
    if error.get("code", 0) >= 500:
        raise Unavailable(str(refused)) from refused
    raise refused


def _from_direct_get(answer: Msg) -> Stored | None:
    headers = lower(answer.headers)
    if "nats-sequence" not in headers:
        return None
    return Stored(headers["nats-subject"], int(headers["nats-sequence"]), answer.headers or {}, answer.data)


async def quietly(doing: Awaitable[object]) -> None:
    """Waits for something whose failure does not matter."""
    with contextlib.suppress(Exception):
        await doing
