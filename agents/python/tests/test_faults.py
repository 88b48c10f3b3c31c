"""Agents that die or stop at work, messages that nobody can read, and servers that go away."""

import asyncio
import json
import logging
import signal

from mesh_agent import Agent, Connection, RunFailed, attempt
from tests.support import PATIENCE, MeshTest


class Processes(MeshTest):
    """Agents in processes of their own, which are given up after a second of silence."""

    async def fragile(self, capability):
        """A workflow whose agents are `worker.py`."""
        await self.impatient(capability)
        return self.world.one(capability)

    async def test_another_takes_over_when_one_is_killed(self):
        await self.fragile("killed")
        first = self.worker("killed")
        run = await self.mesh.start("killed", {"do": "hang", "once": True})
        await self.assigned(run, "killed")
        first.kill()
        self.worker("killed")
        self.assertEqual((await run.result(PATIENCE))["delivery"], 2)
        self.assertEqual(len(await self.stored("MESH_EVENTS", f"mesh.task.*.killed.normal.{run.id}.t.1")), 1)

    async def test_longer_than_ack_wait_is_one_execution(self):
        await self.fragile("longer")
        worker = self.worker("longer")
        self.assertEqual((await self.output("longer", {"do": "sleep", "seconds": 2.5}))["delivery"], 1)
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(sum(line.startswith("sleep") for line in worker.log), 1)

    async def test_what_runs_is_finished_before_the_process_ends(self):
        await self.fragile("finishes")
        worker = self.worker("finishes")
        run = await self.mesh.start("finishes", {"do": "sleep", "seconds": 0.5})
        await self.assigned(run, "finishes")
        self.assertEqual(await asyncio.to_thread(worker.stop), 0)
        self.assertEqual((await run.result(PATIENCE))["delivery"], 1)

    async def test_what_does_not_end_in_time_goes_to_another(self):
        # Patient: only what is handed back comes again soon.
        await self.impatient("drained", ack_wait=300)
        self.world.one("drained")
        first = self.worker("drained", "0.2")
        run = await self.mesh.start("drained", {"do": "hang", "once": True})
        taken = await self.assigned(run, "drained")
        second = self.worker("drained")
        self.assertEqual(await asyncio.to_thread(first.stop), 0)
        self.assertEqual((await run.result(PATIENCE))["delivery"], 2)
        subject = f"mesh.task.released.drained.normal.{run.id}.t.1.1"
        [note] = await self.stored("MESH_NOTES", subject)
        expected = {"agent": taken["agent"], "delivery": 1, "lost": 0}
        self.assertEqual(json.loads(note.data)["data"], expected)
        self.assertEqual(await asyncio.to_thread(second.stop, signal.SIGINT), 0)

    async def test_what_kills_everyone_who_takes_it_is_poison(self):
        await self.impatient("poison", ack_wait=0.3)
        self.world.one("poison")
        run = await self.mesh.start("poison", {"do": "die"})
        workers = [self.worker("poison") for _ in range(6)]
        with self.assertRaises(RunFailed) as failed:
            await run.result(PATIENCE)
        self.assertEqual(failed.exception.code, "poison")
        codes = [worker.child.poll() for worker in workers]
        self.assertEqual((codes.count(9), codes.count(None)), (5, 1))
        letter = await self.first("MESH_DEAD", "mesh.dead.tasks.poison")
        self.assertEqual(json.loads(letter.data)["data"]["input"], {"do": "die"})
        self.assertEqual(letter.headers["ce-subject"], f"mesh.task.created.poison.normal.{run.id}.t.1")

    async def test_what_was_handed_back_is_no_poison(self):
        await self.impatient("handed", ack_wait=300)
        self.world.one("handed")
        run = await self.mesh.start("handed", {"do": "hang"})
        for delivery in range(1, 8):
            worker = self.worker("handed", "0")
            await self.assigned(run, "handed", delivery)
            self.assertEqual(await asyncio.to_thread(worker.stop), 0)
        note = await self.first("MESH_NOTES", f"mesh.task.released.handed.normal.{run.id}.t.1.7")
        self.assertEqual(json.loads(note.data)["data"]["lost"], 0)

    async def test_only_lost_deliveries_count(self):
        self.assertEqual(attempt.lost_count(0, 0, 1), 0)
        self.assertEqual(attempt.lost_count(0, 0, 6), 5)
        self.assertEqual(attempt.lost_count(5, 0, 6), 0)
        self.assertEqual(attempt.lost_count(3, 1, 6), 3)
        # A zombie gave back what had been delivered to another meanwhile.
        self.assertEqual(attempt.lost_count(7, 2, 6), 2)

    async def test_an_agent_that_cannot_start_says_why(self):
        self.world.environment["MESH_NATS_URL"] = "nats://127.0.0.1:1"
        try:
            worker = self.world.worker("alone")
        finally:
            self.world.environment["MESH_NATS_URL"] = self.world.url
        self.addCleanup(worker.kill)
        self.assertEqual(await asyncio.to_thread(worker.ended), 1)
        self.assertIn("cannot connect to NATS at nats://127.0.0.1:1", worker.log[-1])
        self.assertIn("`mesh up` starts one", worker.log[-1])


