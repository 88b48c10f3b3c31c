#!/usr/bin/env python3
"""An agent of the mesh. MESH_NATS_URL and MESH_NAMESPACE say where the mesh is."""

from dataclasses import dataclass

from mesh_agent import Agent, Context, Fatal

agent = Agent("{{capability}}")


@dataclass
class Input:
    """What a task asks for."""

    name: str


@agent.capability("{{capability}}")
async def handle(ctx: Context, task: Input) -> dict:
    if not task.name:
        # Not tried again. `Retryable` is, and so is any other exception.
        raise Fatal("no_name", "there is nobody to greet")
    return {"text": f"Hello, {task.name}! This is attempt {ctx.attempt}."}


if __name__ == "__main__":
    agent.run()
