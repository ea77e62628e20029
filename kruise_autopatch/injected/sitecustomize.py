# mypy: ignore-errors
"""Does what ``kruise_autopatch.pth`` does, where that is not processed: on PYTHONPATH.

``site`` imports this at the start of every Python that is given this directory, whichever it
is, so any release must be able to read it, and no error of ours may stop the application. Only the
SDK cannot be imported then, rather than be used natively. At last the ``sitecustomize`` that the
application would have had without us takes this one's place.
"""

import os
import sys

_HERE = os.path.normcase(os.path.dirname(os.path.abspath(__file__)))
# Of the SDK as of this package; elsewhere there is nothing to patch.
_OLDEST = (3, 9)


# As in kruise_autopatch, which may be what is damaged.
_OFF = ("0", "false", "no", "off", "")
_PACKAGES = ("e2b", "e2b_code_interpreter", "e2b_desktop")


class _Refusal:
    """A ``sys.meta_path`` finder that lets nobody import the SDK."""

    def __init__(self, reason):
        self.reason = reason

    def find_spec(self, name, path=None, target=None):
        if name in _PACKAGES:
            raise ImportError(
                "kruise-autopatch is on, but its files in "
                + _HERE
                + " are damaged ("
                + self.reason
                + "); install or copy them again, or unset KRUISE_E2B_PATCH."
            )


def _start_up():
    switch = os.environ.get("KRUISE_E2B_PATCH", "").strip().lower()
    if sys.version_info < _OLDEST or switch in _OFF:
        return
    try:
        _find_package().start()
    except Exception as error:
        reason = type(error).__name__ + ": " + str(error)
        sys.meta_path.insert(0, _Refusal(reason))
        if sys.stderr is not None:
            sys.stderr.write("kruise-autopatch: not active (" + reason + ")\n")


def _find_package():
    try:
        import kruise_autopatch
    except ImportError:
        # Installed elsewhere: not in an environment of this interpreter, nor on its path.
        root = os.path.dirname(os.path.dirname(_HERE))
        sys.path.append(root)
        try:
            import kruise_autopatch
            from kruise_autopatch.start_up import borrowing
        finally:
            sys.path.remove(root)
        borrowing.install(root)
    return kruise_autopatch


def _hand_over():
    """Import the next ``sitecustomize``; what it raises is for ``site`` to report, as ever."""
    sys.path[:] = [entry for entry in sys.path if os.path.normcase(os.path.abspath(entry)) != _HERE]
    ours = sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        # The import system looks it up once more when this module has been executed.
        sys.modules.setdefault(__name__, ours)


_start_up()
if __name__ == "sitecustomize":
    _hand_over()
