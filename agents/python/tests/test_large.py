"""Data that is too large for an event: by reference, and read by other clients of NATS."""

import asyncio
import base64
import hashlib
import json

import mesh_agent
from mesh_agent import InputError, LostData, RequestRejected
from mesh_agent.large import MAX_DATA, DataRef, dataref
from mesh_agent.link import Link
from mesh_agent.objects import get, put
from tests.support import PATIENCE, MeshTest

RUN = "3.6ba7b810-9dad-11d1-80b4-00c04fd430c8"
HEX = hashlib.sha256(b"content").hexdigest()


def data(message):
    return json.loads(message.data)


class Objects(MeshTest):
    """Objects as they are stored."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.link = await Link.open(self.connection, "test")
        self.addAsyncCleanup(self.link.close)
        self.store = await self.js.object_store("MESH_OBJECTS")

    async def test_what_is_put_is_had_whatever_its_size_by_other_clients_too(self):
        for length in (0, 1, 512 * 1024, 512 * 1024 + 1, 10_000_000):
            content = bytes(index % 251 for index in range(1000)) * (length // 1000) + b"x" * (length % 1000)
            name = await put(self.link, RUN, content)
            self.assertEqual(name, f"{RUN}.{hashlib.sha256(content).hexdigest()}")
            self.assertTrue(await get(self.link, name) == content, f"{length} bytes")
            theirs = await self.store.get(name)
            self.assertTrue((theirs.data or b"") == content, f"{length} bytes")

    async def test_the_same_content_is_stored_once(self):
        name = await put(self.link, RUN, b"content")
        before = (await self.store.status()).size
        self.assertEqual(await put(self.link, RUN, b"content"), name)
        self.assertEqual((await self.store.status()).size, before)

    async def test_objects_of_other_clients_are_read(self):
        name = f"{RUN}.{hashlib.sha256(b'theirs').hexdigest()}"
        await self.store.put(name, b"theirs")
        self.assertEqual(await get(self.link, name), b"theirs")
        await self.store.delete(name)
        with self.assertRaisesRegex(LostData, "is not there"):
            await get(self.link, name)

    async def test_what_is_missing_torn_or_altered_is_lost(self):
        with self.assertRaisesRegex(LostData, "is not there"):
            await get(self.link, f"{RUN}.{hashlib.sha256(b'never').hexdigest()}")
        name = await put(self.link, RUN, b"to be torn")
        info = await self.store.get_info(name)
        await self.js.purge_stream("OBJ_MESH_OBJECTS", subject=f"$O.MESH_OBJECTS.C.{info.nuid}")
        with self.assertRaisesRegex(LostData, "0 of its 10 bytes"):
            await get(self.link, name)
        await self.js.publish(f"$O.MESH_OBJECTS.C.{info.nuid}", b"is altered")
        with self.assertRaisesRegex(LostData, "another than its name says"):
            await get(self.link, name)
        meta = base64.urlsafe_b64encode(name.encode()).decode()
        await self.js.publish(f"$O.MESH_OBJECTS.M.{meta}", b"no JSON")
        with self.assertRaisesRegex(LostData, "unreadable"):
            await get(self.link, name)
        self.assertEqual(await put(self.link, RUN, b"to be torn"), name)
        self.assertEqual(await get(self.link, name), b"to be torn")


class References(MeshTest):
    """References as they are read."""

    async def test_references(self):
        good = f"nats-object:MESH_OBJECTS/{RUN}.{HEX}"
        cases = [
            ({}, {"output": 1}, None),
            ({"dataref": "https://example.com/x"}, {"output": 1}, None),
            ({"dataref": good}, None, DataRef(f"{RUN}.{HEX}", None)),
            ({"dataref": f"{good}#/output"}, {"agent": "a"}, DataRef(f"{RUN}.{HEX}", "output")),
        ]
        for attributes, value, expected in cases:
            self.assertEqual(dataref("mesh", RUN, attributes, value), expected)
        wrong = [
            ("https://example.com/x", "no reference that the mesh can follow"),
            (7, "no reference"),
            (f"{good}#output", "no reference"),
            (good.replace("MESH_", "OTHER_"), "another bucket"),
            (good.replace("3.6ba", "3.7ba"), "does not belong to run"),
        ]
        for text, error in wrong:
            with self.assertRaisesRegex(mesh_agent.envelope.Unreadable, error):
                dataref("mesh", RUN, {"dataref": text}, None)


class Agents(MeshTest):
    """An agent and a client."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.world.one("large")
        cls.world.one("never", "nobody")

    def echo(self):
        agent = self.agent()

        @agent.capability("large")
        async def large(ctx, input):
            return input

        @agent.capability("ask")
        async def ask(ctx, input):
            return await ctx.call("large", input)

        return self.serving(agent)

    async def test_five_megabytes_pass_through(self):
        much = {"text": "ä\"" + "x" * 5_000_000}
        async with self.echo():
            run = await self.mesh.start("large", much)
            self.assertTrue(await run.result(PATIENCE) == much, "another output")
            self.assertTrue(await self.mesh.call("ask", much, timeout=PATIENCE) == much, "another answer")
        created = data(await self.first("MESH_TASKS", f"mesh.task.created.large.normal.{run.id}.t.1"))
        completed = data(await self.first("MESH_EVENTS", f"mesh.task.completed.large.normal.{run.id}.t.1"))
        for event, member in ((created, "input"), (completed, "output")):
            self.assertRegex(event["dataref"], rf"^nats-object:MESH_OBJECTS/{run.id}\.[0-9a-f]{{64}}#/{member}$")
            self.assertNotIn(member, event["data"])
        # Whoever follows the run sees events with all of their data.
        seen = {event.type: event.data async for event in self.mesh.run(run.id).events()}
        self.assertTrue(seen["workflow.started"]["input"] == much)
        self.assertTrue(seen["task.completed"]["output"] == much)

    async def test_the_limit(self):
        async with self.echo():
            run = await self.mesh.start("large", "")
            await run.result(PATIENCE)
            subject = f"mesh.task.completed.large.normal.{run.id}.t.1"
            overhead = len((await self.first("MESH_EVENTS", subject)).data)
            for length, is_carried in ((65536 - overhead, True), (65536 - overhead + 1, False)):
                # Ids have one length, and so have the events of all runs, but for the shard.
                run = await self.mesh.start("large", "x" * length)
                await run.result(PATIENCE)
                stored = await self.first("MESH_EVENTS", f"mesh.task.completed.large.normal.{run.id}.t.1")
                self.assertEqual("dataref" not in data(stored), is_carried, len(stored.data))

    async def test_an_input_that_is_lost_is_a_failure_and_an_output_is_told(self):
        run = await self.mesh.start("large", "x" * 100_000)
        created = data(await self.first("MESH_TASKS", f"mesh.task.created.large.normal.{run.id}.t.1"))
        store = await self.js.object_store("MESH_OBJECTS")
        await store.delete(created["dataref"].split("/")[1].split("#")[0])
        async with self.echo():
            with self.assertRaises(mesh_agent.RunFailed) as failed:
                await run.result(PATIENCE)
            self.assertEqual(failed.exception.code, "lost_input")
            run = await self.mesh.start("large", "y" * 100_000)
            await run.result(PATIENCE)
        completed = data(await self.first("MESH_EVENTS", f"mesh.workflow.completed.large.-.{run.id}"))
        await store.delete(completed["dataref"].split("/")[1].split("#")[0])
        with self.assertRaisesRegex(LostData, f"the output of run {run.id} is lost"):
            await run.result(PATIENCE)

    async def test_what_is_larger_than_any_data_may_be_is_refused(self):
        with self.assertRaisesRegex(InputError, f"at most {MAX_DATA} are allowed"):
            await self.mesh.start("never", "x" * MAX_DATA)

    async def test_a_request_that_refers_to_nothing_is_rejected(self):
        run = mesh_agent.run_id("workflow.never", "/shop", "1", 8)
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "/shop",
            "type": "workflow.requested",
            "dataref": f"nats-object:MESH_OBJECTS/{run}.{HEX}",
        }
        await self.js.publish("mesh.workflow.requested.never", json.dumps(event).encode())
        with self.assertRaises(RequestRejected) as rejected:
            await asyncio.wait_for(self.mesh.run(run).result(), PATIENCE)
        self.assertEqual(rejected.exception.code, "lost_input")


class Limited(MeshTest):
    """An agent that may not use the bucket."""

    CONFIG = """
    accounts: {
      A: {
        jetstream: enabled
        users: [
          {user: all, password: p}
          {user: agent, password: p, permissions: {
            publish: {deny: ["$O.>", "$JS.API.DIRECT.GET.OBJ_MESH_OBJECTS"]}
          }}
        ]
      }
    }
    """

    @classmethod
    def setUpClass(cls):
        cls.world = cls.new_world(cls.CONFIG, user="all:p")

    async def test_it_carries_what_a_message_can_carry(self):
        self.world.one("much")
        url = self.world.server.url
        agent = mesh_agent.Agent(
            "tested", connection=mesh_agent.Connection(url=url, user="agent", password="p")
        )

        @agent.capability("much")
        async def much(ctx, input):
            return "x" * input

        async with self.serving(agent):
            self.assertEqual(len(await self.output("much", 200_000)), 200_000)
