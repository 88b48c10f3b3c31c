"""How to connect: settings, and what is said when it cannot be."""

import asyncio
import base64
import importlib.util
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import mesh_agent
from mesh_agent import ConnectError, Connection, SettingError
from mesh_agent.link import Link
from tests.support import Server


class Settings(unittest.TestCase):
    """Keyword arguments and variables of the environment."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="mesh-agent-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def file(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def test_what_is_given_goes_before_the_environment_and_that_before_the_defaults(self):
        self.assertEqual(Connection().resolved({}), Connection(url="nats://127.0.0.1:4222", namespace="mesh"))
        environment = {
            "MESH_NATS_URL": "nats://a, nats://b:1,",
            "MESH_NAMESPACE": "other",
            "MESH_NATS_TOKEN": "",
        }
        found = Connection(namespace="mine").resolved(environment)
        self.assertEqual(
            (found.servers, found.namespace, found.token), (["nats://a", "nats://b:1"], "mine", None)
        )
        # A proof takes the place of all of the environment's.
        found = Connection(token="t").resolved({"MESH_NATS_USER": "u", "MESH_NATS_PASSWORD": "p"})
        self.assertEqual((found.user, found.password, found.token), (None, None, "t"))

    def test_secrets_are_not_shown(self):
        connection = Connection(url="nats://u:hunter2@a,u:hunter2@b", password="hunter2", token="hunter2")
        self.assertNotIn("hunter2", repr(connection) + connection.shown())

    def test_mistakes_are_named_with_what_to_do(self):
        creds, seed = self.file("wrong.creds", "nothing"), self.file("wrong.nk", "nothing")
        mistakes = [
            ({"MESH_NATS_PASWORD": "x"}, "MESH_NATS_PASWORD is no setting.*did you mean MESH_NATS_PASSWORD"),
            ({"MESH_NATS_CONTEXT": "x"}, "MESH_NATS_CONTEXT is not followed in Python"),
            ({"MESH_NAMESPACE": "My.Mesh"}, "'My.Mesh' is not a valid namespace: use"),
            ({"MESH_NATS_URL": ","}, "names no server"),
            ({"MESH_NATS_URL": "http://a"}, "'http://a' is no address of a NATS server: give one such as"),
            ({"MESH_NATS_URL": "nats://a:port"}, "is no address"),
            ({"MESH_NATS_USER": "u"}, "MESH_NATS_USER needs MESH_NATS_PASSWORD"),
            ({"MESH_NATS_PASSWORD": "p"}, "MESH_NATS_PASSWORD needs MESH_NATS_USER"),
            (
                {"MESH_NATS_TOKEN": "t", "MESH_NATS_CREDS": "c"},
                "only one of MESH_NATS_TOKEN and MESH_NATS_CREDS",
            ),
            ({"MESH_NATS_CERT": "c"}, "MESH_NATS_CERT needs MESH_NATS_KEY"),
            ({"MESH_NATS_CA": "no/such.pem"}, "MESH_NATS_CA: cannot read no/such.pem"),
            ({"MESH_NATS_CREDS": creds}, "MESH_NATS_CREDS: .*wrong.creds is no credentials file"),
            ({"MESH_NATS_NKEY": seed}, "MESH_NATS_NKEY: .*wrong.nk holds no seed"),
        ]
        for environment, text in mistakes:
            with self.subTest(text), self.assertRaisesRegex(SettingError, text):
                Connection().resolved(environment)
        with self.assertRaisesRegex(SettingError, "ca, cert or key: .*give files in PEM form"):
            Connection(ca=self.file("wrong.pem", "nothing")).resolved({}).client_options()

    def test_a_missing_package_is_named(self):
        seed = self.file("user.nk", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY")
        missing = mock.patch("importlib.util.find_spec", return_value=None)
        text = r"MESH_NATS_NKEY needs.*pip install 'mesh-agent\[nkeys\]'"
        with missing, self.assertRaisesRegex(SettingError, text):
            Connection(nkey=seed).resolved({})


class Connecting(unittest.IsolatedAsyncioTestCase):
    """Servers that take us, and servers that do not."""

    def server(self, config):
        folder = tempfile.TemporaryDirectory(prefix="mesh-agent-")
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "server.conf")
        Path(path).write_text(config.replace("$FOLDER", folder.name), encoding="utf-8")
        server = Server(folder.name, "--config", path)
        self.addCleanup(server.kill)
        self.folder = folder.name
        return server.url

    async def refused(self, connection, text):
        with self.assertRaisesRegex(ConnectError, text):
            link = await asyncio.wait_for(Link.open(connection, "test"), 20)
            await link.close()

    async def accepted(self, connection):
        link = await Link.open(connection, "test")
        await link.close()

    async def test_no_server(self):
        await self.refused(
            Connection(url="nats://u:secret@127.0.0.1:1"), "at nats://127.0.0.1:1: .*`mesh up` starts"
        )
        await self.refused(
            Connection(url="127.0.0.1:1,127.0.0.1:2"),
            "at nats://127.0.0.1:1,nats://127.0.0.1:2: ",
        )

    async def test_the_first_that_answers(self):
        url = self.server("jetstream {store_dir: '$FOLDER'}")
        await self.accepted(Connection(url=f"nats://127.0.0.1:1,{url}"))
        async with mesh_agent.connect(url):
            pass

    async def test_no_jetstream(self):
        await self.refused(
            Connection(url=self.server("")), "without JetStream: start it with `nats-server --jetstream`"
        )

    async def test_no_tls(self):
        url = self.server("jetstream {store_dir: '$FOLDER'}\nauthorization {token: t}")
        connection = Connection(url=url.replace("nats://", "tls://"), token="t")
        # Not even the token is sent.
        await self.refused(connection, "does not demand TLS, and the settings do")

    async def test_user_and_password_and_token(self):
        url = self.server("jetstream {store_dir: '$FOLDER'}\nauthorization {user: u, password: p}")
        await self.accepted(Connection(url=url, user="u", password="p"))
        for wrong in (Connection(url=url), Connection(url=url, user="u", password="x")):
            await self.refused(wrong, "Authorization Violation.*MESH_NATS_USER and MESH_NATS_PASSWORD")
        url = self.server("jetstream {store_dir: '$FOLDER'}\nauthorization {token: t}")
        with mock.patch.dict(os.environ, {"MESH_NATS_TOKEN": "t", "MESH_NATS_URL": url}):
            await self.accepted(Connection())

    @unittest.skipUnless(importlib.util.find_spec("nkeys"), "the package nkeys is not there")
    async def test_nkey(self):
        import nkeys

        pair = nkeys.from_seed(bytearray(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)))
        public = pair.public_key.decode()
        url = self.server(
            f"jetstream {{store_dir: '$FOLDER'}}\nauthorization {{users: [{{nkey: {public}}}]}}"
        )
        path = os.path.join(self.folder, "user.nk")
        Path(path).write_bytes(pair.seed)
        await self.accepted(Connection(url=url, nkey=path))
        other = nkeys.encode_seed(base64.b16decode("00" * 32), nkeys.PREFIX_BYTE_USER)
        Path(path).write_bytes(other)
        await self.refused(Connection(url=url, nkey=path), "Authorization Violation")
