"""Where the finder hands over: wrapt's post-import hooks, and the two cases they do not cover.

wrapt forgets a hook once it has called it, even if the hook raised and the import failed; so it
is registered again for each new import. And it knows nothing of ``importlib.reload``, which
makes new, native classes; so the reload of a submodule is followed by a loader of our own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import cast

from kruise_autopatch.activation import on_import, refuse
from kruise_autopatch.errors import KruiseAutopatchError
from kruise_autopatch.finder import WATCHED, SDKFinder
from kruise_autopatch.patching import wrapt

_registered: set[str] = set()
_searching = threading.local()


def find_hooked_spec(
    finder: SDKFinder, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    """Ask the other finders for a watched module, and see to it that it gets patched."""
    # Other finders, wrapt's among them, ask the whole of sys.meta_path again, this one included.
    if getattr(_searching, "active", False):
        return None
    _searching.active = True
    try:
        if target is None:
            _register(fullname)
        spec = _find_elsewhere(finder, fullname, path, target)
    finally:
        _searching.active = False
    if spec is not None and target is not None and fullname not in WATCHED:
        spec.loader = cast("Loader", _ReloadingLoader(spec.loader))
    return spec


def attend_loaded_modules() -> None:
    """Patch the packages that were imported before the finder was installed.

    Called at start-up, where an error would be printed and forgotten, so it is kept for the
    moment at which the program builds its first client.
    """
    try:
        for name in WATCHED:
            if name in sys.modules:
                _register(name)
    except KruiseAutopatchError as error:
        refuse(error)


def _register(name: str) -> None:
    if name not in _registered:
        _registered.add(name)
        wrapt.register_post_import_hook(_patch, name)


def _patch(module: ModuleType) -> None:
    # wrapt drops its hooks before it calls them; should this one raise, the import fails, and
    # the next attempt has to find it registered again.
    _registered.discard(module.__name__)
    on_import(module)


def _find_elsewhere(
    finder: SDKFinder, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    # A copy: wrapt puts its finder first while this runs.
    for other in list(sys.meta_path):
        find_spec = getattr(other, "find_spec", None)
        if other is finder or find_spec is None:
            continue
        spec: ModuleSpec | None = find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


class _ReloadingLoader(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """The loader of a submodule that is being reloaded: patches its new classes."""

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.__wrapped__
        self.__wrapped__.exec_module(module)
        on_import(sys.modules[module.__name__.partition(".")[0]])
