"""What can go wrong, as exceptions that say what, where and how to mend it."""

from __future__ import annotations

import math


class MeshError(Exception):
    """Anything that the mesh, or the way to it, does not do."""


class SettingError(MeshError, ValueError):
    """A setting, a name or a handler is not as it should be. Nothing was tried yet."""


class ConnectError(MeshError):
    """No server could be reached, it refuses us, or it is not fit for the mesh."""


class Unavailable(MeshError):
    """The connection is down or the server did not answer in time. Trying again can help, and is safe."""


class Refused(MeshError):
    """The server does not do it, and would not the next time, until somebody changes the set-up."""


class TooLarge(Refused):
    """A message is larger than the server takes."""


class LostData(Refused):
    """Data that an event refers to is missing or damaged, and will be next time."""


class InputError(MeshError, ValueError):
    """What was to be sent is not JSON, too large, or nested too deep."""


class RunFailed(MeshError):
    """A run ended with an error."""

    def __init__(self, run: str, code: str, message: str, task: str | None = None) -> None:
        super().__init__(f"run {run} failed: {code}: {message}")
        #: The run.
        self.run = run
        #: Stable and short, for programs; the failed task's own code where a task failed.
        self.code = code
        #: For people; it names the task that failed.
        self.message = message
        #: The task that failed, if it was a task.
        self.task = task


class RunCancelled(MeshError):
    """A run was ended by the signal `cancel`."""

    def __init__(self, run: str, reason: str | None = None) -> None:
        super().__init__(f"run {run} was cancelled: {reason or 'no reason given'}")
        #: The run.
        self.run = run
        #: Why, as the canceller said.
        self.reason = reason


class RequestRejected(MeshError):
    """A request started no run."""

    def __init__(self, run: str, code: str, reasons: list[str]) -> None:
        super().__init__(f"the request for run {run} was rejected: {code}: {'; '.join(reasons)}")
        #: The run that it would have been.
        self.run = run
        #: Stable and short, for programs: `unknown_workflow`, `invalid_input`, `malformed`…
        self.code = code
        #: Each thing that is wrong with it, for people.
        self.reasons = reasons


class TaskFailure(Exception):
    """Why a task could not be done: raised by handlers as :class:`Retryable` or :class:`Fatal`."""

    #: Whether another attempt may go better.
    retryable = True

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        if not code:
            raise ValueError("a failure needs a code: a stable, short name for programs, such as 'busy'")
        if retry_after is not None and not (math.isfinite(retry_after) and retry_after >= 0):
            raise ValueError(f"retry_after is a number of seconds from 0, not {retry_after!r}")
        super().__init__(f"{code}: {message}")
        #: Stable and short, for programs.
        self.code = code
        #: For people.
        self.message = message
        #: Seconds to wait at least before the next attempt.
        self.retry_after = retry_after


class Retryable(TaskFailure):
    """An error that another attempt may not meet: something was busy, away or slow."""


class Fatal(TaskFailure):
    """An error that every attempt would meet: the input is wrong, the answer is no."""

    retryable = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
