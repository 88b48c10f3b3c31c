"""The package itself."""

import re
import unittest

from tests.support import ROOT


class Dependencies(unittest.TestCase):
    """What the package needs."""

    def test_the_pinned_client_library_fits(self):
        pinned = re.search(
            r'NATS_PY_VERSION = "([0-9.]+)"', (ROOT / "deploy/tools.py").read_text(encoding="utf-8")
        )
        project = (ROOT / "agents/python/pyproject.toml").read_text(encoding="utf-8")
        ranges = re.findall(r"nats-py(?:\[nkeys\])?>=([0-9.]+),<([0-9.]+)", project)
        self.assertEqual(len(ranges), 2)
        for low, high in ranges:
            self.assertTrue(
                _numbers(low) <= _numbers(pinned.group(1)) < _numbers(high), (pinned.group(1), low, high)
            )


def _numbers(version):
    return [int(number) for number in version.split(".")]
