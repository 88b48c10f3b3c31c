"""What does the work: functions of the user's, in one form."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Callable

from . import typed
from .context import Context
from .errors import Fatal, SettingError


@dataclass(frozen=True)
class Output:
    """A result, with what else there is to say of it."""

    #: The result, as a handler would return it alone.
    value: Any
    #: How good the agent holds the result to be, from 0 to 1.
    quality: float | None = None
    #: What the work consumed (tokens, money…), for whoever adds it up.
    usage: Any = None


#: A handler of the input as it came; its result is plain JSON.
Handler = Callable[[Context, Any], Awaitable[Output]]


def adapt(function: Callable[..., Any]) -> Handler:
    """The handler that a function of `(ctx, input)` stands for.

    The input is read as the type that the second parameter is annotated with. A plain function runs in a thread of its
    own; an `async` one in the loop of the agent.
    """
    name = getattr(function, "__qualname__", repr(function))
    read = typed.reader(_input_type(function, name), f"{name}: input")
    call = function if _is_async(function) else _threaded(function)

    async def handle(context: Context, raw: Any) -> Output:
        try:
            value = read(raw, "input")
        except typed.Mismatch as error:
            raise Fatal("invalid_input", f"the input is not what this agent takes: {error}") from error
        result = await call(context, value)
        return _plain(result if isinstance(result, Output) else Output(result))

    return handle


def _input_type(function: Callable[..., Any], name: str) -> Any:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise SettingError(f"{name} is no function: a handler is a function of (ctx, input)") from None
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise SettingError(f"{name} is a generator: a handler returns its result")
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [parameter for parameter in parameters if parameter.kind in kinds]
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.KEYWORD_ONLY]
    needed += [parameter for parameter in taken[2:] if parameter.default is parameter.empty]
    if len(taken) < 2 or needed:
        raise SettingError(
            f"{name} takes {[p.name for p in parameters]}: a handler is a function of (ctx, input)"
        )
    if taken[1].annotation is inspect.Parameter.empty:
        return Any
    hinted = function if inspect.isroutine(function) else type(function).__call__
    return typed.hints_of(hinted, name)[taken[1].name]


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _threaded(function: Callable[..., Any]) -> Callable[[Context, Any], Awaitable[Any]]:
    """Runs a function in a daemon thread of its own: one that outlives its task holds up neither others nor the end
    of the process, as a thread of a pool would."""

    async def call(context: Context, value: Any) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def work() -> None:
            result: Any = None
            error: BaseException | None = None
            try:
                result = variables.run(function, context, value)
            except StopIteration as stopped:
                # A future cannot carry it.
                error = RuntimeError(f"StopIteration: {stopped}")
            except BaseException as raised:  # noqa: BLE001 - it is raised again in the loop
                error = raised
            # The loop is closed when the agent has ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result, error)

        variables = contextvars.copy_context()
        threading.Thread(target=work, name=f"task-{context.task}", daemon=True).start()
        return await done

    return call


def _plain(output: Output) -> Output:
    """The output as plain JSON; a fatal failure if it has no such form."""
    try:
        quality = output.quality
        if quality is not None:
            quality = min(max(float(quality), 0.0), 1.0)
        return Output(
            typed.plain(output.value), quality, None if output.usage is None else typed.plain(output.usage)
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise Fatal("invalid_output", f"the result is not JSON: {error}") from error
