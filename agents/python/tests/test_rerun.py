"""Runs that are done again in part."""

from mesh_agent import RequestRejected, SettingError
from tests.support import MeshTest


class Again(MeshTest):
    """By the client."""

    async def test_a_run_is_done_again_and_stops_where_its_request_says(self):
        agent = self.agent()
        done = []

        @agent.capability("step")
        async def step(ctx, input):
            done.append(input)
            return input

        self.world.apply(
            "mesh: v1\nname: steps\noutput: '${tasks.two.output}'\n"
            "tasks: {one: {agent: step, with: 1}, two: {agent: step, needs: [one], with: '${input}'}}\n"
        )
        async with self.serving(agent):
            run = await self.mesh.start("steps", "a")
            self.assertEqual(await run.result(30), "a")
            again = await self.mesh.rerun("steps", run.id, from_tasks=["two"], input="b")
            self.assertEqual(await again.result(30), "b")
            self.assertEqual(done, [1, "a", "b"])
            again = await self.mesh.rerun("steps", run.id)
            with self.assertRaisesRegex(RequestRejected, "everything in run"):
                await again.result(30)
            with self.assertRaisesRegex(SettingError, r"write \['two'\]"):
                await self.mesh.start("steps", "a", pause_before="two")
            unknown = await self.mesh.start("steps", "a", pause_before=["three"])
            with self.assertRaisesRegex(RequestRejected, "has no task 'three'"):
                await unknown.result(30)
