"""What an agent tells about itself."""

import asyncio
import json
import re
import unittest

from mesh_agent import Agent, Connection, SettingError
from mesh_agent.observe import Figures, place
from tests.support import PATIENCE, ROOT, MeshTest


async def get(port, request):
    """The first line of the answer, and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode() + b"\r\n\r\n")
    head, _, body = (await asyncio.wait_for(reader.read(), PATIENCE)).decode().partition("\r\n\r\n")
    writer.close()
    return head.splitlines()[0] if head else "", body


class Endpoints(MeshTest):
    """The endpoint of an agent at work."""

    async def test_metrics_and_health_are_told(self):
        agent = self.agent(observe="127.0.0.1:0")

        @agent.capability("observed")
        async def observed(ctx, input):
            return input

        self.world.one("observed")
        async with self.serving(agent):
            await self.output("observed", 1)
            self.assertEqual(
                await get(agent.observed_port, "GET /readyz HTTP/1.1"), ("HTTP/1.1 200 OK", "ready\n")
            )
            self.assertEqual((await get(agent.observed_port, "GET /healthz HTTP/1.1"))[1], "alive\n")
            told = (await get(agent.observed_port, "GET /metrics HTTP/1.1"))[1]
            with_query = (await get(agent.observed_port, "GET /metrics?x=1 HTTP/1.1"))[1]
            self.assertIn("# TYPE mesh_nats_up gauge\n", with_query)
            self.assertIn("404", (await get(agent.observed_port, "GET / HTTP/1.1"))[0])
            self.assertIn("405", (await get(agent.observed_port, "POST /metrics HTTP/1.1"))[0])
            self.assertIn("400", (await get(agent.observed_port, "rubbish"))[0])
        self.assertIn('mesh_agent_outcomes_total{capability="observed",outcome="completed"} 1\n', told)
        self.assertIn('mesh_agent_tasks_running{capability="observed"} 0\n', told)
        self.assertIn("# TYPE mesh_nats_up gauge\nmesh_nats_up 1\n", told)

    async def test_what_is_wrong_is_told_as_a_service_too(self):
        elsewhere = Connection(url=self.world.server.url, namespace="nowhere")
        agent = Agent("tested", connection=elsewhere, observe="127.0.0.1:0")
        agent.capability("nowhere")(lambda ctx, input: input)
        async with self.serving(agent):
            wrong = await asyncio.wait_for(self._wrong(agent), PATIENCE)
            answer = json.loads((await self.nats.request("$SRV.STATS.tested", timeout=PATIENCE)).data)
            [state] = answer["endpoints"]
            asked = json.loads((await self.nats.request(state["subject"], timeout=PATIENCE)).data)
        self.assertTrue(wrong.startswith("no source of work for capability nowhere: "), wrong)
        self.assertEqual(state["data"]["problems"], wrong.splitlines())
        self.assertEqual((asked["problems"], asked["type"]), (wrong.splitlines(), "tested"))

    async def test_that_no_workflow_names_a_capability_is_not_wrong(self):
        agent = self.agent(observe="127.0.0.1:0")
        agent.capability("unnamed")(lambda ctx, input: input)
        with self.assertLogs("mesh_agent", "WARNING") as lines:
            async with self.serving(agent):
                while not any("no work of unnamed" in line for line in lines.output) or not agent.observed_port:
                    await asyncio.sleep(0)
                self.assertIn("200", (await get(agent.observed_port, "GET /readyz HTTP/1.1"))[0])

    async def _wrong(self, agent):
        """What an agent says is wrong, once it says something."""
        while True:
            await asyncio.sleep(0)
            if agent.observed_port is not None:
                line, body = await get(agent.observed_port, "GET /readyz HTTP/1.1")
                if "503" in line:
                    return body

    async def test_an_address_that_is_taken_is_told(self):
        taken = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        agent = self.agent(observe=f"127.0.0.1:{taken.sockets[0].getsockname()[1]}")
        agent.capability("taken")(lambda ctx, input: input)
        with self.assertRaisesRegex(SettingError, "metrics and health cannot be told at 127.0.0.1"):
            await agent.serve(asyncio.Event())
        taken.close()


class Texts(unittest.TestCase):
    """What is told, and where."""

    def test_names_are_those_of_the_mesh(self):
        known = (ROOT / "schemas/metrics.md").read_text(encoding="utf-8")
        source = (ROOT / "agents/python/mesh_agent/observe.py").read_text(encoding="utf-8")
        for name in re.findall(r'^    "(mesh_[a-z_]+)"', source, re.MULTILINE):
            self.assertIn(f"| `{name}` |", known)

    def test_values_of_labels_are_escaped(self):
        figures = Figures()
        figures.add("mesh_agent_capacity", 2, capability='a"\\\n')
        self.assertIn('mesh_agent_capacity{capability="a\\"\\\\\\n"} 2\n', figures.text({}))

    def test_an_address_has_a_port(self):
        self.assertIsNone(place("off"))
        self.assertEqual(place("127.0.0.1:9465"), ("127.0.0.1", 9465))
        self.assertEqual(place("[::1]:9465"), ("::1", 9465))
        for wrong in ("9465", ":9465", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"):
            with self.assertRaisesRegex(SettingError, "give an address with a port"):
                place(wrong)
