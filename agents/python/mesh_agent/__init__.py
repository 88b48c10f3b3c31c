"""Agents and clients of the mesh in Python.

An agent is a handler for a capability; the rest is done here: taking work when there is room for it, deadlines,
cancellation, retries of what the network lost, heartbeats, and an orderly stop. A client starts runs and waits for them.
"""

from .agent import Agent
from .client import Mesh, connect
from .context import Context
from .errors import (
    ConnectError,
    Fatal,
    InputError,
    LostData,
    MeshError,
    Refused,
    RequestRejected,
    Retryable,
    RunCancelled,
    RunFailed,
    SettingError,
    TaskFailure,
    TooLarge,
    Unavailable,
)
from .handler import Output
from .names import run_id
from .runs import Event, Run
from .secret import Secrets
from .settings import Connection
from .tracing import LogFormatter

__all__ = [
    "Agent",
    "ConnectError",
    "Connection",
    "Context",
    "Event",
    "Fatal",
    "InputError",
    "LogFormatter",
    "LostData",
    "Mesh",
    "MeshError",
    "Output",
    "Refused",
    "RequestRejected",
    "Retryable",
    "Run",
    "RunCancelled",
    "RunFailed",
    "Secrets",
    "SettingError",
    "TaskFailure",
    "TooLarge",
    "Unavailable",
    "connect",
    "run_id",
]
