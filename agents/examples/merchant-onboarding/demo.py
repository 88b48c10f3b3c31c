#!/usr/bin/env python3
"""Onboards every merchant of merchants.jsonl, and shows what became of each. `make demo` runs it.

It starts a mesh and the seven agents, each a process of its own, with their data in a temporary folder. Then it does
what any other system would: it publishes a request for each merchant on NATS and follows the public events. The
outcomes are compared with expected.jsonl; the exit code is 0 if all are as expected. Whatever happens, every process
that was started is stopped.
"""

import asyncio
import collections
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

import nats
import nats.errors

HERE = Path(__file__).resolve().parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[2] / "target")) / "debug"
MESH = TARGET / "mesh"
AGENTS = TARGET / "merchant-onboarding"
RUST_AGENTS = ("validate", "compliance", "risk", "create_account", "create_dashboard", "finalise")
WORKFLOW = "merchant-onboarding"
SOURCE = "urn:example:merchant-portal"

START_SECONDS = 30  # for the mesh to be up
RUN_SECONDS = 60  # for all merchants together
STOP_SECONDS = 10  # for the agents to stop when asked, and then for the mesh


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("demo: stopped"))
    merchants, expected = lines("merchants.jsonl"), lines("expected.jsonl")
    with tempfile.TemporaryDirectory(prefix="mesh-demo-") as folder, Processes(Path(folder)) as processes:
        try:
            url = start_all(processes)
            begun = time.monotonic()
            outcomes = asyncio.run(run_all(url, merchants))
            seconds = time.monotonic() - begun
        except (DemoError, nats.errors.Error, OSError) as error:
            processes.show_logs()
            sys.exit(f"demo: {error}")
    surprises = [number for number in range(len(merchants)) if not fits(outcomes[number], expected[number])]
    print_table(merchants, outcomes, surprises)
    agents = len(RUST_AGENTS) + 1
    print(f"\n{len(merchants)} merchants through {agents} agents in {seconds:.1f} s.", end=" ", flush=True)
    if surprises:
        sys.exit(f"{len(surprises)} did not end as expected (marked with !).")
    print("Every one ended as expected.")


