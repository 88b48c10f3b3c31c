"""Agents at work: handlers, their failures and their time, calls, and what is seen of them."""

import asyncio
import contextlib
import json
import threading
import time
from dataclasses import dataclass

from mesh_agent import Context, Fatal, Output, Retryable, SettingError
from tests.support import PATIENCE, MeshTest

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TWICE = "retry: {max_attempts: 2, initial: 0s}"


@dataclass
class Greeting:
    text: str
    times: int = 1


class Handlers(MeshTest):
    """What handlers take and give."""

    async def test_typed_input_and_output(self):
        agent = self.agent()

        @agent.capability("typed")
        async def typed(ctx: Context, greeting: Greeting) -> Greeting:
            return Greeting(greeting.text * greeting.times, 0)

        self.world.one("typed")
        async with self.serving(agent):
            self.assertEqual(
                await self.output("typed", {"text": "ho", "times": 2}), {"text": "hoho", "times": 0}
            )
            failed = await self.failure("typed", {"text": "ho", "times": "2"})
        self.assertEqual((failed.code, failed.task), ("invalid_input", "t"))
        self.assertIn("input.times is '2', and not an integer", failed.message)

    async def test_plain_functions_run_in_threads_and_reach_the_loop(self):
        agent = self.agent(capacity=2)
        both = threading.Barrier(2, timeout=PATIENCE)
        main = threading.get_ident()

        @agent.capability("plain")
        def plain(ctx, input):
            if input == "inner":
                return "deep"
            both.wait()  # both are at work at once
            answer = ctx.wait(ctx.call("plain-inner", "inner")) if input == "call" else None
            return [threading.get_ident() != main, answer]

        @agent.capability("plain-inner")
        def inner(ctx, input):
            return f"{input}!"

        self.world.one("plain")
        async with self.serving(agent):
            outputs = await asyncio.gather(self.output("plain", "call"), self.output("plain", "other"))
        self.assertEqual(outputs, [[True, "inner!"], [True, None]])

    async def test_the_context_tells_of_the_task(self):
        agent = self.agent(id="tested-1")

        @agent.capability("tells")
        async def tells(ctx, input):
            return [
                *(ctx.run, ctx.workflow, ctx.task, ctx.attempt, ctx.delivery, ctx.action, ctx.agent),
                *(ctx.idempotency_key, ctx.correlation_id, ctx.traceparent, ctx.deadline is not None),
            ]

        self.world.one("tells", task="action: look")
        async with self.serving(agent):
            run = await self.mesh.start("tells", correlation_id="case 7", traceparent=PARENT)
            told = await run.result(PATIENCE)
        key = f"{run.id}.t"
        self.assertEqual(told[:8], [run.id, "tells", "t", 1, 1, "look", "tested-1", key])
        self.assertEqual((told[8], told[9][3:35], told[10]), ("case 7", PARENT[3:35], True))
        [outcome] = await self.stored("MESH_EVENTS", f"mesh.task.completed.tells.normal.{run.id}.t.1")
        event = json.loads(outcome.data)
        self.assertEqual(event["id"], outcome.subject)
        self.assertEqual(event["source"], "/mesh/agents/tested")
        self.assertEqual(event["causationid"], outcome.subject.replace("completed", "created"))
        self.assertEqual((event["correlationid"], event["traceparent"]), ("case 7", PARENT))
        self.assertEqual(outcome.headers["traceparent"][3:35], PARENT[3:35])

    async def test_quality_and_usage(self):
        agent = self.agent()

        @agent.capability("quality")
        async def quality(ctx, input):
            return Output("good", quality=2, usage={"tokens": 7})

        self.world.one("quality")
        async with self.serving(agent):
            run = await self.mesh.start("quality")
            self.assertEqual(await run.result(PATIENCE), "good")
            [done] = [event async for event in run.events() if event.type == "task.completed"]
        self.assertEqual((done.data["quality"], done.data["usage"], done.task), (1.0, {"tokens": 7}, "t"))

    async def test_capacity_bounds_what_runs_at_once(self):
        agent = self.agent(capacity=2)
        running, most, full = 0, 0, asyncio.Event()

        @agent.capability("bounded")
        async def bounded(ctx, input):
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 2:
                full.set()
            await full.wait()
            await asyncio.sleep(0)
            running -= 1

        self.world.one("bounded")
        async with self.serving(agent):
            await asyncio.gather(*(self.output("bounded") for _ in range(9)))
        self.assertEqual(most, 2)

    async def test_progress_is_told(self):
        agent = self.agent()

        @agent.capability("progress")
        async def progress(ctx, input):
            await ctx.progress(0.5, "half")

        self.world.one("progress")
        heard = await self.nats.subscribe("mesh.task.progress.progress.>")
        await self.nats.flush()
        async with self.serving(agent):
            await self.output("progress")
            data = json.loads((await heard.next_msg(PATIENCE)).data)["data"]
        self.assertEqual((data["progress"], data["message"], data["agent"]), (0.5, "half", agent.id))


