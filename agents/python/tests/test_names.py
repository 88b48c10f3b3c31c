"""Names and run ids: the vectors are those of `schemas/src/id/tests.rs` and `schemas/README.md`."""

import unittest
import uuid

from mesh_agent import SettingError, names


class RunIds(unittest.TestCase):
    """Run ids."""

    def test_the_run_of_a_request_is_fixed_for_good(self):
        self.assertEqual(names.RUN_NAMESPACE, uuid.UUID("dcfada5d-6656-5896-b4cc-56f3bbf2f4c8"))
        vectors = [
            (
                ("workflow.merchant-onboarding", "https://crm.example/merchants", "merchant-0042"),
                "5.fa73b0a5-7d76-5fdd-bcb6-9e4ba3ef9fed",
            ),
            (("task.risk", "/crm", "Ä-1"), "3.b39cbb2d-29ea-5277-b88b-e91e0df5504b"),
            (("workflow.hello", "/shell", "greeting-1"), "4.e1fecd0f-0961-5f9b-896d-04a7e9e7e20c"),
        ]
        for request, run in vectors:
            self.assertEqual(names.run_id(*request, shards=8), run)

    def test_a_run_id_has_one_spelling(self):
        run = "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e"
        self.assertEqual(names.checked_run_id(f"63.{run}"), f"63.{run}")
        for text in ("", "3", run, f"03.{run}", f"64.{run}", f"3.{run.upper()}", f"3.{run}.1", f"3.{run}\n"):
            with self.assertRaisesRegex(SettingError, "not a valid run id"):
                names.checked_run_id(text)


class Tokens(unittest.TestCase):
    """Names that are one token of a subject."""

    def test_a_name_is_one_token(self):
        for text in ("a", "_a-1", "0", "a" * 64):
            self.assertEqual(names.name("capability", text), text)
        for text in ("", "-a", "A", "a.b", "a b", "ä", "a" * 65, "a*", ">", "a\n", None, 7):
            with self.assertRaisesRegex(SettingError, "is not a valid capability: use 1 to 64 characters"):
                names.name("capability", text)

    def test_the_subject_of_a_task_is_read_and_written(self):
        subject = "mesh.task.created.greet.to-a1.3.2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e.each:2.4"
        key = names.TaskKey.parse("mesh", subject)
        self.assertEqual(key.subject("created"), subject)
        self.assertEqual((key.capability, key.lane, key.task, key.attempt), ("greet", "to-a1", "each:2", 4))
        for task in ("a", "review:lint", "each:3:lint", "draft:2", "a:0:b:1:c", ":".join(["a" * 50] * 5)):
            self.assertEqual(names.TaskKey.parse("mesh", subject.replace("each:2", task)).task, task)
        for task in ("a:", ":a", "3:a", "a::b", "a:B", "a:_b", "a" * 65, ":".join(["a" * 50] * 6)):
            with self.assertRaises(SettingError):
                names.TaskKey.parse("mesh", subject.replace("each:2", task))
        wrong = [("greet", "Greet"), ("to-a1", "to-"), (".3.", ".64."), ("each:2", "each:02"), (".4", ".0")]
        for right, other in wrong:
            with self.assertRaises(SettingError):
                names.TaskKey.parse("mesh", subject.replace(right, other))
        with self.assertRaisesRegex(SettingError, "not that of a task"):
            names.TaskKey.parse("other", subject)