class Messages(MeshTest):
    """Work that is not as it should be."""

    def greeter(self, capability):
        agent = self.agent()
        self.executed = 0

        @agent.capability(capability)
        async def greet(ctx, input):
            self.executed += 1
            return input

        return self.serving(agent)

    async def created(self, run, capability):
        """The work of task `t` of a run, as it is on the wire."""
        return await self.first("MESH_TASKS", f"mesh.task.created.{capability}.normal.{run.id}.t.1")

    async def test_garbage_is_put_aside_and_holds_nothing_up(self):
        self.world.one("garbage")
        run = "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e"
        wrong = {
            f"garbage.normal.3.{run}.t.1": b"\xff{",
            f"garbage.normal.3.{run}.t.2": b'{"workflow": "x"}',
            f"garbage.normal.3.{run}.T.1": b"{}",
        }
        # No run has the task, so its failure does not stay in the log.
        failures = await self.nats.subscribe(f"mesh.task.failed.garbage.normal.3.{run}.t.2")
        for tail, body in wrong.items():
            await self.js.publish(
                f"mesh.task.created.{tail}", body, headers={"x-own": "1", "Nats-Msg-Id": tail}
            )
        async with self.greeter("garbage"):
            self.assertEqual(await self.output("garbage", "well"), "well")
            letters = []
            while len(letters) < 3:
                letters = await self.stored("MESH_DEAD", "mesh.dead.tasks.malformed")
        found = {letter.headers["ce-subject"]: letter for letter in letters}
        self.assertEqual({subject.split("created.")[1]: found[subject].data for subject in found}, wrong)
        for letter in letters:
            self.assertEqual((letter.headers["x-own"], letter.headers["ce-stream"]), ("1", "tasks"))
            self.assertEqual(letter.headers["Nats-Msg-Id"], f"MESH_TASKS/{letter.headers['ce-sequence']}")
        self.assertIn(
            "digest%20is%20missing",
            found[f"mesh.task.created.garbage.normal.3.{run}.t.2"].headers["ce-error"],
        )
        failed = await failures.next_msg(PATIENCE)
        error = json.loads(failed.data)["data"]["error"]
        self.assertEqual((error["code"], error["retryable"]), ("malformed_task", True))

    async def test_a_newer_schema_is_left_to_newer_agents(self):
        self.world.one("newer")
        subject = "mesh.task.created.newer.normal.3.2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e.t.1"
        event = {"specversion": "1.0", "id": "1", "source": "/new", "type": "task.created"}
        event["dataschema"] = "urn:mesh:schema:task.created:2"
        settled = await self.nats.subscribe("$JS.ACK.MESH_TASKS.agent-newer-normal.>")
        await self.js.publish(subject, json.dumps(event).encode())
        async with self.greeter("newer"):
            note = await self.first("MESH_NOTES", subject.replace("created", "released") + ".1")
            self.assertEqual(json.loads(note.data)["data"]["delivery"], 1)
            self.assertEqual((await settled.next_msg(PATIENCE)).data, b'-NAK {"delay":30000000000}')
        self.assertEqual(self.executed, 0)

    async def test_work_whose_outcome_is_known_is_not_done_again(self):
        await self.impatient("looked", ack_wait=300)
        self.world.one("looked")
        run = await self.mesh.start("looked", 1)
        created = await self.created(run, "looked")
        # Somebody takes the work, stores its outcome and gives it back without a word.
        taken = await self.js.pull_subscribe_bind("agent-looked-normal", "MESH_TASKS")
        [message] = await taken.fetch(1, PATIENCE)
        outcome = created.subject.replace("created", "completed")
        await self.js.publish(outcome, b'{"output": "theirs"}')
        settled = await self.nats.subscribe("$JS.ACK.MESH_TASKS.agent-looked-normal.2.>")
        await self.nats.flush()
        await message.nak()
        async with self.greeter("looked"):
            self.assertEqual((await settled.next_msg(PATIENCE)).data, b"+ACK")
        self.assertEqual((await run.result(PATIENCE), self.executed), ("theirs", 0))

    async def test_an_outcome_that_stands_already_is_as_good_as_stored(self):
        self.world.one("twice")
        agent = self.agent()

        @agent.capability("twice")
        async def twice(ctx, input):
            # Another agent, which was given up for dead, is quicker.
            subject = f"mesh.task.completed.twice.normal.{ctx.run}.t.1"
            await self.js.publish(subject, b'{"output": "theirs"}')
            return "ours"

        settled = await self.nats.subscribe("$JS.ACK.MESH_TASKS.agent-twice-normal.>")
        await self.nats.flush()
        async with self.serving(agent):
            self.assertEqual(await self.output("twice"), "theirs")
            self.assertEqual((await settled.next_msg(PATIENCE)).data, b"+ACK")

    async def test_bare_work_is_done(self):
        self.world.one("bare")
        run = await self.mesh.start("bare", "x")
        created = await self.created(run, "bare")
        await self.js.purge_stream("MESH_TASKS", subject=created.subject)
        await self.js.publish(created.subject, json.dumps(json.loads(created.data)["data"]).encode())
        async with self.greeter("bare"):
            self.assertEqual(await run.result(PATIENCE), "x")


