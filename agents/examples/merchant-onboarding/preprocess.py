#!/usr/bin/env python3
"""The agent `preprocess`, in Python with nothing but nats-py: what an agent in any language has to do.

 1. Bind the durable consumer agent-<capability>-normal of the stream MESH_TASKS. The orchestrator makes it when a
    workflow that names the capability is applied.
 2. Pull one task, and say "in progress" more often than every 30 seconds while working on it, for `timeout_ms` at most.
 3. Publish the outcome on the task's subject with `created` replaced by `completed` or `failed`, and wait until it
    is stored.
 4. Acknowledge the task.

A task may come again, after a crash for instance. Only one outcome of an attempt is ever stored: the header
Nats-Expected-Last-Subject-Sequence: 0 makes the server refuse another with error 10071, which is as good as stored.
An input above 64 KiB is in the object store; an output may have 1 MiB without going there.
"""

import asyncio
import contextlib
import datetime
import json
import os
import signal
import unicodedata
import uuid

import nats
import nats.errors
import nats.js.errors

CAPABILITY = "preprocess"
NAMESPACE = os.environ.get("MESH_NAMESPACE", "mesh")
URL = os.environ.get("MESH_NATS_URL", "nats://127.0.0.1:4222")
AGENT = f"preprocess-{uuid.uuid4().hex[:8]}"
STREAM = f"{NAMESPACE.upper()}_TASKS"
DURABLE = f"agent-{CAPABILITY}-normal"
CAPACITY = 4  # tasks at once
PULL_SECONDS = 1  # also how long a stop may go unnoticed
IN_PROGRESS_SECONDS = 10  # a third of what the mesh allows
ALREADY_STORED = 10071

# --- the work ---------------------------------------------------------------------------------------------------

TEXTS = ("merchant_name", "email", "business_type", "business_license", "address", "tax_id", "owner_identity")
NUMBERS = ("annual_revenue", "years_in_business")


def preprocess(request):
    """Cleans what a merchant typed. What cannot be understood is left empty (null), and `problems` says why."""
    merchant, problems = {}, {}
    for field in TEXTS:
        value = request.get(field)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            merchant[field] = " ".join(unicodedata.normalize("NFC", str(value)).split()) or None
        else:
            merchant[field] = None
            if value is not None:
                problems[field] = "not a text"
    for field in NUMBERS:
        try:
            merchant[field] = number(request.get(field))
        except ValueError:
            merchant[field] = None
            problems[field] = f"{request[field]!r} is not a number"
    for field in ("email", "business_type"):
        merchant[field] = merchant[field] and merchant[field].lower()
    return {"merchant": merchant, "problems": problems}


def number(value):
    """Reads 1250000, "1,250,000", "1 250 000" and "$1250000"; an empty value is None."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    text = "".join(c for c in str(value) if not c.isspace() and c not in ",_$€£¥")
    if not text:
        return None
    result = float(text)
    if result - result != 0:  # infinite, or not a number: JSON has neither
        raise ValueError(text)
    return result


# --- the contract -----------------------------------------------------------------------------------------------


async def main():
    connection = await nats.connect(URL, name=AGENT, max_reconnect_attempts=-1, error_cb=report)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await asyncio.gather(*(work(connection, stop) for _ in range(CAPACITY)))
    with contextlib.suppress(nats.errors.Error):  # without a connection there is nothing to send
        await connection.flush(timeout=PULL_SECONDS)
    await connection.close()


async def report(error):
    print(f"NATS: {error}", flush=True)


async def work(connection, stop):
    """One task at a time, so that nothing is taken that cannot be begun. After a stop, what was taken is finished."""
    jetstream = connection.jetstream()
    tasks = await bind(connection, jetstream, stop)
    while not stop.is_set():
        try:
            [task] = await tasks.fetch(1, timeout=PULL_SECONDS)
        except nats.errors.TimeoutError:
            continue
        except nats.js.errors.APIError:  # the consumer is gone
            tasks = await bind(connection, jetstream, stop)
            continue
        marks = asyncio.create_task(mark_in_progress(task))
        try:
            await answer(jetstream, task, *await outcome(jetstream, task))
            await task.ack()
        except nats.errors.Error as error:
            # Not known to be stored. The task comes again, and its outcome is stored then if it is not now.
            await report(f"{task.subject}: {error}")
            await task.nak(delay=1)
        finally:
            marks.cancel()


async def bind(connection, jetstream, stop):
    """Waits until the consumer exists: the server tells when one is made."""
    made = await connection.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.CREATED.{STREAM}.{DURABLE}")
    while not stop.is_set():
        try:
            await jetstream.consumer_info(STREAM, DURABLE, timeout=PULL_SECONDS)
            break
        except nats.errors.Error:
            with contextlib.suppress(nats.errors.TimeoutError):
                await made.next_msg(timeout=PULL_SECONDS)
    await made.unsubscribe()
    return await jetstream.pull_subscribe_bind(durable=DURABLE, stream=STREAM)


async def mark_in_progress(task):
    while True:
        await asyncio.sleep(IN_PROGRESS_SECONDS)
        await task.in_progress()


async def outcome(jetstream, task):
    """What the work came to: the verb, its data, and the event that asked for it."""
    event = {}
    try:
        event = dict(json.loads(task.data))
        if "dataref" in event:
            event["data"]["input"] = await large_input(jetstream, event["dataref"])
        work = asyncio.to_thread(preprocess, event["data"]["input"])
        milliseconds = event["data"].get("timeout_ms")  # none: it may take as long as it takes
        output = await asyncio.wait_for(work, milliseconds and milliseconds / 1000)
        return "completed", {"output": output, "agent": AGENT}, event
    except asyncio.TimeoutError:
        failure = {"code": "timeout", "message": "the work took longer than it may", "retryable": True}
        return "failed", {"error": failure, "agent": AGENT}, event
    except Exception as error:  # whatever it is, the run has to hear of it, and trying again would not help
        failure = {"code": "preprocess_failed", "message": f"{type(error).__name__}: {error}", "retryable": False}
        return "failed", {"error": failure, "agent": AGENT}, event


async def large_input(jetstream, reference):
    """An input that is too large for an event is an object, which the event refers to: nats-object:<bucket>/<object>#/input"""
    bucket, name = reference.split(":", 1)[1].split("#")[0].split("/")
    store = await jetstream.object_store(bucket)
    return json.loads((await store.get(name)).data)


async def answer(jetstream, task, verb, data, cause):
    """Stores the outcome as a CloudEvent, linked to the event that caused it."""
    namespace, kind, _created, rest = task.subject.split(".", 3)
    subject = f"{namespace}.{kind}.{verb}.{rest}"
    event = {
        "specversion": "1.0",
        "id": subject,
        "source": f"/{NAMESPACE}/agents/{CAPABILITY}",
        "type": f"task.{verb}",
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(),
        "datacontenttype": "application/json",
        "dataschema": f"urn:mesh:schema:task.{verb}:1",
        "causationid": cause.get("id", task.subject),
        "data": data,
    }
    event.update({name: cause[name] for name in ("correlationid", "traceparent", "tracestate") if name in cause})
    headers = {"content-type": "application/cloudevents+json", "Nats-Expected-Last-Subject-Sequence": "0"}
    received = task.headers or {}
    headers.update({name: received[name] for name in ("traceparent", "tracestate") if name in received})
    try:
        await jetstream.publish(subject, json.dumps(event).encode(), headers=headers)
    except nats.js.errors.APIError as error:
        if error.err_code != ALREADY_STORED:
            raise


if __name__ == "__main__":
    asyncio.run(main())