class Failures(MeshTest):
    """How tasks fail."""

    async def test_errors_of_each_kind(self):
        agent = self.agent()

        @agent.capability("fails")
        async def fails(ctx, input):
            if input == "fatal":
                raise Fatal("no", "never")
            if input == "retryable":
                raise Retryable("busy", "not now \ud800", retry_after=0.1)
            if input == "error":
                raise KeyError("x") from ValueError("deep")
            if input == "exit":
                raise SystemExit(3)
            if input == "cancel":
                raise asyncio.CancelledError
            return {"output": {1, 2}} if input == "output" else "x" * 20_000_000

        self.world.one("fails", task=TWICE)
        expected = {
            "fatal": ("no", "never", 1),
            "retryable": ("busy", "not now ?", 2),
            "error": ("error", "KeyError: 'x': ValueError: deep", 2),
            "exit": ("error", "SystemExit: 3", 2),
            "cancel": ("error", "the handler was cancelled from within", 2),
            "output": (
                "invalid_output",
                "the result is not JSON: a value of type set has no form in JSON",
                1,
            ),
            "large": ("payload_too_large", "the outcome is larger than an event may be: ", 1),
        }
        async with self.serving(agent):
            for input, (code, message, attempts) in expected.items():
                with self.subTest(input):
                    run = await self.mesh.start("fails", input)
                    with self.assertRaisesRegex(Exception, "failed") as raised:
                        await run.result(PATIENCE)
                    self.assertEqual(raised.exception.code, code)
                    self.assertIn(message, raised.exception.message)
                    failed = [event async for event in run.events() if event.type == "task.failed"]
                    self.assertEqual([event.attempt for event in failed], list(range(1, attempts + 1)))
                    self.assertEqual(failed[0].data["error"]["retryable"], attempts == 2)
        self.assertEqual(failed[0].data["agent"], agent.id)

    async def test_plain_functions_fail_in_the_same_way(self):
        agent = self.agent()

        @agent.capability("plain-fails")
        def plain_fails(ctx, input):
            if input == "stop":
                raise StopIteration("x")
            if input == "exit":
                raise SystemExit(3)
            raise Fatal("no", "never")

        self.world.one("plain-fails")
        async with self.serving(agent):
            for input, code in (("stop", "error"), ("exit", "error"), ("fatal", "no")):
                self.assertEqual((await self.failure("plain-fails", input)).code, code)

    async def test_another_attempt_may_go_well(self):
        agent = self.agent()

        @agent.capability("second")
        async def second(ctx, input):
            if ctx.attempt == 1:
                raise Retryable("busy", "not now", retry_after=0.2)
            return [ctx.attempt, ctx.idempotency_key]

        self.world.one("second", task=TWICE)
        async with self.serving(agent):
            run = await self.mesh.start("second")
            self.assertEqual(await run.result(PATIENCE), [2, f"{run.id}.t"])
            times = {event.subject.split(".")[-1]: event.time async for event in run.events() if event.task}
        self.assertGreaterEqual((times["2"] - times["1"]).total_seconds(), 0.2)

    async def test_time_over(self):
        agent = self.agent()
        told = threading.Event()

        @agent.capability("slow")
        async def slow(ctx, input):
            try:
                await asyncio.Event().wait()
            finally:
                if ctx.cancelled.is_set():
                    told.set()

        @agent.capability("slow-plain")
        def slow_plain(ctx, input):
            while not ctx.cancelled.is_set():
                time.sleep(0.01)
            told.set()

        self.world.one("slow", task="timeout: 200ms, retry: {max_attempts: 1}")
        self.world.one("slow-plain", task="timeout: 200ms, retry: {max_attempts: 1}")
        async with self.serving(agent):
            for workflow in ("slow", "slow-plain"):
                told.clear()
                failed = await self.failure(workflow)
                self.assertEqual(failed.code, "timeout")
                self.assertTrue(await asyncio.to_thread(told.wait, PATIENCE))

    async def test_a_cancelled_run_tells_the_handler(self):
        agent = self.agent()
        begun, told = asyncio.Event(), asyncio.Event()

        @agent.capability("cancelled")
        async def cancelled(ctx, input):
            begun.set()
            await ctx.cancelled.wait()
            told.set()

        self.world.one("cancelled")
        async with self.serving(agent):
            run = await self.mesh.start("cancelled")
            await asyncio.wait_for(begun.wait(), PATIENCE)
            await run.cancel("enough")
            with self.assertRaisesRegex(Exception, "was cancelled: enough"):
                await run.result(PATIENCE)
            await asyncio.wait_for(told.wait(), PATIENCE)


