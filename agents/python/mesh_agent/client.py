"""Starting runs and waiting for them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, final

from . import names
from .envelope import Trace
from .errors import InputError, MeshError, SettingError
from .link import Link
from .request import Request, checked_config, checked_input, submit
from .runs import Run
from .settings import Connection


def connect(
    url: str | None = None, *, connection: Connection | None = None, name: str = "mesh-python"
) -> Mesh:
    """A client, to be entered: `async with connect() as mesh: …`.

    :param url: Servers, with commas between.
    :param connection: Everything else that there is to say; what is not given is taken from the environment.
    :param name: What the server shows as the name of the connection.
    """
    if url is not None and connection is not None:
        raise SettingError("give either url or connection, whose url then counts")
    return Mesh(connection or Connection(url=url), name)


class _Wishes(NamedTuple):
    """How a run is to go, as its request says."""

    config: Mapping[str, Any] | None = None
    pause_before: Sequence[str] = ()
    rerun_of: str | None = None
    rerun_from: Sequence[str] = ()


@final
class Mesh:
    """A client of the mesh. Made by :func:`connect`."""

    def __init__(self, connection: Connection, name: str) -> None:
        """Not connected before it is entered."""
        self._connection = connection
        self._name = name
        self._connected: Link | None = None

    async def __aenter__(self) -> Mesh:
        """Connects; raises :class:`ConnectError` or :class:`SettingError` if that cannot be."""
        self._connected = await Link.open(self._connection, self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the connection. Runs go on."""
        if self._connected is not None:
            await self._connected.close()

    async def start(
        self,
        workflow: str,
        input: Any = None,
        *,
        config: Mapping[str, Any] | None = None,
        pause_before: Sequence[str] = (),
        id: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Run:
        """Asks for a run of a workflow. Returns when the request is stored; whether it is accepted is told by
        :meth:`Run.result`.

        :param input: The input of the run, anything that is JSON; dataclasses and pydantic models too.
        :param config: What takes the place of values of the workflow's `config`, as in `{"limits": {"max": 5}}`.
        :param pause_before: Tasks before which the run is paused, as if the workflow said `pause_before` of them.
        :param id: Your own id of the request: starting again with the same id is the same run. Random if none is given.
        :param source: Who asks, as a URI reference (default `/<namespace>/python`); ids are unique for a source.
        :param correlation_id: What you call the whole piece of work; the run id if nothing is said.
        :param traceparent: The trace that the request belongs to (W3C Trace Context).

        Raises :class:`InputError`, :class:`SettingError` for a name that cannot be, :class:`Unavailable` if it could
        not be stored within half a minute.
        """
        return await self._request(
            "workflow",
            workflow,
            input,
            id,
            source,
            correlation_id,
            traceparent,
            _Wishes(config, pause_before=pause_before),
        )

    async def rerun(
        self,
        workflow: str,
        run: str,
        *,
        from_tasks: Sequence[str] = (),
        input: Any = None,
        config: Mapping[str, Any] | None = None,
        pause_before: Sequence[str] = (),
        id: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Run:
        """Does a run of a workflow that has ended again in part, as a new run that takes over what went well.

        :param run: The id of the run that is done again.
        :param from_tasks: Tasks that are done again with all that follows from them; what did not go well is in any case.
        :param input: In place of the input of that run.
        :param config: Beside what that run put in place of the workflow's `config`.

        The other arguments and the errors are those of :meth:`start`.
        """
        wishes = _Wishes(config, pause_before, names.checked_run_id(run), from_tasks)
        return await self._request(
            "workflow", workflow, input, id, source, correlation_id, traceparent, wishes
        )

    async def call(
        self,
        capability: str,
        input: Any = None,
        *,
        timeout: float | None = None,
        id: str | None = None,
        source: str | None = None,
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Any:
        """Has whoever has the capability do one task, without a workflow, and gives its output.

        The arguments are those of :meth:`start`, the errors those of :meth:`start` and :meth:`Run.result`.
        """
        run = await self._request("task", capability, input, id, source, correlation_id, traceparent)
        return await run.result(timeout)

    def run(self, id: str) -> Run:
        """A run that was started before, here or elsewhere; raises :class:`SettingError` if that is no run id."""
        return Run(self._link(), names.checked_run_id(id))

    async def _request(
        self,
        kind: str,
        name: str,
        input: Any,
        id: str | None,
        source: str | None,
        correlation_id: str | None,
        traceparent: str | None,
        wishes: _Wishes = _Wishes(),
    ) -> Run:
        link = self._link()
        names.name("workflow name" if kind == "workflow" else "capability", name)
        request = Request(
            kind=kind,
            name=name,
            source=_text("source", source, f"/{link.namespace}/python"),
            id=_text("id", id, str(uuid.uuid4())),
            input=checked_input(input),
            config=None if wishes.config is None else checked_config(wishes.config),
            pause_before=_tasks(wishes.pause_before),
            rerun_of=wishes.rerun_of,
            rerun_from=_tasks(wishes.rerun_from),
            correlation=_text("correlation_id", correlation_id, "") or None,
            trace=_trace(traceparent),
        )
        return Run(link, *await submit(link, request))

    def _link(self) -> Link:
        if self._connected is None:
            raise MeshError("the client is not connected: use `async with connect() as mesh:`")
        return self._connected


def _tasks(ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of tasks; raises :class:`SettingError` if that is not what they are."""
    if isinstance(ids, str):
        raise SettingError(f"tasks are a list of ids: write [{ids!r}]")
    return tuple(names.name("task id", id) for id in ids)


def _text(what: str, given: str | None, default: str) -> str:
    """A text that CloudEvents allows as an attribute."""
    if given is None:
        return default
    if not isinstance(given, str) or not given or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in given):
        raise InputError(f"{what} is {given!r}: give a text that is not empty and has no control characters")
    return given


def _trace(traceparent: str | None) -> Trace | None:
    if traceparent is None:
        return None
    trace = Trace.of({"traceparent": traceparent})
    if trace is None:
        raise InputError(f"{traceparent!r} is no traceparent: see W3C Trace Context for its form")
    return trace