class Permissions(MeshTest):
    """An agent that may do no more than its work needs."""

    CONFIG = """
    authorization {
      users: [
        {user: all, password: p}
        {user: agent, password: p, permissions: {
          publish: [
            "mesh.task.completed.least.>", "mesh.task.failed.least.>", "$JS.ACK.MESH_TASKS.agent-least-normal.>",
            "$JS.API.CONSUMER.INFO.MESH_TASKS.agent-least-normal",
            "$JS.API.CONSUMER.MSG.NEXT.MESH_TASKS.agent-least-normal"
          ]
          subscribe: "_INBOX_agent.>"
        }}
      ]
    }
    """

    @classmethod
    def setUpClass(cls):
        cls.world = cls.new_world(cls.CONFIG, user="all:p")

    async def test_the_fewest_permissions_are_enough(self):
        self.world.one("least")
        url = self.world.server.url
        limited = Connection(url=url, user="agent", password="p", inbox_prefix="_INBOX_agent")
        agent = Agent("tested", connection=limited)

        @agent.capability("least")
        async def least(ctx, input):
            return input

        with self.assertLogs("mesh_agent", "WARNING") as logs:
            async with self.serving(agent):
                self.assertEqual([await self.output("least", n) for n in range(3)], [0, 1, 2])
        # Told once each, and not for every task.
        text = "\n".join(logs.output).lower()
        for denied in ("mesh.agent.registered", "mesh.task.assigned"):
            self.assertEqual(text.count(f'permissions violation for publish to "{denied}'), 1)


