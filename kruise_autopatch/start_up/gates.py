"""Gates: until the SDK is patched, nobody can build a client of it.

While one thread imports e2b, another one may already use its submodules, and those stay behind
when the import fails. So the classes that every client begins with are given a gate as soon as
they exist. Whoever comes to it waits for the import of e2b, or meets its error.
"""

from __future__ import annotations

import sys

from kruise_autopatch import GATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from kruise_autopatch.start_up import FollowUp

_NATIVE = "__kruise_native__"

_CLASSES = dict(zip(GATED, ("ConnectionConfig", "VolumeConnectionConfig")))

# The classes of copies of the SDK under other names, behind gates that do not open.
_refused: list[type] = []
# The classes that need no gate (any more): what follows the import of e2b has been done with them.
_settled: list[type] = []


def close(module: ModuleType, follow_up: FollowUp) -> None:
    """Put a gate before the class of a module of ``GATED``, unless it is settled."""
    owner: Any = getattr(module, _CLASSES[module.__name__], None)
    native = vars(owner).get("__init__") if owner is not None else None
    # A release without it has no patch point either, and is refused for that.
    if native is None or is_gate(native) or owner in _settled:
        return

    def gate(self: Any, *args: Any, **kwargs: Any) -> None:
        _wait_for_patch(follow_up)
        if vars(owner)["__init__"] is gate:
            from kruise_autopatch.errors import CannotPatchError

            raise CannotPatchError(
                "kruise-autopatch is on, but a client is built while e2b is still being imported,"
                " and so is not patched yet; nothing was sent",
                "Build it after that import.",
            )
        owner.__init__(self, *args, **kwargs)

    _put_before(native, owner, gate)


def refuse_copy(module: ModuleType) -> None:
    """Let nobody build a client of a copy of the SDK that was imported under another name."""
    owner: Any = getattr(module, "ConnectionConfig", None)
    # Other people's modules may have this name, too.
    if not isinstance(owner, type) or not hasattr(owner, "get_sandbox_url"):
        return

    def gate(self: Any, *args: Any, **kwargs: Any) -> None:
        from kruise_autopatch.errors import CannotPatchError

        raise CannotPatchError(
            f"kruise-autopatch is on, but {module.__name__} is of a copy of e2b under another name,"
            " which is not patched; nothing was sent",
            "Import it as e2b, or unset KRUISE_E2B_PATCH.",
        )

    _put_before(vars(owner).get("__init__"), owner, gate)
    _refused.append(owner)


def _put_before(native: Any, owner: Any, gate: Any) -> None:
    """Let ``gate`` stand before the native constructor of a class, and look like it."""
    import functools

    functools.update_wrapper(gate, native)
    setattr(gate, _NATIVE, native)
    owner.__init__ = gate


def release_copies() -> None:
    """Undo :func:`refuse_copy`."""
    while _refused:
        owner: Any = _refused.pop()
        owner.__init__ = native(vars(owner)["__init__"])


def _wait_for_patch(follow_up: FollowUp) -> None:
    """Return when e2b has been imported and patched; raise what keeps it from that."""
    import e2b

    # Gone again, if another thread's import of it has failed: then this one's fails, too.
    while sys.modules.get("e2b") is not e2b:
        import e2b
    if not is_initializing(e2b):
        follow(e2b, follow_up)


def follow(package: ModuleType, follow_up: FollowUp) -> None:
    """Do what follows the import of a package of the SDK; unless that raises, open the gates."""
    follow_up(package)
    e2b = sys.modules.get("e2b")
    if package is e2b or not is_initializing(e2b):
        settle()


def is_initializing(module: Any) -> bool:
    """Whether a module is still being executed; also asked of what only stands for one."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def is_gate(attribute: Any) -> bool:
    return hasattr(attribute, _NATIVE)


def native(attribute: Any) -> Any:
    """What is behind a gate; anything else as it is."""
    return getattr(attribute, _NATIVE, attribute)


def settle() -> None:
    """Put the native attributes back where no patch has taken a gate's place.

    Not those of classes that an import which failed has left behind: nobody will patch them.
    """
    for name, class_name in _CLASSES.items():
        owner = getattr(sys.modules.get(name), class_name, None)
        if owner is None or owner in _settled:
            continue
        attribute = vars(owner).get("__init__")
        if is_gate(attribute):
            owner.__init__ = native(attribute)
        _settled.append(owner)
