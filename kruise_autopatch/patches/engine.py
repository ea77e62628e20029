"""Reversible attribute patches. Knows nothing of e2b.

Loaded by every program that imports the SDK, so its records are plain classes: each ``NamedTuple``
would cost as much as loading four modules.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from kruise_autopatch.errors import CannotPatchError

try:
    from wrapt import BoundFunctionWrapper, FunctionWrapper, PartialCallableObjectProxy
    from wrapt import ObjectProxy as ObjectProxy
except Exception as error:
    raise CannotPatchError(
        f"kruise-autopatch needs wrapt, which cannot be imported ({error})",
        "run pip install --force-reinstall kruise-autopatch wrapt, or switch it off.",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Literal, Union

    # wrapt's calling convention: (wrapped, instance, args, kwargs) -> result.
    Wrapper = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]

    # What of a patch point an SDK release may lack without being incompatible: nothing; the module,
    # because this release has no such feature; the attribute of a module that is there; or any of
    # both.
    MayLack = Literal["nothing", "module", "attribute", "either"]

    # What became of each patch point, by its name: applied, absent (not in this SDK release), or
    # unusable and why.
    States = Mapping[str, str]

    Point = Union["PatchPoint", "Addition"]


class PatchPoint:
    """One callable or property of the SDK, and what is wrapped around it."""

    __slots__ = (
        "instead",
        "may_lack",
        "module",
        "only_if",
        "overrides",
        "parameters",
        "path",
        "wrapper",
    )

    def __init__(
        self,
        module: str,
        path: str,
        wrapper: Wrapper,
        parameters: tuple[str, ...] = (),
        may_lack: MayLack = "nothing",
        *,
        instead: tuple[str, ...] = (),
        only_if: Callable[[Any], bool] | None = None,
        overrides: tuple[str, ...] = (),
    ) -> None:
        """
        :param path: of the attribute inside the module, such as ``ConnectionConfig.get_host``
        :param parameters: that the native callable must accept for the wrapper to be right
        :param instead: what the module of other releases has in place of the attribute: where it
            has one of these, it may lack the attribute
        :param only_if: whether this native attribute is one that needs the wrapper
        :param overrides: the top-level packages whose subclasses are wrapped, too, where they
            override the method
        """
        self.module = module
        self.path = path
        self.wrapper = wrapper
        self.parameters = parameters
        self.may_lack = may_lack
        self.instead = instead
        self.only_if = only_if
        self.overrides = overrides

    @property
    def name(self) -> str:
        return f"{self.module}:{self.path}"

    def replacement(self, patch: Patch) -> Any:
        """What takes the place of the native attribute."""
        if not isinstance(patch.native, property):
            return patch.wrapped(patch.native, self.wrapper)

        # A property's getter is called with the instance as a plain argument.
        def getter(getter: Any, _: Any, args: tuple[Any, ...], __: dict[str, Any]) -> Any:
            (instance,) = args
            return self.wrapper(lambda: getter(instance), instance, (), {})

        native = patch.native
        return property(patch.wrapped(native.fget, getter), native.fset, native.fdel)


class Addition:
    """An attribute that the SDK is given."""

    __slots__ = ("module", "path", "value")

    may_lack: MayLack = "nothing"

    def __init__(self, module: str, path: str, value: Any) -> None:
        self.module = module
        self.path = path
        self.value = value

    @property
    def name(self) -> str:
        return f"{self.module}:{self.path}"

    def replacement(self, patch: Patch) -> Any:
        """What takes the place of the native attribute, if there is one."""
        return self.value


class UnusablePoint(Exception):
    """A patch point that is missing or has changed; the message says which and how."""


class _Bound(BoundFunctionWrapper):  # type: ignore[type-arg]
    """A wrapped method, got from an object or from its class."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner, attribute = self._self_parent._self_home
        instance = self._self_instance
        return getattr, (owner if instance is None else instance, attribute)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        if self._self_instance is None:
            return self
        from copy import deepcopy

        _, attribute = self._self_parent._self_home
        return getattr(deepcopy(self._self_instance, memo), attribute)


