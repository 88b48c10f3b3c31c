"""Clients: starting runs, waiting for them, and following them."""

import asyncio

import mesh_agent
from mesh_agent import InputError, MeshError, RequestRejected, RunCancelled, RunFailed, SettingError
from tests.support import PATIENCE, MeshTest

ASKS = """
mesh: v1
name: asks
input: {type: object, required: [name]}
output: '${tasks.t.output}'
tasks: {t: {agent: echoes}}
"""


class Clients(MeshTest):
    """A client and an agent that gives its input back."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.one("echoes")
        cls.world.one("never", "nobody")

    def echo(self):
        agent = self.agent()

        @agent.capability("echoes")
        async def echoes(ctx, input):
            if input == "fail":
                raise mesh_agent.Fatal("no", "never")
            return [input, ctx.run]

        return self.serving(agent)

    async def test_start_and_result(self):
        async with self.echo():
            run = await self.mesh.start("echoes", {"a": [1, None, "ä"]})
            self.assertEqual(await run.result(PATIENCE), [{"a": [1, None, "ä"]}, run.id])
            # As often as one likes, and from anywhere.
            self.assertEqual(await self.mesh.run(run.id).result(), [{"a": [1, None, "ä"]}, run.id])

    async def test_the_same_id_is_the_same_run(self):
        async with self.echo():
            first = await self.mesh.start("echoes", 1, id="order-1", source="/shop")
            again = await self.mesh.start("echoes", 2, id="order-1", source="/shop")
            self.assertEqual(first.id, mesh_agent.run_id("workflow.echoes", "/shop", "order-1", 8))
            self.assertEqual(first.id, again.id)
            self.assertEqual(await again.result(PATIENCE), [1, first.id])
            other = await self.mesh.start("echoes", 3, id="order-1")
            self.assertNotEqual(other.id, first.id)
            self.assertEqual((await other.result(PATIENCE))[0], 3)
        self.assertEqual(len(await self.stored("MESH_EVENTS", f"mesh.workflow.started.*.-.{first.id}")), 1)

    async def test_call(self):
        async with self.echo():
            output = await self.mesh.call("echoes", "hello", timeout=PATIENCE)
            self.assertEqual(output[0], "hello")
            with self.assertRaises(RunFailed) as failed:
                await self.mesh.call("echoes", "fail", timeout=PATIENCE)
        self.assertEqual(
            (failed.exception.code, failed.exception.message), ("no", "task 'task' failed: never")
        )

    async def test_rejected_with_every_reason(self):
        run = await self.mesh.start("nowhere", {})
        with self.assertRaises(RequestRejected) as rejected:
            await run.result(PATIENCE)
        self.assertEqual((rejected.exception.code, rejected.exception.run), ("unknown_workflow", run.id))
        with self.assertRaises(RequestRejected):
            async for _ in run.events():
                self.fail("a run that never began has no events")

    async def test_a_request_that_was_rejected_can_be_sent_again(self):
        run = await self.mesh.start("asks", {"name": "Ada"}, id="early")
        with self.assertRaises(RequestRejected):
            await run.result(PATIENCE)
        self.world.apply(ASKS)
        async with self.echo():
            again = await self.mesh.start("asks", {"name": "Ada"}, id="early")
            self.assertEqual(await again.result(PATIENCE), [{"name": "Ada"}, run.id])
            with self.assertRaises(RequestRejected) as rejected:
                await (await self.mesh.start("asks", {})).result(PATIENCE)
        self.assertEqual(rejected.exception.code, "invalid_input")
        self.assertIn("name", rejected.exception.reasons[0])

    async def test_events_are_replayed_and_followed_to_the_end(self):
        run = await self.mesh.start("echoes", 1)
        following = asyncio.ensure_future(self._types(run))
        await self.first("MESH_EVENTS", f"mesh.workflow.started.echoes.-.{run.id}")
        async with self.echo():
            expected = ["workflow.started", "task.completed", "workflow.completed"]
            self.assertEqual(await asyncio.wait_for(following, PATIENCE), expected)
            self.assertEqual(await self._types(run), expected)
        events = [event async for event in run.events()]
        self.assertEqual([event.sequence for event in events], sorted(event.sequence for event in events))
        self.assertEqual(events[0].data["input"], 1)
        self.assertEqual((events[1].task, events[1].attempt), ("t", 1))
        self.assertEqual(events[1].attributes["correlationid"], run.id)

    async def test_cancel(self):
        run = await self.mesh.start("never")
        with self.assertRaisesRegex(asyncio.TimeoutError, "it goes on"):
            await run.result(timeout=0.1)
        await run.cancel("enough")
        with self.assertRaises(RunCancelled) as cancelled:
            await run.result(PATIENCE)
        self.assertEqual((cancelled.exception.run, cancelled.exception.reason), (run.id, "enough"))

    async def test_mistakes_are_told(self):
        for asking, error, text in (
            (self.mesh.start("No Name"), SettingError, "'No Name' is not a valid workflow name"),
            (self.mesh.call("a.b"), SettingError, "'a.b' is not a valid capability"),
            (self.mesh.start("a", {1, 2}), InputError, "cannot be written as JSON"),
            (self.mesh.start("a", "x" * 20_000_000), InputError, "put larger data where"),
            (self.mesh.start("a", id=""), InputError, "id is ''"),
            (self.mesh.start("a", source="a\n"), InputError, "control characters"),
            (self.mesh.start("a", traceparent="x"), InputError, "no traceparent"),
        ):
            with self.subTest(text), self.assertRaisesRegex(error, text):
                await asking
        with self.assertRaisesRegex(SettingError, "'x' is not a valid run id"):
            self.mesh.run("x")
        with self.assertRaisesRegex(MeshError, "not connected: use `async with connect"):
            await mesh_agent.connect().start("a")

    async def test_a_namespace_that_is_not_set_up_is_named(self):
        connection = mesh_agent.Connection(url=self.world.server.url, namespace="other")
        async with mesh_agent.connect(connection=connection) as mesh:
            with self.assertRaisesRegex(mesh_agent.Refused, "namespace 'other' is not set up"):
                await mesh.start("echoes")

    async def _types(self, run):
        return [event.type async for event in run.events()]
