"""That the check fails when it should, and only then."""

import unittest

from judge import judge, table

COUNTS = {"condition": 1000, "fold-sequence-10": 200, "fold-sequence-1000": 210, "fold-sequence-100000": 220}
STORED = {"rustc": "1.95.0", "libc": "glibc 2.36", "counts": COUNTS}


def judged(stored=STORED, rustc="1.95.0", **others):
    counts = dict(COUNTS)
    counts.update({name.replace("_", "-"): count for name, count in others.items()})
    return judge(counts, stored, rustc)


class Judge(unittest.TestCase):
    def test_what_is_as_it_was_is_right(self):
        self.assertEqual(judged(), [])

    def test_a_little_more_or_less_is_right(self):
        self.assertEqual(judged(condition=1050), [])
        self.assertEqual(judged(condition=900), [])

    def test_more_than_the_tolerance_is_wrong(self):
        (problem,) = judged(condition=1051)
        self.assertIn("condition takes 1 051 instructions, +5.1 % compared with the 1 000 of the baseline", problem)

    def test_what_is_won_has_to_be_kept(self):
        (problem,) = judged(condition=899)
        self.assertIn("make instructions WRITE=1", problem)

    def test_a_cost_that_grows_with_finished_tasks_is_wrong_whatever_the_baseline_says(self):
        grown = {**STORED, "counts": {**COUNTS, "fold-sequence-100000": 251}}
        for stored in (grown, None):
            (problem,) = judged(stored=stored, fold_sequence_100000=251)
            self.assertIn("behind 100 000 finished tasks", problem)
        self.assertEqual(len(judged(stored=None, fold_sequence_1000=1000, fold_sequence_100000=1000)), 2)

    def test_what_does_not_end_is_wrong_and_the_rest_is_judged(self):
        grown, late, more = judged(fold_sequence_100000=None, fold_sequence_1000=1000)
        self.assertIn("behind 1 000 finished tasks", grown)
        self.assertIn("fold-sequence-100000 did not end", late)
        self.assertIn("fold-sequence-1000 takes 1 000", more)

    def test_without_a_baseline_only_growth_is_judged(self):
        self.assertEqual(judged(stored=None, condition=5000), [])

    def test_each_scenario_has_a_baseline_and_each_baseline_a_scenario(self):
        (problem,) = judged(condition_2=1)
        self.assertIn("condition-2 has no baseline", problem)
        (problem,) = judge({"condition": 1000}, {**STORED, "counts": {"condition": 1000, "gone": 1}}, "1.95.0")
        self.assertIn("gone is in the baseline", problem)

    def test_a_baseline_of_another_compiler_is_none(self):
        (problem,) = judged(rustc="1.96.0", condition=5000)
        self.assertIn("made with rustc 1.95.0, this is 1.96.0", problem)

    def test_the_table_has_a_line_for_each_scenario(self):
        self.assertEqual(len(list(table(COUNTS, STORED))), 5)
        self.assertIn("-", list(table(COUNTS, None))[1])


if __name__ == "__main__":
    unittest.main()
