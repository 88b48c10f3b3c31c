"""An agent in a hurry: what people write first. It acknowledges what it has not done yet, takes nothing into account that
could go wrong, and does not notice that it is asked to stop: `hasty.py CAPABILITY`."""

import asyncio
import json
import os
import sys

import nats
import nats.errors


async def main(capability):
    connection = await nats.connect(os.environ["MESH_NATS_URL"], allow_reconnect=False)
    jetstream = connection.jetstream()
    stream = os.environ["MESH_NAMESPACE"].upper() + "_TASKS"
    tasks = await jetstream.pull_subscribe_bind(f"agent-{capability}-normal", stream=stream)
    while True:
        try:
            [task] = await tasks.fetch(1, timeout=1)
        except nats.errors.TimeoutError:
            continue
        await task.ack()
        work = json.loads(task.data)["data"]["input"]
        await asyncio.sleep(work.get("seconds", 0))
        outcome = {"output": 1 / work["divisor"]}
        await jetstream.publish(task.subject.replace(".created.", ".completed.", 1), json.dumps(outcome).encode())


asyncio.run(main(sys.argv[1]))