class _Wrapped(FunctionWrapper):  # type: ignore[type-arg]
    """wrapt's wrapper; pickled and copied as the native function is: by its name."""

    __bound_function_wrapper__ = _Bound

    # Where it is found: the class or module, and its name there. An annotation would take the place
    # of the wrapped function's own annotations.
    _self_home = None  # type: Any

    def __reduce_ex__(self, protocol: Any) -> Any:
        owner, attribute = self._self_home
        return attribute if isinstance(owner, ModuleType) else (getattr, (owner, attribute))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class Patch:
    """The replacement of one attribute of the SDK, and the way back."""

    def __init__(self, owner: Any, attribute: str, native: Any, point: Point) -> None:
        self._name = point.name
        self._owner = owner
        self._attribute = attribute
        # Emptied when it is undone. wrapt looks at it at each call, and would call a function.
        self._in_force: Any = [True]
        self._inherited = attribute not in vars(owner)
        self.native = native
        self._replacement = point.replacement(self)

    def wrapped(self, native: Any, wrapper: Wrapper) -> Any:
        """``wrapper`` around ``native``, as long as this patch is in force."""
        # If somebody has wrapped ours by the time it is undone, it stays in place, disabled.
        replacement = _Wrapped(native, wrapper, enabled=self._in_force)
        replacement._self_home = self._owner, self._attribute
        return replacement

    def covers(self, other: Patch) -> bool:
        """Whether this patch is of the same attribute, and still in place."""
        same = self._owner is other._owner and self._attribute == other._attribute
        return same and self._in_place

    @property
    def _in_place(self) -> bool:
        return vars(self._owner).get(self._attribute) is self._replacement

    def apply(self) -> None:
        """Replace the attribute. Raises :class:`UnusablePoint` if the SDK does not let us."""
        try:
            setattr(self._owner, self._attribute, self._replacement)
        except MemoryError:
            raise
        except Exception as error:
            raise _problem(self._name, error) from error

    def undo(self) -> None:
        """Put the native attribute back."""
        self._in_force.clear()
        if not self._in_place:
            return
        if self._inherited:
            delattr(self._owner, self._attribute)
        else:
            setattr(self._owner, self._attribute, self.native)


class Resolution:
    """What was found of a list of patch points, before anything is changed."""

    __slots__ = ("patches", "problems", "states")

    def __init__(self) -> None:
        self.patches: list[Patch] = []
        # One for each point that is missing or has changed.
        self.problems: list[UnusablePoint] = []
        self.states: dict[str, str] = {}


class PatchSet:
    """The patches of one process."""

    def __init__(self) -> None:
        self._applied: list[Patch] = []
        self._states: dict[str, str] = {}

    @property
    def states(self) -> States:
        return self._states

    def apply(self, resolution: Resolution) -> bool:
        """Replace every attribute that was found, or none; those already in place are left alone.

        Returns whether any was replaced.

        The last of the points is replaced first: nobody is to see the first without the others.
        """
        added = [
            patch
            for patch in reversed(resolution.patches)
            if not any(applied.covers(patch) for applied in self._applied)
        ]
        try:
            for patch in added:
                patch.apply()
        except BaseException:
            for patch in reversed(added):
                patch.undo()
            raise
        self._applied += added
        self._states.update(resolution.states)
        return bool(added)

    def undo(self) -> None:
        """Put every native attribute back, last first."""
        while self._applied:
            self._applied.pop().undo()
        self._states.clear()


def resolve(points: Sequence[Point], native: Callable[[Any], Any]) -> Resolution:
    """Find the attributes of ``points``, importing their modules; changes nothing.

    :param native: gives the attribute itself where something stands before it for the moment
    """
    resolution = Resolution()
    for point in points:
        try:
            found = list(_find(point, native))
        except MemoryError:
            raise
        except Exception as error:
            problem = _problem(point.name, error)
            resolution.problems.append(problem)
            resolution.states[point.name] = f"unusable: {problem}"
            continue
        resolution.patches += found
        resolution.states[point.name] = "applied" if found else "absent"
    return resolution