def start_all(processes):
    """Starts the mesh, applies the workflow, starts the agents, and returns the address of NATS."""
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    environment = {**os.environ, "MESH_NATS_URL": url, "MESH_NAMESPACE": "mesh"}
    up = [MESH, "up", "--data", processes.folder / "data", "--port", str(port)]
    mesh = processes.start("mesh", up, environment, stdout=subprocess.PIPE)
    # It says so in one line when it is up.
    ready, _, _ = select.select([mesh.stdout], [], [], START_SECONDS)
    if not ready or not mesh.stdout.readline():
        raise DemoError("the mesh did not come up")
    apply = [MESH, "workflow", "apply", HERE / "workflow.yaml"]
    applied = subprocess.run(apply, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if applied.returncode != 0:
        raise DemoError(f"the workflow was not accepted:\n{applied.stdout}")
    # None of them has to be up before the first request: what they cannot do yet waits for them.
    processes.start("preprocess", [sys.executable, HERE / "preprocess.py"], environment)
    for name in RUST_AGENTS:
        processes.start(name, [AGENTS, name], environment)
    return url


async def run_all(url, merchants):
    """Requests a run for each merchant, follows the events until every run has ended, and returns the outcomes."""
    followed = asyncio.Queue()

    async def lost():
        await followed.put(None)

    # The server is there, or the demo is over: no trying again.
    connection = await nats.connect(
        url, allow_reconnect=False, max_reconnect_attempts=1, error_cb=ignore, closed_cb=lost
    )
    try:
        jetstream = connection.jetstream()
        for stream in ("MESH_EVENTS", "MESH_NOTES"):
            await jetstream.subscribe("mesh.>", stream=stream, ordered_consumer=True, cb=followed.put)
        for number, merchant in enumerate(merchants):
            await request(jetstream, number, merchant)
        return await all_outcomes(followed, len(merchants))
    finally:
        await connection.close()


async def ignore(_error):
    """What matters of it shows: a lost connection is told by the other callback."""


async def all_outcomes(followed, count):
    outcomes, attempts, deadline = {}, collections.Counter(), time.monotonic() + RUN_SECONDS
    while len(outcomes) < count:
        try:
            message = await asyncio.wait_for(followed.get(), deadline - time.monotonic())
        except asyncio.TimeoutError:
            missing = ", ".join(str(number + 1) for number in range(count) if number not in outcomes)
            raise DemoError(f"no outcome after {RUN_SECONDS} s for the merchants {missing}") from None
        if message is None:
            raise DemoError("the connection to NATS was lost")
        event = json.loads(message.data)
        # The id that the requester gave comes back on every event of the run.
        number = merchant_number(event.get("correlationid"))
        if number is None:
            continue
        if event["type"] == "task.failed":
            # mesh.task.failed.<capability>.<lane>.<shard>.<run>.<task>.<attempt>
            attempts[number] = max(attempts[number], int(message.subject.rsplit(".", 1)[1]))
        outcome = outcome_of(event, attempts[number])
        if outcome:
            outcomes[number] = outcome
    return outcomes


async def request(jetstream, number, merchant):
    name = f"merchant-{number + 1}"
    event = {
        "specversion": "1.0",
        "id": name,
        "source": SOURCE,
        "type": "workflow.requested",
        "datacontenttype": "application/json",
        "correlationid": name,
        "data": merchant,
    }
    headers = {"content-type": "application/cloudevents+json"}
    subject = f"mesh.workflow.requested.{WORKFLOW}"
    await jetstream.publish(subject, json.dumps(event).encode(), headers=headers)


def merchant_number(correlation_id):
    prefix, _, number = (correlation_id or "").partition("merchant-")
    return int(number) - 1 if not prefix and number.isdigit() else None


def outcome_of(event, attempts):
    """What an event says about the end of a run: (outcome, details for people, reasons)."""
    data = event.get("data")
    if event["type"] == "workflow.completed":
        answer = data["output"]
        if answer["status"] == "rejected":
            return "rejected", "; ".join(answer["reasons"]), answer["reasons"]
        notes = "".join(f" ({note})" for note in answer["notes"])
        return "approved", f"{answer['account_id']}, {answer['risk_level']} risk{notes}", [answer["risk_level"]]
    if event["type"] == "workflow.failed":
        error = data["error"]
        if attempts > 1:
            return "retried", f"{attempts} attempts failed: {error['message']}", []
        return "failed", f"{error['code']}: {error['message']}", error["message"].split("; ")
    if event["type"] == "request.rejected":
        return "refused", "; ".join(data["reasons"]), data["reasons"]
    return None


def fits(outcome, expected):
    kind, _, reasons = outcome
    if kind != expected["outcome"]:
        return False
    if "risk" in expected:
        return reasons == [expected["risk"]]
    because = expected["because"]
    return len(reasons) == len(because) and all(any(word in reason for reason in reasons) for word in because)


# --- starting and stopping --------------------------------------------------------------------------------------


class Processes:
    """Processes with a log file each, stopped in reverse order at the end of a `with`."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, name, command, environment, stdout=None):
        with open(self.folder / f"{name}.log", "wb") as log:
            # A session of its own, so that Ctrl-C reaches only this program, which then stops the others in order.
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append((name, process))
        return process

    def show_logs(self):
        for name, process in self.started:
            log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip()
            state = "running" if process.poll() is None else f"ended with {process.returncode}"
            print(f"--- {name} ({state})\n" + "\n".join(log.splitlines()[-20:]), file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        agents, mesh = self.started[1:], self.started[:1]
        for group in (agents, mesh):  # the agents say goodbye while there is still a mesh
            for _, process in group:
                process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            for name, process in group:
                try:
                    process.wait(max(0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    print(f"demo: {name} did not stop in {STOP_SECONDS} s and was killed", file=sys.stderr)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # also what it may have left behind
                process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lines(name):
    with open(HERE / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# --- the table --------------------------------------------------------------------------------------------------

NAME_COLUMNS = 28


def print_table(merchants, outcomes, surprises):
    print(f"\n   #   {pad('Merchant', NAME_COLUMNS)}  {'Outcome':<9}  Account and risk, or reasons")
    for number, merchant in enumerate(merchants):
        kind, details, _ = outcomes[number]
        mark = "!" if number in surprises else " "
        name = " ".join(merchant.get("merchant_name", "(no name)").split())
        print(f"{mark}{number + 1:>3}   {pad(name, NAME_COLUMNS)}  {kind:<9}  {details}")


def pad(text, columns):
    """Fills up to a number of terminal columns: East Asian characters take two, combining ones none."""
    used = sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )
    return text + " " * (columns - used)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("demo: interrupted")
