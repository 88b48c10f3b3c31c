"""JSON as the types of a handler, and back."""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import typing
from typing import Any, Callable, Union

from .envelope import MAX_DEPTH, is_too_deep, loads
from .errors import SettingError

#: Makes a value of a type from JSON; the text says where in the input the value stands.
Reader = Callable[[Any, str], Any]

_SCALARS: dict[type, str] = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}
if sys.version_info >= (3, 10):
    import types

    _UNIONS: tuple[Any, ...] = (Union, types.UnionType)
else:
    _UNIONS = (Union,)


class Mismatch(ValueError):
    """An input is not of the type that the handler takes; the text names the field."""


def reader(annotation: Any, name: str) -> Reader:
    """How to read JSON as a type: plain types, `Optional`, lists, dicts, tuples, `Literal`, enums, dataclasses,
    `TypedDict`, and classes with `model_validate` (pydantic) or `from_dict`.

    Anything else is a :class:`SettingError` that names the place, `name` being where the type was found.
    """
    return _Readers().of(annotation, name)


def to_plain(value: Any) -> Any:
    """For `json.dumps(default=…)`: what dataclasses, enums, pydantic models and classes with `to_dict` are in JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if hasattr(value, "to_dict"):
        return value.to_dict()
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


def plain(value: Any) -> Any:
    """The value as it is in JSON: dicts, lists, texts, numbers, booleans and None.

    Raises `TypeError`, `ValueError` or `RecursionError` if it has no such form.
    """
    text = json.dumps(value, default=to_plain, ensure_ascii=False, allow_nan=False)
    whole = loads(text.encode())
    if is_too_deep(whole):
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels of lists and objects")
    return whole


class _Readers:
    """Readers of the types that one annotation is made of. A type may contain itself."""

    def __init__(self) -> None:
        self._known: dict[Any, Reader] = {}

    def of(self, annotation: Any, name: str) -> Reader:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation in (Any, object):
            return lambda value, _where: value
        if annotation in (None, type(None)):
            return _null
        if annotation in _SCALARS:
            return _scalar(annotation)
        if origin in _UNIONS:
            return _union([self.of(argument, name) for argument in arguments])
        if origin is typing.Literal:
            return _one_of(arguments)
        if annotation in (list, list) or origin is list:
            return _list(self.of(arguments[0] if arguments else Any, f"{name}[]"))
        if annotation in (tuple, tuple) or origin is tuple:
            return self._tuple(arguments, name)
        if annotation in (dict, dict) or origin is dict:
            if arguments and arguments[0] is not str:
                raise SettingError(
                    f"{name}: the keys of JSON objects are strings, not {arguments[0]}: use Dict[str, …]"
                )
            return _dict(self.of(arguments[1] if arguments else Any, f"{name}.*"))
        if isinstance(annotation, type):
            return self._class(annotation, name)
        raise _unknown(annotation, name)

    def _class(self, cls: type, name: str) -> Reader:
        if cls not in self._known:
            if hasattr(cls, "model_validate"):
                self._known[cls] = _by_method(cls, "model_validate")
            elif hasattr(cls, "from_dict"):
                self._known[cls] = _by_method(cls, "from_dict")
            elif issubclass(cls, enum.Enum):
                self._known[cls] = _enum(cls)
            elif dataclasses.is_dataclass(cls):
                fields = dataclasses.fields(cls)
                unset = dataclasses.MISSING
                needed = {f.name for f in fields if f.default is unset and f.default_factory is unset}
                self._fields(cls, [f.name for f in fields if f.init], needed, cls, name)
            elif hasattr(cls, "__required_keys__"):
                self._fields(cls, list(cls.__annotations__), set(cls.__required_keys__), dict, name)
            else:
                raise _unknown(cls, name)
        return self._known[cls]

    def _fields(
        self, cls: type, members: list[str], needed: set[str], make: Callable[..., Any], name: str
    ) -> None:
        """Reads an object member by member; members that the class does not have are passed over."""
        readers: dict[str, Reader] = {}

        def read(value: Any, where: str) -> Any:
            if not isinstance(value, dict):
                raise _mismatch(where, "an object", value)
            for member in members:
                if member in needed and member not in value:
                    raise Mismatch(f"{where}.{member} is missing")
            found = {m: readers[m](value[m], f"{where}.{m}") for m in members if m in value}
            try:
                return make(**found)
            except (TypeError, ValueError) as error:
                raise Mismatch(f"{where}: {error}") from error

        # Known before its members are looked at, which may be of the same type.
        self._known[cls] = read
        hints = hints_of(cls, name)
        readers.update({member: self.of(hints[member], f"{name}.{member}") for member in members})

    def _tuple(self, arguments: tuple[Any, ...], name: str) -> Reader:
        if not arguments or (len(arguments) == 2 and arguments[1] is Ellipsis):
            items = _list(self.of(arguments[0] if arguments else Any, f"{name}[]"))
            return lambda value, where: tuple(items(value, where))
        readers = [self.of(argument, f"{name}[{index}]") for index, argument in enumerate(arguments)]

        def read(value: Any, where: str) -> Any:
            if not isinstance(value, list) or len(value) != len(readers):
                raise _mismatch(where, f"a list of {len(readers)}", value)
            return tuple(
                read(item, f"{where}[{index}]") for index, (read, item) in enumerate(zip(readers, value))
            )

        return read


def hints_of(thing: Any, name: str) -> dict[str, Any]:
    """The types that a function or class is annotated with."""
    try:
        return typing.get_type_hints(thing)
    except (NameError, TypeError) as error:
        raise SettingError(
            f"{name}: its types cannot be read: {error}; define them at the top of a module"
        ) from None


def _null(value: Any, where: str) -> None:
    if value is not None:
        raise _mismatch(where, "null", value)


def _scalar(cls: type) -> Reader:
    allowed = (int, float) if cls is float else (cls,)

    def read(value: Any, where: str) -> Any:
        # In Python a boolean is an integer; in JSON it is not.
        if not isinstance(value, allowed) or (isinstance(value, bool) and cls is not bool):
            raise _mismatch(where, _SCALARS[cls], value)
        return cls(value)

    return read


def _union(readers: list[Reader]) -> Reader:
    def read(value: Any, where: str) -> Any:
        errors = []
        for member in readers:
            try:
                return member(value, where)
            except Mismatch as error:
                if member is not _null:
                    errors.append(str(error))
        raise Mismatch("; or ".join(errors))

    return read


def _one_of(values: tuple[Any, ...]) -> Reader:
    def read(value: Any, where: str) -> Any:
        for allowed in values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise _mismatch(where, f"one of {', '.join(map(repr, values))}", value)

    return read


def _enum(cls: type[enum.Enum]) -> Reader:
    def read(value: Any, where: str) -> Any:
        try:
            return cls(value)
        except ValueError:
            raise _mismatch(
                where, f"one of {', '.join(repr(member.value) for member in cls)}", value
            ) from None

    return read


def _list(item: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list):
            raise _mismatch(where, "a list", value)
        return [item(inner, f"{where}[{index}]") for index, inner in enumerate(value)]

    return read


def _dict(item: Reader) -> Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(where, "an object", value)
        return {key: item(inner, f"{where}.{key}") for key, inner in value.items()}

    return read


def _by_method(cls: type, method: str) -> Reader:
    def read(value: Any, where: str) -> Any:
        try:
            return getattr(cls, method)(value)
        except Exception as error:
            raise Mismatch(_told(error, where)) from error

    return read


def _told(error: Exception, where: str) -> str:
    """What a class says of its input; pydantic tells each field."""
    errors: Callable[[], Any] | None = getattr(error, "errors", None)
    if callable(errors):
        places = [(".".join(map(str, (where, *each["loc"]))), each["msg"]) for each in errors()]
        return "; ".join(f"{place}: {message}" for place, message in places)
    if isinstance(error, KeyError):
        return f"{where}.{error.args[0]} is missing"
    return f"{where}: {error}"


def _mismatch(where: str, expected: str, value: Any) -> Mismatch:
    found = repr(value)
    return Mismatch(f"{where} is {found if len(found) <= 60 else found[:57] + '…'}, and not {expected}")


def _unknown(annotation: Any, name: str) -> SettingError:
    known = "plain types, Optional, List, Dict, Literal, enums, dataclasses, or classes with model_validate or from_dict"
    return SettingError(f"{name}: {annotation!r} cannot be read from JSON: use {known}")
