"""The state of this process: whether the SDK is patched, by whom, and with which settings."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from functools import partial
from types import ModuleType

import kruise_autopatch.log as log
import kruise_autopatch.settings as settings
import kruise_autopatch.start_up.gates as gates
import kruise_autopatch.versions as versions
from kruise_autopatch import PACKAGES
from kruise_autopatch.errors import IncompatibleSDKError, IncompatibleSDKWarning
from kruise_autopatch.patches import points_for
from kruise_autopatch.patches.engine import PatchSet, UnusablePoint, resolve
from kruise_autopatch.settings import Settings

# Guards the four below. Never held during an import: another thread may hold that module's
# import lock and be waiting for this one.
_lock = threading.RLock()
_patches = PatchSet()
_settings: Settings | None = None
# The modules, by name, of the packages of the SDK that have been patched, or left as they are.
_attended: dict[str, ModuleType] = {}
# Who decides: the environment, read when e2b is imported; a call; or nobody after an unpatch.
_source: str | None = "environment"


class State:
    """What :func:`current` returns; no record class, as in the engine."""

    def __init__(self) -> None:
        # None: nothing has been decided, or nothing is patched.
        self.settings = _settings
        self.source = _source
        # What became of each patch point.
        self.points = dict(_patches.states)
        # The packages of the SDK that are loaded, but neither patched nor left as they are.
        self.unattended = _unattended()


def current() -> State:
    """The state of this process, consistent in itself."""
    with _lock:
        return State()


def on_import(module: ModuleType) -> None:
    """The post-import hook: patch a package of the SDK that has just been executed.

    And those before it whose import another tool's hook has kept from us. Idempotent. Raises what
    :func:`patch_e2b` raises, and so makes the import fail.
    """
    with _lock:
        source, chosen = _source, _settings
    if source is None:
        return
    if chosen is None:
        if not settings.is_enabled(os.environ):
            return
        chosen = settings.from_environment(os.environ)
        log.configure(chosen.log)
    _attend_others(chosen)
    _attend(module, chosen)
    with _lock:
        if _settings is None and _source == source:
            decide(chosen, source)


def _before_client(chosen: Settings, client: type | None) -> Settings:
    """The settings for a client that is being built; those ``chosen`` here until there are others.

    Before it is built, every package that has been imported behind our back is patched.

    :param client: the class of a sandbox, whose package may still be being imported
    """
    settings = _settings or chosen
    if _unattended():
        _attend_others(settings)
        for base in client.__mro__ if client is not None else ():
            package = base.__module__.partition(".")[0]
            if package in PACKAGES and package in sys.modules:
                _attend(sys.modules[package], settings)
    return settings


def _unattended() -> list[str]:
    loaded = [(name, sys.modules.get(name)) for name in PACKAGES]
    return [name for name, module in loaded if module and module is not _attended.get(name)]


def _attend_others(chosen: Settings) -> None:
    """Patch every package of the SDK that has been imported past the hook, e2b first.

    No other: to look for its points again would import its modules, and so wait for threads that
    wait for this one.
    """
    for name in _unattended():
        module = sys.modules.get(name)
        if module is not None and not gates.is_initializing(module):
            _attend(module, chosen)


def _attend(module: ModuleType, chosen: Settings) -> None:
    # What stands for the SDK while Sphinx builds documentation (autodoc_mock_imports).
    if getattr(module, "__sphinx_mock__", False) is not True:
        _patch_package(module.__name__, chosen)
    with _lock:
        _attended[module.__name__] = module


def decide(chosen: Settings | None, source: str | None) -> tuple[Settings | None, str | None]:
    """Change the settings in force and return the previous ones; none leave the SDK native."""
    global _settings, _source
    with _lock:
        previous = _settings, _source
        _settings, _source = chosen, source
        if chosen is None:
            _patches.undo()
            _attended.clear()
        return previous


def _patch_package(package: str, chosen: Settings) -> None:
    if package == "e2b" and versions.is_too_old(versions.of_e2b()):
        too_old = (
            f"e2b {versions.of_e2b()} is too old: e2b {versions.OLDEST['e2b']} or newer is needed"
        )
        _report(package, too_old, chosen)
        return
    points = points_for(package, partial(_before_client, chosen))
    resolution = resolve(points, gates.native)
    problems = resolution.problems
    changed = False
    if not problems or not chosen.strict:
        with _lock:
            try:
                changed = _patches.apply(resolution)
            except UnusablePoint as unusable:
                problems = [*problems, unusable]
    if problems:
        found = f"{package} {versions.installed(package) or '(version unknown)'}"
        reasons = "; ".join(map(str, problems))
        problem = f"{found} cannot be fully patched: {reasons}"
        _report(package, problem, chosen, problems[0].__cause__)
    if changed:
        log.patched(package, resolution.states)


def _report(
    package: str, problem: str, chosen: Settings, cause: BaseException | None = None
) -> None:
    """Fail closed with an error, or warn where the user asked for that."""
    supported = f"{versions.OLDEST[package]} to {versions.NEWEST_PROVED[package]}"
    advice = (
        f"Install a release of {package.replace('_', '-')} that kruise-autopatch supports,"
        f" {supported}, or upgrade kruise-autopatch."
    )
    if not chosen.strict:
        warnings.warn(IncompatibleSDKWarning(problem, advice), stacklevel=2)
        return
    raise IncompatibleSDKError(
        problem,
        f"{advice} KRUISE_E2B_STRICT=0 turns this error into a warning; without"
        " KRUISE_E2B_PATCH and patch_e2b the SDK stays native.",
    ) from cause