class Calls(MeshTest):
    """One agent asking another."""

    async def test_the_same_question_has_the_same_answer_in_every_execution(self):
        agent = self.agent()
        answers = 0

        @agent.capability("answers")
        async def answers_(ctx, input):
            nonlocal answers
            answers += 1
            return [input["n"], answers]

        @agent.capability("asks")
        async def asks(ctx, input):
            first = await ctx.call("answers", {"n": 1, "m": 2})
            if ctx.delivery == 1:
                await asyncio.Event().wait()  # as if it had died
            return [first, await ctx.call("answers", {"m": 2, "n": 1})]

        await self.impatient("asks")
        self.world.one("asks")
        stop = asyncio.Event()
        dying = asyncio.ensure_future(agent.serve(stop))
        run = await self.mesh.start("asks")
        await self.first("MESH_EVENTS", "mesh.task.completed.answers.>")
        dying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await dying
        async with self.serving(agent):
            self.assertEqual(await run.result(PATIENCE), [[1, 1], [1, 2]])
        starts = await self.stored("MESH_EVENTS", "mesh.workflow.started.-.>")
        linked = [event["correlationid"] == run.id for event in (json.loads(start.data) for start in starts)]
        self.assertEqual(sum(linked), 2)

    async def test_the_failure_of_the_called_is_that_of_the_caller(self):
        agent = self.agent()

        @agent.capability("refuses")
        async def refuses(ctx, input):
            raise Fatal("no", "never")

        @agent.capability("passes-on")
        async def passes_on(ctx, input):
            return await ctx.call(input, None)

        self.world.one("passes-on", task=TWICE)
        async with self.serving(agent):
            failed = await self.failure("passes-on", "refuses")
            self.assertEqual(
                (failed.code, failed.message), ("no", "task 't' failed: task 'task' failed: never")
            )
            failed = await self.failure("passes-on", "No Name")
            self.assertEqual(failed.code, "invalid_input")
            self.assertIn("'No Name' is not a valid capability", failed.message)

    async def test_waiting_for_a_call_ends_with_the_time_of_the_task(self):
        agent = self.agent()

        @agent.capability("waits")
        async def waits(ctx, input):
            await ctx.call("nobody", None)

        self.world.one("waits", task="timeout: 300ms, retry: {max_attempts: 1}")
        async with self.serving(agent):
            self.assertEqual((await self.failure("waits")).code, "timeout")


class Known(MeshTest):
    """What others see of an agent."""

    async def test_it_is_registered_answers_and_says_goodbye(self):
        agent = self.agent(id="known-1", version="1.2.3", capacity=3)

        @agent.capability("known")
        async def known(ctx, input):
            return None

        @agent.capability("also-known")
        async def also_known(ctx, input):
            return None

        beats = await self.nats.subscribe("mesh.agent.heartbeat.known-1")
        async with self.serving(agent):
            note = json.loads((await self.first("MESH_NOTES", "mesh.agent.registered.known-1")).data)
            expected = {"agent": "known-1", "type": "tested", "version": "1.2.3", "capacity": 6}
            expected["capabilities"] = ["also-known", "known"]
            self.assertEqual((note["data"], note["type"]), (expected, "agent.registered"))
            entry = await self.first("KV_MESH_AGENTS", "$KV.MESH_AGENTS.known-1")
            self.assertEqual(json.loads(entry.data), expected)
            self.assertEqual(entry.headers["Nats-TTL"], "15s")
            self.assertEqual(json.loads((await beats.next_msg(PATIENCE)).data)["data"], expected)
            pong = json.loads((await self.nats.request("$SRV.PING.tested", timeout=PATIENCE)).data)
            self.assertEqual((pong["type"], pong["version"]), ("io.nats.micro.v1.ping_response", "1.2.3"))
            for verb in ("INFO", "STATS"):
                answer = json.loads((await self.nats.request(f"$SRV.{verb}.tested", timeout=PATIENCE)).data)
                self.assertEqual(answer["name"], "tested")
        note = json.loads((await self.first("MESH_NOTES", "mesh.agent.deregistered.known-1")).data)
        self.assertEqual(note["data"], {"agent": "known-1", "reason": "stopped"})
        [gone] = await self.stored("KV_MESH_AGENTS", "$KV.MESH_AGENTS.known-1")
        self.assertEqual((gone.data, gone.headers["KV-Operation"]), (b"", "DEL"))

    async def test_mistakes_are_told_before_anything_is_tried(self):
        for settings, text in (
            ({"type": "No Name"}, "'No Name' is not a valid agent type"),
            ({"type": "a", "id": "a.b"}, "'a.b' is not a valid agent id"),
            ({"type": "a", "capacity": 0}, "capacity is 0"),
            ({"type": "a", "version": "1"}, "version is '1': give a semantic version"),
            ({"type": "a", "drain_timeout": float("nan")}, "drain_timeout is nan"),
        ):
            with self.subTest(text), self.assertRaisesRegex(SettingError, text):
                from mesh_agent import Agent

                Agent(**settings)
        agent = self.agent()
        with self.assertRaisesRegex(SettingError, "no capabilities: add one with"):
            await agent.serve(asyncio.Event())
        with self.assertRaisesRegex(SettingError, "'a b' is not a valid capability"):
            agent.capability("a b")
        agent.capability("twice")(lambda ctx, input: None)
        with self.assertRaisesRegex(SettingError, "'twice' has two handlers"):
            agent.capability("twice")(lambda ctx, input: None)