def bind(
    wrapped: Callable[..., Any], instance: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, wherever this release of the SDK puts them.

    Without those that were left out. A call that does not fit is left to the SDK, which refuses it
    in its own words. The parameters are those of the code: to ask ``inspect.signature`` at each
    call would cost more than all the rest, and before wrapt 2.5 it gives wrong answers about a
    method that is called through its class.
    """
    code = getattr(wrapped, "__code__", None)
    if code is None or code.co_posonlyargcount:
        return _bind_by_signature(wrapped, instance, args, kwargs)
    # The first one is the instance.
    names = code.co_varnames[instance is not None : code.co_argcount]
    if len(args) > len(names) and code.co_flags & inspect.CO_VARARGS:
        return _bind_by_signature(wrapped, instance, args, kwargs)
    given = dict(zip(names, args))
    required = names[: len(names) - len(wrapped.__defaults__ or ())]
    fits = len(args) <= len(names) and given.keys().isdisjoint(kwargs)
    given.update(kwargs)
    if fits and given.keys() >= set(required):
        return given
    wrapped(*args, **kwargs)
    raise TypeError(f"{wrapped} was not called as it is declared")


def _bind_by_signature(
    wrapped: Callable[..., Any], instance: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    function: Any = wrapped
    positional = args
    if issubclass(type(wrapped), PartialCallableObjectProxy):
        # wrapt's stand-in for a method that was called through its class.
        function, positional = function.__wrapped__, (instance, *args)
    elif isinstance(wrapped, MethodType) and wrapped.__self__ is instance:
        function, positional = wrapped.__func__, (instance, *args)
    signature = _signature if isinstance(function, FunctionType) else inspect.signature
    try:
        given = signature(function).bind(*positional, **kwargs)
    except TypeError:
        wrapped(*args, **kwargs)
        raise
    return {name: value for name, value in given.arguments.items() if value is not instance}


# A function is asked once; a method of it would be another object at each call.
_signature = lru_cache(maxsize=64)(inspect.signature)


def _problem(name: str, error: Exception) -> UnusablePoint:
    if isinstance(error, UnusablePoint):
        return error
    problem = UnusablePoint(f"{name} cannot be patched ({type(error).__name__}: {error})")
    problem.__cause__ = error
    return problem


def _find(point: Point, behind: Callable[[Any], Any]) -> Iterator[Patch]:
    """The patches of a point; none if it may be absent and is."""
    try:
        module = import_module(point.module)
    except ModuleNotFoundError as missing:
        absent = missing.name is not None and f"{point.module}.".startswith(f"{missing.name}.")
        if absent and point.may_lack in ("module", "either"):
            return
        raise UnusablePoint(f"{point.name} is missing ({missing})") from missing

    owner: Any = module
    *path, attribute = point.path.split(".")
    for step in path:
        owner = getattr(owner, step, None)
    native = behind(_static_attribute(owner, attribute))
    if native is None:
        if isinstance(point, Addition) and owner is not None:
            yield Patch(owner, attribute, None, point)
        elif point.may_lack not in ("attribute", "either") and not any(
            hasattr(module, name) for name in getattr(point, "instead", ())
        ):
            raise UnusablePoint(f"{point.name} is missing")
        return
    if isinstance(point, PatchPoint):
        if point.only_if is not None and not point.only_if(native):
            return
        _check_parameters(point, point.name, native)
        yield from _overriding(point, owner, attribute)
    yield Patch(owner, attribute, native, point)


def _overriding(point: PatchPoint, owner: Any, attribute: str) -> Iterator[Patch]:
    """The same for subclasses, of the packages that the point names, that override the method."""
    if not point.overrides or not isinstance(owner, type):
        return
    subclasses: list[type] = owner.__subclasses__()
    for subclass in subclasses:
        native = vars(subclass).get(attribute)
        if native is not None and subclass.__module__.partition(".")[0] in point.overrides:
            _check_parameters(point, f"{subclass.__module__}:{subclass.__qualname__}", native)
            yield Patch(subclass, attribute, native, point)
        yield from _overriding(point, subclass, attribute)


def _static_attribute(owner: Any, attribute: str) -> Any:
    """The attribute as it is stored, before the descriptor protocol; ``None`` if absent."""
    for holder in getattr(owner, "__mro__", (owner,)):
        if attribute in getattr(holder, "__dict__", {}):
            return vars(holder)[attribute]
    return None


def _check_parameters(point: PatchPoint, name: str, native: Any) -> None:
    if not point.parameters:
        return
    if isinstance(native, property):
        raise UnusablePoint(f"{name} has changed: it is a property now")
    accepted = _parameters(getattr(native, "__func__", native))
    lacking = [parameter for parameter in point.parameters if parameter not in accepted]
    if lacking:
        raise UnusablePoint(f"{name} has changed: it takes no {', '.join(lacking)}")


def _parameters(function: Any) -> Collection[str]:
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        try:
            return inspect.signature(function).parameters
        except (TypeError, ValueError):
            return ()
    # What signature() would say of a plain function, without half of the cost of patching.
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names
