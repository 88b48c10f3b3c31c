"""The envelope, by the rules of CloudEvents."""

import json
import unittest
from datetime import datetime, timezone

from mesh_agent import envelope
from mesh_agent.envelope import Trace, Unreadable, decode

EVENT = {"specversion": "1.0", "id": "1", "source": "/a", "type": "t"}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def body(**members):
    return json.dumps({**EVENT, **members}).encode()


class Reading(unittest.TestCase):
    """Events as others write them."""

    def test_structured_binary_and_bare_are_read(self):
        attributes, data = decode(
            {"Content-Type": "application/cloudevents+json; charset=utf-8"}, body(data=[1])
        )
        self.assertEqual((attributes["source"], data), ("/a", [1]))
        self.assertEqual(decode(None, body(data=1)).data, 1)
        self.assertEqual(decode({}, body(data_base64="eyJhIjoxfQ==")).data, {"a": 1})
        headers = {"CE-Specversion": "1.0", "ce-id": "%C3%84", "ce-source": "/a", "ce-type": "t"}
        attributes, data = decode({**headers, "content-type": "application/json"}, b'{"a":1}')
        self.assertEqual((attributes["id"], data), ("Ä", {"a": 1}))
        self.assertEqual(decode(None, b'{"specversion": 3}'), ({}, {"specversion": 3}))

    def test_what_is_wrong_is_told(self):
        wrong = [
            ({}, b"{", "not JSON"),
            ({}, b"\xff\xfe", "not JSON"),
            ({}, b"NaN", "not JSON"),
            ({}, b"[" * 100_000, "not JSON"),
            ({"content-type": envelope.STRUCTURED}, b"[]", "not an object"),
            ({"content-type": "application/cloudevents+avro"}, b"", "send JSON"),
            ({}, body(specversion="0.3"), "specversion '0.3'"),
            ({}, body(id=""), "id is empty"),
            ({}, body(id=7), "id is not a string"),
            ({}, body(source="a\nb"), "source has a control character"),
            ({}, body(time="yesterday"), "not a time"),
            ({}, body(datacontenttype="text/plain"), "send JSON"),
            ({}, body(Extension="x"), "attribute name 'Extension'"),
            ({}, body(extension=[]), "extension is not a string"),
            ({}, body(data=1, data_base64="MQ=="), "either data or data_base64"),
            ({}, body(data_base64="%"), "not Base64"),
            ({"ce-id": "1"}, b"", "specversion None"),
        ]
        for headers, payload, text in wrong:
            with self.subTest(text), self.assertRaisesRegex(Unreadable, text):
                decode(headers, payload)

    def test_times_are_read_to_the_microsecond(self):
        expected = datetime(2026, 1, 2, 3, 4, 5, 678901, timezone.utc)
        for text in ("2026-01-02T03:04:05.678901234Z", "2026-01-02T04:34:05.678901+01:30"):
            self.assertEqual(envelope.time(text), expected)
        for text in ("2026-02-30T00:00:00Z", "2026-01-02", "", 7, None):
            with self.assertRaises(Unreadable):
                envelope.time(text)

    def test_a_trace_is_well_formed_or_none(self):
        self.assertEqual(Trace.of({"traceparent": PARENT, "tracestate": "a=1"}), Trace(PARENT, "a=1"))
        self.assertEqual(Trace.of({"traceparent": PARENT, "tracestate": "ä"}), Trace(PARENT))
        self.assertEqual(Trace.of({"traceparent": PARENT.replace("00-4", "01-4") + "-x"}).tracestate, None)
        for text in (PARENT.upper(), PARENT + "-x", "ff" + PARENT[2:], PARENT[:-1], "", None):
            self.assertIsNone(Trace.of({"traceparent": text}))


class Writing(unittest.TestCase):
    """Events as we write them."""

    def test_an_event_can_be_read_again(self):
        event = envelope.event(
            "i", "/s", "task.completed", {"output": "ä"}, trace=Trace(PARENT), causation="c"
        )
        attributes, data = decode(None, envelope.dumps(event))
        self.assertEqual(data, {"output": "ä"})
        self.assertEqual(attributes["dataschema"], "urn:mesh:schema:task.completed:1")
        self.assertEqual((attributes["traceparent"], attributes["causationid"]), (PARENT, "c"))

    def test_depth_is_bounded(self):
        nested = 1
        for _ in range(envelope.MAX_DEPTH):
            nested = [nested]
        self.assertFalse(envelope.is_too_deep(nested))
        self.assertTrue(envelope.is_too_deep({"a": nested}))
