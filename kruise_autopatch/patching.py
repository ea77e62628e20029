"""Reversible attribute patches and their report. Knows nothing of e2b."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple

try:
    import wrapt as wrapt
except ImportError as error:
    raise ImportError(
        f"kruise-autopatch needs wrapt, which cannot be imported ({error}); run"
        " pip install --force-reinstall kruise-autopatch, or switch it off."
    ) from error

# wrapt's calling convention: (wrapped, instance, args, kwargs) -> result.
Wrapper = Callable[[Any, Any, "tuple[Any, ...]", "dict[str, Any]"], Any]


# What of a patch point an SDK release may lack without being incompatible: nothing; the module,
# because this release has no such feature; or the attribute of a module that is there.
MayLack = Literal["nothing", "module", "attribute"]


class PatchPoint(NamedTuple):
    """One attribute of the SDK, and what it becomes."""

    module: str
    # Path of the attribute inside the module, such as ``ConnectionConfig.get_host``.
    path: str
    wrapper: Wrapper | Any
    # Parameters that the native callable must accept for the wrapper to be right.
    parameters: tuple[str, ...] = ()
    may_lack: MayLack = "nothing"
    # The wrapper does not wrap anything: it is the attribute, whether the SDK has one or not.
    adds: bool = False

    @property
    def name(self) -> str:
        return f"{self.module}:{self.path}"


class Report(NamedTuple):
    """What became of one patch point: ``applied`` or ``absent`` (not in this SDK release)."""

    name: str
    state: str


class UnusablePoint(Exception):
    """A patch point that is missing or has changed; the message says which and how."""


class Target(NamedTuple):
    """An attribute as it was found, and the wrapper that is meant for it."""

    owner: Any
    attribute: str
    native: Any
    # What wraps the native attribute, or is to be there instead.
    wrapper: Wrapper | Any
    adds: bool = False


class AppliedPatch:
    """One replaced attribute, and the way back."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._active = True
        self._inherited = target.attribute not in vars(target.owner)
        self._replacement = (
            target.wrapper if target.adds else self._wrap(target.native, target.wrapper)
        )
        setattr(target.owner, target.attribute, self._replacement)

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
        return wrapt.FunctionWrapper(native, wrapper, enabled=lambda: self._active)

    def covers(self, target: Target) -> bool:
        """Whether this patch is what ``target`` needs, and still in place."""
        mine = self._target
        return (mine.owner, mine.attribute) == (target.owner, target.attribute) and self._in_place

    @property
    def _in_place(self) -> bool:
        return vars(self._target.owner).get(self._target.attribute) is self._replacement

    def undo(self) -> None:
        """Put the native attribute back."""
        self._active = False
        owner, attribute = self._target.owner, self._target.attribute
        if not self._in_place:
            return
        if self._inherited:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, self._target.native)


class Resolution(NamedTuple):
    """What was found of a list of patch points, before anything is changed."""

    targets: Sequence[Target]
    # One line for each point that is missing or has changed.
    problems: Sequence[str]
    reports: Sequence[Report]


class PatchSet:
    """The patches of one process."""

    def __init__(self) -> None:
        self._applied: list[AppliedPatch] = []
        self._reports: dict[str, Report] = {}

    @property
    def reports(self) -> Sequence[Report]:
        return tuple(self._reports.values())

    def apply(self, resolution: Resolution) -> None:
        """Replace every attribute that was found; those already in place are left alone."""
        for target in resolution.targets:
            if not any(patch.covers(target) for patch in self._applied):
                self._applied.append(AppliedPatch(target))
        self._reports.update({report.name: report for report in resolution.reports})

    def undo(self) -> None:
        """Put every native attribute back, last first."""
        while self._applied:
            self._applied.pop().undo()
        self._reports.clear()


def resolve(points: Sequence[PatchPoint]) -> Resolution:
    """Find the attributes of ``points``, importing their modules; changes nothing."""
    targets: list[Target] = []
    problems: list[str] = []
    reports: list[Report] = []
    for point in points:
        try:
            target = _find(point)
        except UnusablePoint as problem:
            problems.append(str(problem))
            reports.append(Report(point.name, f"unusable: {problem}"))
            continue
        if target is not None:
            targets.append(target)
        reports.append(Report(point.name, "applied" if target is not None else "absent"))
    return Resolution(targets, problems, reports)


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


def _find(point: PatchPoint) -> Target | None:
    """The target of a point; ``None`` if it may be absent and is."""
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
    native = _static_attribute(owner, attribute)
    if point.adds and owner is not None:
        return Target(owner, attribute, native, point.wrapper, adds=True)
    if native is None:
        if point.may_lack == "attribute":
            return None
        raise UnusablePoint(f"{point.name} is missing")
    _check_parameters(point, native)
    return Target(owner, attribute, native, point.wrapper)


def _static_attribute(owner: Any, attribute: str) -> Any:
    """The attribute as it is stored, before the descriptor protocol; ``None`` if absent."""
    for holder in getattr(owner, "__mro__", (owner,)):
        if attribute in getattr(holder, "__dict__", {}):
            return vars(holder)[attribute]
    return None


def _check_parameters(point: PatchPoint, native: Any) -> None:
    if isinstance(native, property):
        return
    accepted = inspect.signature(getattr(native, "__func__", native)).parameters
    lacking = [name for name in point.parameters if name not in accepted]
    if lacking:
        raise UnusablePoint(f"{point.name} has changed: it takes no {', '.join(lacking)}")
