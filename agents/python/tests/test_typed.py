"""JSON as the types of handlers, and back."""

# ruff: noqa: UP006, UP035, FA100 - handlers of any age are taken

import enum
import unittest
from dataclasses import dataclass, field
from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

from mesh_agent import Output, SettingError, typed
from mesh_agent.handler import adapt


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Address:
    street: str
    number: Optional[int] = None


@dataclass
class Person:
    name: str
    age: float
    address: Address
    tags: List[str] = field(default_factory=list)
    colour: Colour = Colour.RED
    children: "List[Person]" = field(default_factory=list)
    kind: Literal["a", 1] = "a"
    more: Optional[Dict[str, Any]] = None
    place: Tuple[int, int] = (0, 0)


class Point(TypedDict):
    x: int


@dataclass
class Positive:
    n: int

    def __post_init__(self):
        if self.n <= 0:
            raise ValueError("n must be above 0")


class Given:
    """A class that reads itself."""

    def __init__(self, n):
        self.n = n

    @classmethod
    def from_dict(cls, data):
        return cls(data["n"])

    def to_dict(self):
        return {"n": self.n}


class Model:
    """What pydantic's models look like from outside."""

    class Wrong(Exception):
        def errors(self):
            return [{"loc": ("a", 0), "msg": "must be nice"}]

    @classmethod
    def model_validate(cls, data):
        if data != "nice":
            raise cls.Wrong
        return cls()

    def model_dump(self, mode):
        return {"mode": mode}


WHOLE = {"name": "Ada", "age": 36, "address": {"street": "S", "number": 1}, "children": [], "unknown": 1}


class Reading(unittest.TestCase):
    """Input as a type."""

    def read(self, annotation, value):
        return typed.reader(annotation, "f: input")(value, "input")

    def test_values_of_a_type_are_read(self):
        child = {"name": "B", "age": 1.5, "address": {"street": "T"}, "colour": "blue", "place": [1, 2]}
        person = self.read(Person, {**WHOLE, "children": [child], "more": {"k": [None]}})
        self.assertEqual(person.address, Address("S", 1))
        self.assertIs(type(person.age), float)
        self.assertEqual(person.children[0].colour, Colour.BLUE)
        self.assertEqual(person.children[0].place, (1, 2))
        self.assertEqual(person.more, {"k": [None]})
        self.assertEqual(self.read(Union[int, str], "x"), "x")
        self.assertEqual(self.read(Optional[int], None), None)
        self.assertEqual(self.read(Point, {"x": 1, "y": 2}), {"x": 1})
        self.assertEqual(self.read(Given, {"n": 3}).n, 3)
        self.assertEqual(self.read(Any, [1, {"a": None}]), [1, {"a": None}])

    def test_a_mismatch_names_the_field(self):
        wrong = [
            (Person, [], "input is [], and not an object"),
            (Person, {"age": 1}, "input.name is missing"),
            (Person, {**WHOLE, "age": "x"}, "input.age is 'x', and not a number"),
            (
                Person,
                {**WHOLE, "address": {"street": None}},
                "input.address.street is None, and not a string",
            ),
            (Person, {**WHOLE, "tags": ["a", 1]}, "input.tags[1] is 1, and not a string"),
            (Person, {**WHOLE, "colour": "green"}, "input.colour is 'green', and not one of 'red', 'blue'"),
            (Person, {**WHOLE, "children": [{}]}, "input.children[0].name is missing"),
            (Person, {**WHOLE, "kind": True}, "input.kind is True, and not one of 'a', 1"),
            (Person, {**WHOLE, "place": [1]}, "input.place is [1], and not a list of 2"),
            (int, True, "input is True, and not an integer"),
            (int, 1.5, "input is 1.5, and not an integer"),
            (Optional[int], "x", "input is 'x', and not an integer"),
            (Positive, {"n": 0}, "input: n must be above 0"),
            (Point, {}, "input.x is missing"),
            (Given, {}, "input.n is missing"),
            (Model, {}, "input.a.0: must be nice"),
        ]
        for annotation, value, text in wrong:
            with self.subTest(text), self.assertRaises(typed.Mismatch) as mismatch:
                self.read(annotation, value)
            self.assertEqual(str(mismatch.exception), text)

    def test_a_type_that_json_has_not_is_refused_with_its_place(self):
        @dataclass
        class Odd:
            when: complex

        for annotation, text in ((Odd, "f: input.when: "), (Dict[int, str], "the keys of JSON objects")):
            with self.assertRaisesRegex(SettingError, text):
                typed.reader(annotation, "f: input")


class Writing(unittest.TestCase):
    """Results as JSON."""

    def test_results_become_plain_json(self):
        value = {"p": Person("Ada", 36, Address("S")), "m": Model(), "g": (Given(1), Colour.RED)}
        plain = typed.plain(value)
        self.assertEqual(plain["p"]["address"], {"street": "S", "number": None})
        self.assertEqual(plain["m"], {"mode": "json"})
        self.assertEqual(plain["g"], [{"n": 1}, "red"])

    def test_what_is_no_json_is_refused(self):
        nested: Any = []
        for _ in range(200):
            nested = [nested]
        for value in (object(), {1, 2}, float("nan"), b"x", "\ud800", nested):
            with self.subTest(type(value)), self.assertRaises((TypeError, ValueError)):
                typed.plain(value)


class Handlers(unittest.TestCase):
    """What can be a handler."""

    def test_what_is_no_handler_is_refused_with_its_name(self):
        def one(ctx):
            return ctx

        def three(ctx, input, other):
            return ctx, input, other

        def needs(ctx, input, *, other):
            return ctx, input, other

        async def generator(ctx, input):
            yield ctx, input

        def unknown(ctx, input: "Nowhere"):  # noqa: F821
            return ctx, input

        for function in (one, three, needs, generator, unknown, 7):
            with (
                self.subTest(function),
                self.assertRaisesRegex(SettingError, getattr(function, "__name__", "7")),
            ):
                adapt(function)

    def test_functions_of_two_are_taken(self):
        class Callable_:
            async def __call__(self, ctx, input: Person):
                return Output(input)

        for function in (lambda ctx, input: input, lambda ctx, input, more=1: more, Callable_()):
            self.assertTrue(callable(adapt(function)))
