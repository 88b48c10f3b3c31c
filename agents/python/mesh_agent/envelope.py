"""The CloudEvents 1.0 envelope: read in structured and binary mode and as bare JSON, written structured."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

Headers = Mapping[str, str]

#: Content type of an event in structured mode.
STRUCTURED = "application/cloudevents+json"
#: Deepest nesting of lists and objects that data may have.
MAX_DEPTH = 100

_REQUIRED = ("id", "source", "type")
_TEXTS = (
    *("subject", "time", "datacontenttype", "dataschema"),
    *("correlationid", "causationid", "traceparent", "tracestate"),
)
_EXTENSION = re.compile(r"[a-z0-9]+")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?"
)


class Unreadable(ValueError):
    """A payload that cannot be read as an event. Reading it again does not help."""


class Trace(NamedTuple):
    """`traceparent` and `tracestate` of W3C Trace Context, uninterpreted."""

    traceparent: str
    tracestate: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Trace | None:
        """The context in headers or attributes. One that is not well-formed is none, as the recommendation says."""
        parent, state = values.get("traceparent"), values.get("tracestate")
        if not isinstance(parent, str) or not _TRACEPARENT.fullmatch(parent):
            return None
        if parent.startswith("00-") and len(parent) != 55:
            return None
        return cls(parent, state if isinstance(state, str) and re.fullmatch(r"[ -~]+", state) else None)

    def attributes(self) -> dict[str, str]:
        """As headers, or as attributes of an event."""
        state = {"tracestate": self.tracestate} if self.tracestate else {}
        return {"traceparent": self.traceparent, **state}


class Decoded(NamedTuple):
    """What a payload was read as."""

    #: The attributes of the event; none for bare JSON.
    attributes: dict[str, Any]
    #: The data, with or without an envelope around it.
    data: Any


def dumps(value: Any) -> bytes:
    """Compact JSON that every reader takes; `ValueError` or `TypeError` if the value is none."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def loads(payload: bytes) -> Any:
    """Reads strict JSON."""
    try:
        return json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the payload is not JSON: {error}") from None


def is_too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether lists and objects are nested deeper in a value than data may be."""
    if isinstance(value, dict):
        return levels == 0 or any(is_too_deep(inner, levels - 1) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return levels == 0 or any(is_too_deep(inner, levels - 1) for inner in value)
    return False


def lower(headers: Headers | None) -> dict[str, str]:
    """Headers by their lower-case names; of several spellings the first counts."""
    found: dict[str, str] = {}
    for header, value in (headers or {}).items():
        found.setdefault(header.lower(), value)
    return found


def decode(headers: Headers | None, payload: bytes) -> Decoded:
    """Reads a payload as a CloudEvent in structured or binary mode, or as bare JSON."""
    known = lower(headers)
    if any(f"ce-{attribute}" in known for attribute in ("specversion", *_REQUIRED)):
        return _binary(known, payload)
    media = known.get("content-type", "").split(";")[0].strip().lower()
    declared = media.startswith("application/cloudevents")
    if declared and media not in (STRUCTURED, "application/cloudevents"):
        raise Unreadable(f"datacontenttype {media!r} is not supported: send JSON")
    value = loads(payload)
    if isinstance(value, dict) and (declared or _is_event(value)):
        return _structured(value)
    if declared:
        raise Unreadable("the payload is not a CloudEvent: it is not an object")
    return Decoded({}, value)


def event(
    id: str,
    source: str,
    type: str,
    data: Any,
    *,
    correlation: str | None = None,
    causation: str | None = None,
    trace: Trace | None = None,
    schema: bool = True,
) -> dict[str, Any]:
    """A CloudEvent of now in structured mode; `schema` says whether the data is of the mesh's own form."""
    attributes: dict[str, Any] = {"specversion": "1.0", "id": id, "source": source, "type": type}
    attributes["time"] = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    attributes["datacontenttype"] = "application/json"
    if schema:
        attributes["dataschema"] = f"urn:mesh:schema:{type}:1"
    if correlation:
        attributes["correlationid"] = correlation
    if causation:
        attributes["causationid"] = causation
    attributes.update(trace.attributes() if trace else {})
    return {**attributes, "data": data}


def time(text: Any) -> datetime:
    """A time as in RFC 3339, to the microsecond."""
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Unreadable(f"{text!r} is not a time as in RFC 3339")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, hours, minutes = match.groups()[6:]
    micros = int((fraction or "0").ljust(9, "0")) // 1000
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    try:
        return datetime(year, month, day, hour, minute, min(second, 59), micros, zone).astimezone(
            timezone.utc
        )
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{text!r} is not a time: {error}") from None


def _no_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _is_event(value: dict[str, Any]) -> bool:
    """An object that nobody declared to be an event is one if it says so; `specversion` alone may be its own word."""
    version = value.get("specversion")
    return isinstance(version, str) or ("specversion" in value and all(name in value for name in _REQUIRED))


def _structured(members: dict[str, Any]) -> Decoded:
    members = dict(members)
    data, encoded = members.pop("data", None), members.pop("data_base64", None)
    attributes = _attributes(members)
    if encoded is None:
        return Decoded(attributes, data)
    if data is not None or not isinstance(encoded, str):
        raise Unreadable(
            "the payload is not a CloudEvent: it needs either data or data_base64, which is a string"
        )
    try:
        return Decoded(attributes, loads(base64.b64decode(encoded, validate=True)))
    except binascii.Error as error:
        raise Unreadable(f"the payload is not a CloudEvent: data_base64 is not Base64: {error}") from None


def _binary(headers: dict[str, str], payload: bytes) -> Decoded:
    members = {name[3:]: _percent_decoded(value) for name, value in headers.items() if name.startswith("ce-")}
    if "data" in members or "data_base64" in members:
        raise Unreadable("the payload is not a CloudEvent: ce-data is no attribute")
    if "content-type" in headers:
        members.setdefault("datacontenttype", headers["content-type"])
    attributes = _attributes(dict(members))
    return Decoded(attributes, loads(payload) if payload else None)


def _percent_decoded(value: str) -> str:
    return unquote_to_bytes(value).decode("utf-8", "replace")


def _attributes(members: dict[str, Any]) -> dict[str, Any]:
    """Checks the attributes of an event by the rules of CloudEvents; those that are null are absent."""
    attributes = {name: value for name, value in members.items() if value is not None}
    version = attributes.get("specversion")
    if version != "1.0":
        raise Unreadable(f"CloudEvents specversion {version!r} is not supported: use '1.0'")
    for required in _REQUIRED:
        if required not in attributes:
            raise _not_event(f"{required} is missing")
    for name, value in attributes.items():
        if name in _REQUIRED or name in _TEXTS:
            _check_text(name, value)
        elif not _EXTENSION.fullmatch(name):
            raise _not_event(f"attribute name {name!r} is not allowed: use a-z and 0-9")
        elif not isinstance(value, (str, int)):
            raise _not_event(f"attribute {name} is not a string, an integer or a boolean")
    if "time" in attributes:
        time(attributes["time"])
    media = attributes.get("datacontenttype", "application/json").split(";")[0].strip().lower()
    if media not in ("application/json", "text/json") and not media.endswith("+json"):
        raise Unreadable(f"datacontenttype {media!r} is not supported: send JSON")
    return attributes


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise _not_event(f"{name} is not a string")
    if not value:
        raise _not_event(f"{name} is empty")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise _not_event(f"{name} has a control character")


def _not_event(what: str) -> Unreadable:
    return Unreadable(f"the payload is not a CloudEvent: {what}")
