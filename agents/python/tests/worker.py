"""An agent in a process of its own: `worker.py CAPABILITY [DRAIN_SECONDS]`. Its input says what it does."""

import asyncio
import os
import sys

from mesh_agent import Agent

capability = sys.argv[1]
agent = Agent("worker", drain_timeout=float(sys.argv[2]) if len(sys.argv) > 2 else 25.0)


@agent.capability(capability)
async def work(ctx, input):
    """Does as it is told, by its input or only in the first delivery."""
    do = input["do"] if ctx.delivery == 1 or not input.get("once") else "return"
    print(f"{do} {ctx.delivery}", flush=True)
    if do == "hang":
        await asyncio.Event().wait()
    if do == "die":
        os._exit(9)
    if do == "sleep":
        await asyncio.sleep(input["seconds"])
    return {"agent": ctx.agent, "delivery": ctx.delivery}


agent.run()
