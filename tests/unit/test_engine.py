"""Patches of anything: what is wrapped behaves, pickles and copies as before, and comes back."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from kruise_autopatch.patches.engine import (
    Addition,
    PatchPoint,
    PatchSet,
    Resolution,
    UnusablePoint,
    bind,
    resolve,
)

if TYPE_CHECKING:
    from kruise_autopatch.patches.engine import Point

NAME = "kruise_autopatch_test_library"


class Greeter:
    def __init__(self, name: str = "world") -> None:
        self.name = name

    def greet(self, greeting: str, end: str = "!") -> str:
        return f"{greeting}, {self.name}{end}"

    def cut(self, text: str, /, length: int = 1) -> str:
        return text[:length]

    @property
    def length(self) -> int:
        return len(self.name)


Greeter.__module__ = NAME
Greeter.__qualname__ = "Greeter"


@pytest.fixture
def library() -> Iterator[types.ModuleType]:
    module: Any = types.ModuleType(NAME)
    kept = dict(vars(Greeter))
    module.Greeter = Greeter
    sys.modules[NAME] = module
    yield module
    del sys.modules[NAME]
    for name in ("greet", "cut", "length"):
        assert vars(Greeter)[name] is kept[name]
    assert not hasattr(Greeter, "shout")


def louder(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return str(wrapped(*args, **kwargs)).upper()


def resolved(*points: Point) -> Resolution:
    return resolve(points, lambda attribute: attribute)


def applied(*points: Point) -> PatchSet:
    resolution = resolved(*points)
    assert resolution.problems == []
    patches = PatchSet()
    assert patches.apply(resolution)
    assert not patches.apply(resolved(*points))
    return patches


def problem(point: Point) -> str:
    (found,) = resolved(point).problems
    return str(found)


def test_what_is_wrapped_pickles_and_copies_by_its_name(library: Any) -> None:
    patches = applied(PatchPoint(NAME, "Greeter.greet", louder, ("greeting",)))
    greeter = Greeter("you")
    bound, of_class = greeter.greet, Greeter.greet
    assert bound("hello") == "HELLO, YOU!"
    for same in (
        copy.copy(bound),
        copy.deepcopy(bound),
        pickle.loads(pickle.dumps(bound)),
    ):
        assert same("bye") == "BYE, YOU!"
    for same in (copy.copy(of_class), copy.deepcopy(of_class)):
        assert same(greeter, "bye") == "BYE, YOU!"
    assert pickle.loads(pickle.dumps(of_class))(greeter, "bye") == "BYE, YOU!"
    patches.undo()
    assert greeter.greet("hello") == "hello, you!"
    # It has been got before that, and is disabled.
    assert bound("hello") == "hello, you!"


def test_a_function_of_a_module_is_found_there_again(library: Any) -> None:
    def double(number: int) -> int:
        return 2 * number

    library.double = double
    double.__module__ = NAME
    double.__qualname__ = "double"
    patches = applied(PatchPoint(NAME, "double", lambda f, _, args, kwargs: f(*args) + 1))
    assert copy.deepcopy(library.double) is copy.copy(library.double) is library.double
    assert pickle.loads(pickle.dumps(library.double))(2) == 5
    patches.undo()
    assert library.double is double


def test_a_property_and_an_addition(library: Any) -> None:
    patches = applied(
        PatchPoint(NAME, "Greeter.length", lambda getter, instance, args, kwargs: getter() + 1),
        Addition(NAME, "Greeter.shout", lambda self: self.name.upper()),
    )
    greeter: Any = Greeter("you")
    assert (greeter.length, greeter.shout()) == (4, "YOU")
    patches.undo()
    assert greeter.length == 3


def test_what_cannot_be_patched_is_named(library: Any) -> None:
    assert problem(PatchPoint(NAME, "Greeter.wave", louder)) == f"{NAME}:Greeter.wave is missing"
    assert problem(PatchPoint(NAME, "Greeter.greet", louder, ("tone",))) == (
        f"{NAME}:Greeter.greet has changed: it takes no tone"
    )
    assert problem(PatchPoint(NAME, "Greeter.length", louder, ("tone",))) == (
        f"{NAME}:Greeter.length has changed: it is a property now"
    )
    missing = f"{NAME}_2"
    assert problem(PatchPoint(missing, "x", louder)).startswith(f"{missing}:x is missing (No ")
    # Nobody can say what parameters it takes.
    library.opaque = type("Opaque", (), {"__call__": print, "__signature__": 1})()
    assert "it takes no tone" in problem(PatchPoint(NAME, "opaque", louder, ("tone",)))


def test_a_class_that_cannot_be_changed_leaves_all_as_it_was(library: Any) -> None:
    library.number = int
    resolution = resolved(
        PatchPoint(NAME, "number.bit_length", louder), PatchPoint(NAME, "Greeter.greet", louder)
    )
    with pytest.raises(UnusablePoint, match=r"number\.bit_length cannot be patched"):
        PatchSet().apply(resolution)
    assert Greeter().greet("hello") == "hello, world!"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_is_no_fault_of_the_library_is_not_called_one(
    library: Any, error: type[BaseException]
) -> None:
    def no_more(native: Any) -> Any:
        raise error

    with pytest.raises(error):
        resolve([PatchPoint(NAME, "Greeter.greet", louder)], no_more)


@pytest.mark.parametrize(
    ("args", "kwargs", "given"),
    [
        (("hello",), {}, {"greeting": "hello"}),
        (("hello", "?"), {}, {"greeting": "hello", "end": "?"}),
        ((), {"end": "?", "greeting": "hello"}, {"greeting": "hello", "end": "?"}),
    ],
)
def test_arguments_by_name(args: Any, kwargs: Any, given: Any) -> None:
    greeter = Greeter()
    assert bind(greeter.greet, greeter, args, kwargs) == given


def test_arguments_by_name_where_the_code_does_not_say_them() -> None:
    greeter = Greeter()
    assert bind(greeter.cut, greeter, ("text",), {"length": 2}) == {"text": "text", "length": 2}

    def many(first: int, *rest: int) -> int:
        return first

    assert bind(many, None, (1, 2, 3), {}) == {"first": 1, "rest": (2, 3)}

    class Called:
        def __call__(self, text: str, length: int = 1) -> str:
            return text

    assert bind(Called(), None, ("text",), {}) == {"text": "text"}


@pytest.mark.parametrize("method", ["greet", "cut"])
def test_a_call_that_does_not_fit_is_refused_in_the_librarys_own_words(method: str) -> None:
    greeter = Greeter()
    wrapped = getattr(greeter, method)
    for args in ((), ("a", "b", "c")):
        with pytest.raises(TypeError) as native:
            wrapped(*args)
        with pytest.raises(TypeError) as refusal:
            bind(wrapped, greeter, args, {})
        assert str(refusal.value) == str(native.value)


def test_the_code_counts_and_not_what_a_function_says_of_itself() -> None:
    def lying(**kwargs: Any) -> None: ...

    lying.__signature__ = inspect.signature(Greeter.greet)  # type: ignore[attr-defined]
    assert bind(lying, None, (), {"tone": "low"}) == {"tone": "low"}
