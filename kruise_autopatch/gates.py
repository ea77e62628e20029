"""Gates: until the SDK is patched, nobody can build a client of it.

While one thread imports e2b, another one may already use its submodules, and those stay behind
when the import fails. So the classes that every client begins with are given a gate as soon as
they exist. Whoever comes to it waits for the import of e2b, or meets its error.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import kruise_autopatch.startup as startup

_NATIVE = "__kruise_native__"
# wrapt keeps what begins with _self_ on the wrapper.
_PATCHED = "_self_kruise_patched"

# By the modules of startup.GATED.
_CLASSES = dict(zip(startup.GATED, ("ConnectionConfig", "VolumeConnectionConfig")))

# The gates that have not been opened: the classes that they belong to.
_closed: list[type] = []


def close(module: ModuleType) -> None:
    """Put a gate before the class of a module of ``startup.GATED``, if it is native."""
    owner: Any = getattr(module, _CLASSES[module.__name__], None)
    native = vars(owner).get("__init__") if owner is not None else None
    # A release without it has no patch point either, and is refused for that.
    if native is None or is_gate(native) or hasattr(native, _PATCHED):
        return

    @functools.wraps(native)
    def gate(self: Any, *args: Any, **kwargs: Any) -> None:
        _wait_for_patch()
        if vars(owner)["__init__"] is gate:
            raise ImportError(
                "kruise-autopatch is on, but a client is built while e2b is still being imported,"
                " and so is not patched yet; nothing was sent. Build it after that import."
            )
        owner.__init__(self, *args, **kwargs)

    setattr(gate, _NATIVE, native)
    owner.__init__ = gate
    _closed.append(owner)


def _wait_for_patch() -> None:
    """Return when e2b has been imported and patched; raise what keeps it from that."""
    import e2b

    if not getattr(e2b.__spec__, "_initializing", False):
        from kruise_autopatch.hook import patch

        patch(sys.modules["e2b"])


def marked(wrapper: Any) -> Any:
    """A wrapper of a patch, made known as one: no gate is ever put before it."""
    setattr(wrapper, _PATCHED, True)
    return wrapper


def is_gate(attribute: Any) -> bool:
    return hasattr(attribute, _NATIVE)


def native(attribute: Any) -> Any:
    """What is behind a gate; anything else as it is."""
    return getattr(attribute, _NATIVE, attribute)


def open_all() -> None:
    """Put the native attributes back where no patch has taken a gate's place.

    Not those of classes that an import which failed has left behind: nobody will patch them.
    """
    for owner in list(_closed):
        attribute = vars(owner).get("__init__")
        if is_gate(attribute):
            if getattr(sys.modules.get(owner.__module__), owner.__name__, None) is not owner:
                continue
            owner.__init__ = native(attribute)  # type: ignore[misc]
        _closed.remove(owner)
