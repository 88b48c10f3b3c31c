"""Runs that were archived, as clients see them."""

import asyncio

import mesh_agent
from tests.support import PATIENCE, MeshTest

ALL = ["workflow.started", "task.completed", "workflow.completed"]


class Archived(MeshTest):
    """A mesh that archives runs as soon as they have ended."""

    @classmethod
    def setUpClass(cls):
        cls.world = cls.new_world(settings={"MESH_GRACE": "0s", "MESH_KEEP_REQUESTS": "60s"})
        cls.world.one("echoes")

    async def test_archived_runs_are_told_of_like_others(self):
        agent = self.agent()

        @agent.capability("echoes")
        async def echoes(ctx, input):
            return input

        async with self.serving(agent):
            run = await self.mesh.start("echoes", "x" * 300_000 + "ä")
            following = asyncio.ensure_future(self._types(run))
            self.assertEqual((await run.result(PATIENCE))[-1], "ä")
            # Whether it is archived before, while or after it is read.
            self.assertEqual(await asyncio.wait_for(following, PATIENCE), ALL)
            left = await asyncio.wait_for(self._left(run, 2), PATIENCE)
            await self._is_told_of(run)
            for message in left:
                await self.js.delete_msg("MESH_EVENTS", message.metadata.sequence.stream)
            await self._is_told_of(run)

    async def _is_told_of(self, run: mesh_agent.Run) -> None:
        self.assertEqual(await self._types(run), ALL)
        self.assertEqual((await run.result(PATIENCE))[-1], "ä")
        events = [event async for event in run.events()]
        self.assertEqual(len(events[1].data["output"]), 300_001)
        self.assertEqual((events[1].task, events[1].attributes["correlationid"]), ("t", run.id))

    async def _types(self, run: mesh_agent.Run) -> list[str]:
        return [event.type async for event in run.events()]

    async def _left(self, run: mesh_agent.Run, count: int) -> list[object]:
        while True:
            left = await self.stored("MESH_EVENTS", f"mesh.*.*.*.*.{run.id}")
            left += await self.stored("MESH_EVENTS", f"mesh.*.*.*.*.{run.id}.>")
            if len(left) == count:
                return left
            await asyncio.sleep(0.05)
