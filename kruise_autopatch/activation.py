"""The state of this process: whether the SDK is patched, by whom, and with which settings."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import kruise_autopatch.finder as finder
import kruise_autopatch.gates as gates
import kruise_autopatch.log as log
import kruise_autopatch.settings as settings
import kruise_autopatch.startup as startup
import kruise_autopatch.versions as versions
from kruise_autopatch.errors import IncompatibleSDKError
from kruise_autopatch.patches import points_for
from kruise_autopatch.patching import PatchSet, resolve
from kruise_autopatch.settings import Settings

if TYPE_CHECKING:
    from kruise_autopatch.report import Status


# Guards the four below. Never held during an import: another thread may hold that module's
# import lock and be waiting for this one.
_lock = threading.RLock()
_patches = PatchSet()
_settings: Settings | None = None
# The modules, by name, of the packages of the SDK that have been patched, or left as they are.
_attended: dict[str, ModuleType] = {}
# Who decides: the environment, read when e2b is imported; a call; or nobody after an unpatch.
_source: str | None = "environment"


def patch_e2b(https: bool = True, validate_key: bool = False) -> None:
    """Move the E2B SDK of this process to the private protocol, now and in later imports.

    No variable is needed at the call, and none is changed; called again, the last call wins.

    :param https: ``False`` for plain http, as inside a cluster
    :param validate_key: ``True`` keeps the SDK's own check of the API key's form
        (e2b 2.25.0 to 2.45.1)
    :raises ModuleNotFoundError: e2b is not installed
    :raises IncompatibleSDKError: a patch point is missing in the installed SDK
    :raises ConfigurationError: a ``KRUISE_E2B_*`` variable has a bad value
    """
    chosen = settings.for_call(os.environ, https=https, validate_key=validate_key)
    log.configure(chosen.log)
    previous = _decide(chosen, "patch_e2b")
    already_waiting = not finder.wait()
    try:
        import e2b  # noqa: F401

        for package in startup.PACKAGES:
            if package in sys.modules:
                _attend(sys.modules[package], chosen)
    except BaseException:
        if not already_waiting:
            finder.stop_waiting()
            gates.open_all()
        _decide(*previous)
        raise


def unpatch_e2b() -> None:
    """Put every attribute of the SDK back, and patch nothing more in this process.

    Drop the objects that were built in the meantime: the URLs they keep are private, those they
    compute are native again.
    """
    finder.stop_waiting()
    _decide(None, None)
    gates.open_all()


def status() -> Status:
    """What is patched, where, and with which settings."""
    from kruise_autopatch.report import Report, Status

    with _lock:
        waiting = _source == "environment" and finder.is_waiting()
        enabled = _settings is not None or waiting
        source = _source if enabled else None
        patches = tuple(Report(name, state) for name, state in _patches.states.items())
        return Status(enabled, source, _settings, patches, "e2b" in sys.modules)


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
            _decide(chosen, source)


def _before_client(chosen: Settings, client: type | None) -> Settings:
    """The settings for a client that is being built; those ``chosen`` here until there are others.

    Before it is built, every package that has been imported behind our back is patched.

    :param client: the class of a sandbox, whose package may still be being imported
    """
    settings = _settings or chosen
    if any(sys.modules.get(name) is not _attended.get(name) for name in startup.PACKAGES):
        _attend_others(settings)
        for base in client.__mro__ if client is not None else ():
            package = base.__module__.partition(".")[0]
            if package in startup.PACKAGES and package in sys.modules:
                _attend(sys.modules[package], settings)
    return settings


def _attend_others(chosen: Settings) -> None:
    """Patch every package of the SDK that has been imported, e2b first."""
    for name in startup.PACKAGES:
        module = sys.modules.get(name)
        if module is not None and not getattr(module.__spec__, "_initializing", False):
            _attend(module, chosen)


def _attend(module: ModuleType, chosen: Settings) -> None:
    _patch_package(module.__name__, chosen)
    with _lock:
        _attended[module.__name__] = module


def _decide(chosen: Settings | None, source: str | None) -> tuple[Settings | None, str | None]:
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
        _report(f"e2b {versions.of_e2b()} is too old: e2b 2.8.0 or newer is needed", chosen)
        return
    resolution = resolve(points_for(package, partial(_before_client, chosen)))
    if resolution.problems:
        found = f"{package} {versions.installed(package) or '(version unknown)'}"
        _report(f"{found} cannot be fully patched: {'; '.join(resolution.problems)}", chosen)
    with _lock:
        changed = _patches.apply(resolution)
    if changed:
        log.patched(package, resolution.states)


def _report(problem: str, chosen: Settings) -> None:
    """Fail closed with an error, or warn where the user asked for that."""
    if not chosen.strict:
        warnings.warn(f"kruise-autopatch: {problem}.", RuntimeWarning, stacklevel=2)
        return
    raise IncompatibleSDKError(
        f"{problem}. Install a release that kruise-autopatch supports, or upgrade"
        " kruise-autopatch. KRUISE_E2B_STRICT=0 turns this error into a warning; without"
        " KRUISE_E2B_PATCH and patch_e2b the SDK stays native."
    )
