"""What is done by hand: :func:`patch_e2b`, :func:`unpatch_e2b`, :func:`status`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import kruise_autopatch.activation as activation
import kruise_autopatch.log as log
import kruise_autopatch.settings as settings
import kruise_autopatch.start_up as start_up
import kruise_autopatch.start_up.gates as gates
from kruise_autopatch import OFF, PACKAGES
from kruise_autopatch.settings import Settings

# Why it is off although KRUISE_E2B_PATCH is on by now.
_TOO_LATE = (
    "KRUISE_E2B_PATCH is set now, but was not when Python started. Set it before, as"
    " kruise-autopatch run --env-file does with a .env file, or call patch_e2b()"
)
_NO_HOOK = (
    "KRUISE_E2B_PATCH was set when Python started, but the hook did not run. The doctor says why:"
    " python -m kruise_autopatch doctor"
)
_UNKNOWN = (
    "KRUISE_E2B_PATCH is set now, but was not when Python started, or the hook did not run. Set it"
    " before, call patch_e2b(), or ask the doctor: python -m kruise_autopatch doctor"
)


class PointState(NamedTuple):
    """What became of one patch point: ``applied`` or ``absent`` (not in this SDK release)."""

    name: str
    state: str


class Status(NamedTuple):
    """Whether the SDK of this process is patched, by whom, and with which settings."""

    enabled: bool
    # "environment" or "patch_e2b"; None while off.
    source: str | None
    # None while off, and while e2b has not been imported: only then are the variables read.
    settings: Settings | None
    patches: Sequence[PointState]
    sdk_imported: bool
    # The packages that were imported past the import hook: patched when a client is built next.
    unpatched: Sequence[str] = ()
    # Why it is off although KRUISE_E2B_PATCH is on by now, and what to do; None if that is not so.
    hint: str | None = None
    # The routes that were asked of OpenKruise though it is not known to have them.
    unserved: Sequence[str] = ()

    def __str__(self) -> str:
        if not self.enabled:
            return f"kruise-autopatch: off{f'; {self.hint}' if self.hint else ''}"
        if not self.patches:
            waiting = "the imported e2b is not patched" if self.sdk_imported else "waiting for e2b"
            return f"kruise-autopatch: on, {waiting}"
        head = f"kruise-autopatch: on, by {self.source}, {self.settings}"
        late = "imported past the import hook, patched when a client is built next"
        return "\n".join(
            [
                head,
                *(f"  {patch.name}: {patch.state}" for patch in self.patches),
                *(f"  {package}: {late}" for package in self.unpatched),
                *(f"  {route}: sent as it is; {log.UNSERVED}" for route in self.unserved),
            ]
        )


def patch_e2b(https: bool = True, validate_key: bool = False, protocol: str | None = None) -> None:
    """Move the E2B SDK of this process to the private protocol, now and in later imports.

    No variable is needed at the call, and none is changed; called again, the last call wins.

    :param https: ``False`` for plain http, as inside a cluster
    :param validate_key: ``True`` keeps the SDK's own check of the API key's form
        (e2b 2.25.0 to 2.45.1)
    :param protocol: ``"native"`` leaves every URL as the SDK makes it, and patches only the rest;
        ``None`` leaves the choice to ``KRUISE_E2B_PROTOCOL``
    :raises ModuleNotFoundError: e2b is not installed
    :raises IncompatibleSDKError: a patch point is missing in the installed SDK
    :raises ConfigurationError: a ``KRUISE_E2B_*`` variable has a bad value, or ``protocol``
    """
    chosen = settings.for_call(
        os.environ, https=https, validate_key=validate_key, protocol=protocol
    )
    log.configure(chosen.log)
    previous = activation.decide(chosen, "patch_e2b")
    already_waiting = start_up.is_waiting()
    if not already_waiting:
        start_up.wait(activation.on_import)
    try:
        import e2b  # noqa: F401

        for package in PACKAGES:
            if package in sys.modules:
                gates.follow(sys.modules[package], activation.on_import)
    except BaseException:
        if not already_waiting:
            start_up.stop_waiting()
            gates.settle()
        activation.decide(*previous)
        raise


def unpatch_e2b() -> None:
    """Put every attribute of the SDK back, and patch nothing more in this process.

    Drop the objects that were built in the meantime: the URLs they keep are private, those they
    compute are native again.
    """
    start_up.stop_waiting()
    activation.decide(None, None)
    gates.settle()
    gates.release_copies()


def status() -> Status:
    """What is patched, where, and with which settings."""
    state = activation.current()
    waiting = state.source == "environment" and start_up.is_waiting()
    enabled = state.settings is not None or waiting
    source = state.source if enabled else None
    patches = tuple(PointState(*point) for point in state.points.items())
    unpatched = tuple(name for name in state.unattended if enabled)
    hint = _hint() if state.source == "environment" and not enabled else None
    v1_routes = sys.modules.get("kruise_autopatch.patches.v1_routes")
    unserved = v1_routes.unserved() if v1_routes is not None else ()
    imported = "e2b" in sys.modules
    return Status(enabled, source, state.settings, patches, imported, unpatched, hint, unserved)


def _hint() -> str | None:
    """Why the hook has not run, if KRUISE_E2B_PATCH is on by now.

    Asked for here alone: to remember at start-up what it was would cost every program something.
    """
    if _is_off(os.environ.get(settings.PATCH.name, "")):
        return None
    try:
        # The variables that the kernel gave this process.
        with open("/proc/self/environ", "rb") as file:
            variables = file.read().decode("utf-8", "replace").split("\0")
    except OSError:
        return _UNKNOWN
    prefix = f"{settings.PATCH.name}="
    value = next((each[len(prefix) :] for each in variables if each.startswith(prefix)), "")
    return _TOO_LATE if _is_off(value) else _NO_HOOK


def _is_off(value: str) -> bool:
    return value.strip().lower() in OFF
