"""One agent asking another."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

from . import names
from .errors import Fatal, InputError, Retryable, SettingError
from .request import Outcome, Request, Waiter, checked_input, submit

if TYPE_CHECKING:
    from .context import Context
    from .link import Link


async def call(context: Context, capability: str, input: Any) -> Any:
    """Has another agent do one task; see :meth:`Context.call`."""
    parts = context._parts
    try:
        names.name("capability", capability)
        value = checked_input(input)
    except (SettingError, InputError) as error:
        raise Fatal("invalid_input", f"the call cannot be made: {error}") from error
    # The same question from another execution of this attempt is the same request. It is told apart by what is asked,
    # not by when, because executions need not ask in the same order.
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    question = f"{capability}/{hashlib.sha256(canonical.encode()).hexdigest()}"
    times = parts.asked[question]
    parts.asked[question] += 1
    request = Request(
        kind="task",
        name=capability,
        source=parts.identity.source,
        id=f"{context.idempotency_key}/{context.attempt}/{question}/{times}",
        input=value,
        correlation=context.correlation_id,
        causation=parts.cause,
        trace=parts.hop or parts.origin,
    )
    asking = asyncio.ensure_future(_ask(parts.identity.link, request))
    cancelled = asyncio.ensure_future(context.cancelled.wait())
    try:
        await asyncio.wait({asking, cancelled}, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise Retryable("timeout", "the task's own time was over while it waited for a call")
        return _output(asking.result())
    finally:
        asking.cancel()
        cancelled.cancel()


async def _ask(link: Link, request: Request) -> Outcome:
    run, rejected_before = await submit(link, request)
    async with Waiter(link, run, rejected_before) as waiter:
        return await waiter.outcome()


def _output(outcome: Outcome) -> Any:
    """The output of the called task; what became of it otherwise is fatal, as it was tried as often as it may be."""
    data = outcome.data if isinstance(outcome.data, dict) else {}
    if outcome.verb == "completed":
        return data.get("output")
    if outcome.verb == "failed":
        error = data.get("error", {})
        raise Fatal(error.get("code", "error"), error.get("message", ""))
    if outcome.verb == "cancelled":
        raise Fatal("cancelled", f"the called task was cancelled: {data.get('reason') or 'no reason given'}")
    raise Fatal(data.get("code", "rejected"), "; ".join(data.get("reasons", [])))
