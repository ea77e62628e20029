"""Reversible attribute patches. Knows nothing of e2b.

Loaded by every program that imports the SDK, so its records are plain classes: each ``NamedTuple``
would cost as much as loading four modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

from kruise_autopatch.errors import CannotPatchError

try:
    from wrapt import FunctionWrapper
    from wrapt import ObjectProxy as ObjectProxy
except Exception as error:
    raise CannotPatchError(
        f"kruise-autopatch needs wrapt, which cannot be imported ({error})",
        "run pip install --force-reinstall kruise-autopatch wrapt, or switch it off.",
    ) from error

# wrapt's calling convention: (wrapped, instance, args, kwargs) -> result.
Wrapper = Callable[[Any, Any, "tuple[Any, ...]", "dict[str, Any]"], Any]

# What of a patch point an SDK release may lack without being incompatible: nothing; the module,
# because this release has no such feature; or the attribute of a module that is there.
MayLack = Literal["nothing", "module", "attribute"]

# What became of each patch point, by its name: applied, absent (not in this SDK release), or
# unusable and why.
States = Mapping[str, str]


class PatchPoint:
    """One attribute of the SDK, and what it becomes."""

    __slots__ = ("adds", "may_lack", "module", "parameters", "path", "wrapper")

    def __init__(
        self,
        module: str,
        path: str,
        wrapper: Wrapper | Any,
        parameters: tuple[str, ...] = (),
        may_lack: MayLack = "nothing",
        *,
        adds: bool = False,
    ) -> None:
        """
        :param path: of the attribute inside the module, such as ``ConnectionConfig.get_host``
        :param parameters: that the native callable must accept for the wrapper to be right
        :param adds: ``wrapper`` does not wrap anything: it is the attribute, whether the SDK has
            one or not
        """
        self.module = module
        self.path = path
        self.wrapper = wrapper
        self.parameters = parameters
        self.may_lack = may_lack
        self.adds = adds

    @property
    def name(self) -> str:
        return f"{self.module}:{self.path}"


class UnusablePoint(Exception):
    """A patch point that is missing or has changed; the message says which and how."""


class Patch:
    """The replacement of one attribute of the SDK, and the way back."""

    def __init__(self, owner: Any, attribute: str, native: Any, point: PatchPoint) -> None:
        self._owner = owner
        self._attribute = attribute
        self._native = native
        self._active = True
        self._inherited = attribute not in vars(owner)
        self._replacement = point.wrapper if point.adds else self._wrap(native, point.wrapper)

    def _wrap(self, native: Any, wrapper: Wrapper) -> Any:
        if isinstance(native, property):
            # A property's getter is called with the instance as a plain argument.
            def getter(getter: Any, _: Any, args: tuple[Any, ...], __: dict[str, Any]) -> Any:
                (instance,) = args
                return wrapper(lambda: getter(instance), instance, (), {})

            return property(self._function(native.fget, getter), native.fset, native.fdel)
        return self._function(native, wrapper)

    def _function(self, native: Any, wrapper: Wrapper) -> Any:
        # If somebody has wrapped ours by the time it is undone, it stays in place, disabled.
        return FunctionWrapper(native, wrapper, enabled=lambda: self._active)

    def covers(self, other: Patch) -> bool:
        """Whether this patch is of the same attribute, and still in place."""
        same = self._owner is other._owner and self._attribute == other._attribute
        return same and self._in_place

    @property
    def _in_place(self) -> bool:
        return vars(self._owner).get(self._attribute) is self._replacement

    def apply(self) -> None:
        setattr(self._owner, self._attribute, self._replacement)

    def undo(self) -> None:
        """Put the native attribute back."""
        self._active = False
        if not self._in_place:
            return
        if self._inherited:
            delattr(self._owner, self._attribute)
        else:
            setattr(self._owner, self._attribute, self._native)


class Resolution:
    """What was found of a list of patch points, before anything is changed."""

    __slots__ = ("patches", "problems", "states")

    def __init__(self) -> None:
        self.patches: list[Patch] = []
        # One line for each point that is missing or has changed.
        self.problems: list[str] = []
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


def resolve(points: Sequence[PatchPoint], native: Callable[[Any], Any]) -> Resolution:
    """Find the attributes of ``points``, importing their modules; changes nothing.

    :param native: gives the attribute itself where something stands before it for the moment
    """
    resolution = Resolution()
    for point in points:
        try:
            patch = _find(point, native)
        except UnusablePoint as problem:
            resolution.problems.append(str(problem))
            resolution.states[point.name] = f"unusable: {problem}"
            continue
        if patch is not None:
            resolution.patches.append(patch)
        resolution.states[point.name] = "applied" if patch is not None else "absent"
    return resolution


def bind(
    wrapped: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """The arguments of a call by name, wherever this release of the SDK puts them.

    A call that does not fit is left to the SDK, which refuses it in its own words.
    """
    try:
        return inspect.signature(wrapped).bind(*args, **kwargs)
    except TypeError:
        wrapped(*args, **kwargs)
        raise


def _find(point: PatchPoint, behind: Callable[[Any], Any]) -> Patch | None:
    """The patch of a point; ``None`` if it may be absent and is."""
    try:
        owner: Any = import_module(point.module)
    except ModuleNotFoundError as missing:
        absent = missing.name is not None and f"{point.module}.".startswith(f"{missing.name}.")
        if absent and point.may_lack == "module":
            return None
        raise UnusablePoint(f"{point.name} is missing ({missing})") from missing

    *path, attribute = point.path.split(".")
    for step in path:
        owner = getattr(owner, step, None)
    native = behind(_static_attribute(owner, attribute))
    if point.adds and owner is not None:
        return Patch(owner, attribute, native, point)
    if native is None:
        if point.may_lack == "attribute":
            return None
        raise UnusablePoint(f"{point.name} is missing")
    _check_parameters(point, native)
    return Patch(owner, attribute, native, point)


def _static_attribute(owner: Any, attribute: str) -> Any:
    """The attribute as it is stored, before the descriptor protocol; ``None`` if absent."""
    for holder in getattr(owner, "__mro__", (owner,)):
        if attribute in getattr(holder, "__dict__", {}):
            return vars(holder)[attribute]
    return None


def _check_parameters(point: PatchPoint, native: Any) -> None:
    if isinstance(native, property):
        return
    accepted = _parameters(getattr(native, "__func__", native))
    lacking = [name for name in point.parameters if name not in accepted]
    if lacking:
        raise UnusablePoint(f"{point.name} has changed: it takes no {', '.join(lacking)}")


def _parameters(function: Any) -> Collection[str]:
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        return inspect.signature(function).parameters
    # What signature() would say of a plain function, without half of the cost of patching.
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names