class Servers(MeshTest):
    """Consumers and servers that go away."""

    async def asyncSetUp(self):
        type(self).world = self.new_world()
        await super().asyncSetUp()
        self.world.one("goes-on")
        self.begun = asyncio.Queue()
        self.go = asyncio.Event()

    @classmethod
    def setUpClass(cls):
        """Each test has a world of its own."""

    def worker_here(self):
        agent = self.agent(capacity=3)

        @agent.capability("goes-on")
        async def goes_on(ctx, input):
            self.begun.put_nowait(input)
            await self.go.wait()
            return input

        return self.serving(agent)

    async def test_a_consumer_that_is_deleted_is_bound_anew(self):
        async with self.worker_here():
            first = await self.mesh.start("goes-on", 1)
            await asyncio.wait_for(self.begun.get(), PATIENCE)
            await self.js.delete_consumer("MESH_TASKS", "agent-goes-on-normal")
            second = await self.mesh.start("goes-on", 2)
            await self.impatient("goes-on", ack_wait=30)
            self.go.set()
            self.assertEqual([await first.result(PATIENCE), await second.result(PATIENCE)], [1, 2])

    async def test_everything_goes_on_after_a_restart_of_the_server(self):
        with self.assertLogs("mesh_agent", "WARNING") as logs:
            async with self.worker_here():
                first = await self.mesh.start("goes-on", 1)
                result = asyncio.ensure_future(first.result(PATIENCE))
                events = asyncio.ensure_future(self._types(first))
                await asyncio.wait_for(self.begun.get(), PATIENCE)
                self.world.server.kill()
                # The outcome has to wait for the server.
                self.go.set()
                second = asyncio.ensure_future(self.mesh.start("goes-on", 2))
                await asyncio.to_thread(self.world.server.start)
                self.assertEqual(await result, 1)
                self.assertEqual(await (await second).result(PATIENCE), 2)
                expected = ["workflow.started", "task.completed", "workflow.completed"]
                self.assertEqual(await asyncio.wait_for(events, PATIENCE), expected)
        said = [record.getMessage() for record in logs.records]
        # Once each by the agent and by the client.
        self.assertEqual(said.count("connection to NATS lost, connecting again"), 2)
        self.assertEqual(said.count("connected to NATS again"), 2)

    async def test_an_agent_waits_for_its_consumer(self):
        agent = self.agent()
        self.go.set()

        @agent.capability("later")
        async def later(ctx, input):
            return input

        with self.assertLogs("mesh_agent", "WARNING") as logs:
            async with self.serving(agent):
                await self.first("MESH_NOTES", f"mesh.agent.registered.{agent.id}")
                self.world.one("later")
                self.assertEqual(await self.output("later", 1), 1)
        self.assertIn(
            "an orchestrator makes it when a workflow that names the capability is applied", logs.output[0]
        )

    async def test_a_namespace_that_is_not_set_up_is_named(self):
        agent = Agent("tested", connection=Connection(url=self.world.server.url, namespace="other"))

        @agent.capability("anything")
        async def anything(ctx, input):
            return input

        told = asyncio.Queue()
        ear = logging.Handler()
        ear.emit = lambda record: told.put_nowait(record.getMessage())
        with self.assertLogs("mesh_agent", "WARNING"):
            logging.getLogger("mesh_agent").addHandler(ear)
            async with self.serving(agent):
                message = ""
                while "no work of anything" not in message:
                    message = await asyncio.wait_for(told.get(), PATIENCE)
        self.assertIn("the namespace 'other' is not set up on this server", message)

    async def _types(self, run):
        return [event.type async for event in run.events()]
