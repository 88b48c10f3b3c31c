"""Secrets that tasks refer to: with the agent, and nowhere else."""

import logging
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from mesh_agent import Fatal, Secrets
from mesh_agent.secret import Redactor, SecretUse
from tests.support import MeshTest

PLACEHOLDER = '${secret("api-key")}'


class Finding(unittest.TestCase):
    """Where they are, and what is said if they are not."""

    def test_files_go_before_variables_and_lose_their_last_newline(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "api-key").write_bytes(b"one\r\n")
            environment = {"MESH_SECRET_API_KEY": "two", "MESH_SECRET_OTHER": "three\n", "MESH_SECRETS_DIR": folder}
            with mock.patch.dict(os.environ, environment):
                self.assertEqual(Secrets().find("api-key"), "one")
                self.assertEqual(Secrets().find("other"), "three\n")
                with self.assertRaises(Fatal) as failed:
                    Secrets().find("db-password")
        self.assertEqual(failed.exception.code, "missing_secret")
        file = Path(folder, "db-password")
        self.assertEqual(
            failed.exception.message,
            f"the secret 'db-password' is neither in the file {file} nor in the variable MESH_SECRET_DB_PASSWORD of the agent",
        )

    def test_what_cannot_be_read_is_told_without_its_content(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "binary").write_bytes(b"hunter2\xff")
            Path(folder, "large").write_text("hunter2" * 10_000)
            Path(folder, "folder").mkdir()
            for name, why in (("binary", "not UTF-8"), ("large", "larger than"), ("folder", "cannot be read")):
                with self.assertRaisesRegex(Fatal, why) as failed:
                    Secrets(folder).find(name)
                self.assertNotIn("hunter2", str(failed.exception))
        self.assertNotIn("hunter2", repr(Secrets(given={"a": "hunter2"})))

    def test_they_are_put_where_the_task_says(self):
        secrets = Secrets(given={"api-key": "hunter2", "short": "x"})
        input = {"a/b": [f"<{PLACEHOLDER}>", PLACEHOLDER], "c": PLACEHOLDER}
        put, redactor = secrets.put_into(input, [SecretUse("/a~1b/0", "api-key")])
        self.assertEqual(put, {"a/b": ["<hunter2>", PLACEHOLDER], "c": PLACEHOLDER})
        self.assertEqual(input["a/b"][0], f"<{PLACEHOLDER}>")
        self.assertEqual(redactor.value({"hunter2": ["a hunter2"]}), {"[secret api-key]": ["a [secret api-key]"]})
        self.assertEqual(secrets.put_into(PLACEHOLDER, [SecretUse("", "api-key")])[0], "hunter2")
        for wrong in ("/a~1b/7", "/a~1b", "/x", "/c/0"):
            with self.assertRaisesRegex(Fatal, "where no text stands"):
                secrets.put_into(input, [SecretUse(wrong, "api-key")])

    def test_they_are_found_in_other_spellings(self):
        redactor = Redactor({"quoted": 'pa"ss\\word', "pem": "BEGIN\nMIIEvQIBADANBgkqhkiG9w\nEND", "tiny": "abc"})
        self.assertEqual(redactor.text('{"p": "pa\\"ss\\\\word"}'), '{"p": "[secret quoted]"}')
        self.assertEqual(redactor.text("line MIIEvQIBADANBgkqhkiG9w of abc"), "line [secret pem] of abc")
        self.assertFalse(Redactor())


class Working(MeshTest):
    """Agents that are given secrets."""

    async def test_secrets_are_with_the_agent_and_nowhere_else(self):
        agent = self.agent(secrets=Secrets(given={"api-key": "hunter2"}))

        @agent.capability("guarded")
        async def guarded(ctx, input):
            if input["how"] == "raise":
                raise ValueError(f"no such key: {input['key']}")
            await ctx.progress(0.5, input["key"])
            return {"key": input["key"], "length": len(input["key"])}

        task = f"with: {{key: '{PLACEHOLDER}', how: '${{input.how}}'}}, retry: {{max_attempts: 1}}"
        self.world.one("guarded", task=task)
        with self.assertLogs("mesh_agent", logging.WARNING) as logs:
            async with self.serving(agent):
                output = await self.output("guarded", {"how": "return"})
                self.assertEqual(output, {"key": "[secret api-key]", "length": 7})
                failed = await self.failure("guarded", {"how": "raise"})
        self.assertIn("ValueError: no such key: [secret api-key]", failed.message)
        self.assertIn("Traceback", "".join(logs.output))
        self.assertNotIn("hunter2", "".join(logs.output))

    async def test_one_that_is_not_there_fails_the_task(self):
        agent = self.agent(secrets=Secrets(given={}))

        @agent.capability("poor")
        async def poor(ctx, input):
            return input

        self.world.one("poor", task=f"with: '{PLACEHOLDER}'")
        async with self.serving(agent):
            failed = await self.failure("poor")
        self.assertEqual(failed.code, "missing_secret")
        self.assertIn("the secret 'api-key'", failed.message)

    async def test_a_request_puts_values_in_place_of_the_definitions(self):
        agent = self.agent()

        @agent.capability("told")
        async def told(ctx, input):
            return input

        self.world.apply(
            "mesh: v1\nname: told\nconfig: {model: small, limits: {max: 5}}\noutput: '${tasks.t.output}'\n"
            "tasks: {t: {agent: told, with: '${config}'}}\n"
        )
        async with self.serving(agent):
            run = await self.mesh.start("told", config={"limits": {"max": 9}})
            self.assertEqual(await run.result(30), {"model": "small", "limits": {"max": 9}})
            run = await self.mesh.start("told", config={"modle": "x\x7f\n"})
            with self.assertRaisesRegex(Exception, "did you mean 'model'"):
                await run.result(30)
