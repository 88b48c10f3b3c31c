"""An agent on the bare contract that keeps every rule that must be kept, or has one fault:
`bare.py CAPABILITY [FAULT]`. Its input says how long it takes: `{"seconds": 1}`."""

import asyncio
import contextlib
import json
import os
import signal
import sys

import nats
import nats.errors
import nats.js.errors

CAPABILITY = sys.argv[1]
FAULT = sys.argv[2] if len(sys.argv) > 2 else "none"
FAULTS = """none no-outcome wrong-subject fails no-data wrong-id no-ack strict both-outcomes skips-repeated
prefetches no-marks heeds-no-timeout dies-of-cancel takes-after-stop needs-consumer""".split()
NAMESPACE = os.environ["MESH_NAMESPACE"]
STREAM = f"{NAMESPACE.upper()}_TASKS"
DURABLE = f"agent-{CAPABILITY}-normal"
STORED = (10071, 10077)
assert FAULT in FAULTS, FAULT


async def main():
    connection = await nats.connect(os.environ["MESH_NATS_URL"], max_reconnect_attempts=-1)
    jetstream = connection.jetstream()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    if FAULT == "dies-of-cancel":
        await connection.subscribe(f"{NAMESPACE}.task.cancelled.{CAPABILITY}.>", cb=die)
    while not stop.is_set():
        try:
            await jetstream.consumer_info(STREAM, DURABLE)
            break
        except nats.errors.Error:
            if FAULT == "needs-consumer":
                raise
            await asyncio.sleep(0.1)
    tasks = await jetstream.pull_subscribe_bind(DURABLE, stream=STREAM)
    workers = [work(jetstream, tasks, stop) for _ in range(2)]
    await asyncio.gather(*workers)
    await connection.close()


async def die(_message):
    os._exit(3)


async def work(jetstream, tasks, stop):
    rest = 5 if FAULT == "takes-after-stop" else 0
    while not stop.is_set() or rest > 0:
        rest -= 1 if stop.is_set() else 0
        try:
            pulled = await tasks.fetch(3 if FAULT == "prefetches" else 1, timeout=1)
        except (nats.errors.Error, nats.js.errors.Error):
            continue
        for task in pulled:
            await see_through(jetstream, task)


async def see_through(jetstream, task):
    marks = asyncio.ensure_future(mark(task))
    try:
        verb, data = await outcome(task)
        if FAULT == "skips-repeated" and task.metadata.num_delivered > 1:
            await task.ack()
        elif FAULT != "no-outcome":
            await store(jetstream, task, verb, data)
            if FAULT != "no-ack":
                await task.ack()
    except (nats.errors.Error, nats.js.errors.Error):
        await task.nak(delay=0.2)
    finally:
        marks.cancel()


async def mark(task):
    while FAULT != "no-marks":
        await asyncio.sleep(10)
        await task.in_progress()


async def outcome(task):
    try:
        event = json.loads(task.data)
        data = event["data"]
        if FAULT == "strict" and "tomorrow" in data:
            raise ValueError("what is `tomorrow`?")
        if FAULT == "fails":
            raise ValueError("not today")
        timeout = None if FAULT == "heeds-no-timeout" else data.get("timeout_ms")
        await asyncio.wait_for(asyncio.sleep(data["input"]["seconds"]), timeout and timeout / 1000)
        return "completed", {} if FAULT == "no-data" else {"output": "done"}
    except asyncio.TimeoutError:
        return "failed", {"error": {"code": "timeout", "message": "too long", "retryable": True}}
    except Exception as error:  # whatever it is, it is told
        return "failed", {"error": {"code": "wrong", "message": repr(error), "retryable": False}}


async def store(jetstream, task, verb, data):
    subject = task.subject.replace(".created.", f".{verb}.", 1)
    if FAULT == "wrong-subject":
        subject = subject.rsplit(".", 1)[0] + ".99"
    if FAULT == "wrong-id":
        data = {"specversion": "1.0", "id": "1", "source": "/bare", "type": f"task.{verb}", "data": data}
    try:
        await jetstream.publish(subject, json.dumps(data).encode())
    except nats.js.errors.APIError as error:
        if error.err_code not in STORED:
            raise
        if FAULT == "both-outcomes" and verb == "completed":
            sorry = {"error": {"code": "sorry", "message": "it is there already"}}
            await store(jetstream, task, "failed", sorry)


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
