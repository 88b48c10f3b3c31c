"""What is stored twice with one key is stored once."""

import os
import tempfile
import unittest

from agents import Import, Product, stored


class Store(unittest.TestCase):
    def test_a_task_that_is_done_again_changes_nothing(self) -> None:
        tea = Import([Product("TEA-01", "Earl Grey", 450, True)], "/tea.json")
        dearer = Import([Product("TEA-01", "Earl Grey", 500, True), Product("TEA-02", "Sencha", 620, True)], "/tea.json")
        before = os.getcwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            self.addCleanup(os.chdir, before)
            self.assertEqual(stored("first", tea), {"imports": 1, "products": 1})
            self.assertEqual(stored("first", dearer), {"imports": 1, "products": 1})
            self.assertEqual(stored("second", dearer), {"imports": 2, "products": 2})
            os.chdir(before)


if __name__ == "__main__":
    unittest.main()
