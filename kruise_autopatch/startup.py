"""What the interpreter runs at start-up, from ``kruise_autopatch.pth`` or ``.start`` (PEP 829).

Nothing but ``os`` and ``sys`` may be imported here, and nothing may escape: an exception in a
``.pth`` line is printed at every start of every Python program of the environment.
"""

import os
import sys

# How the switches are spelled; compared without case and surrounding space.
ON = ("1", "true", "yes", "on")
OFF = ("0", "false", "no", "off", "")


def install() -> None:
    """Wait for the E2B SDK, if ``KRUISE_E2B_PATCH`` is set and not off.

    Called twice per process in virtual environments of many CPython releases (gh-75723), so it
    is idempotent. A misspelt value is reported when e2b is imported, not here, so that programs
    that never use e2b live on.
    """
    if os.environ.get("KRUISE_E2B_PATCH", "").strip().lower() in OFF:
        return

    # In this form the import asks nothing of the package's __getattr__.
    import kruise_autopatch.finder as finder

    finder.install()
    if any(name in sys.modules for name in finder.WATCHED):
        # Another start-up file imported the SDK before us.
        try:
            from kruise_autopatch.hook import attend_loaded_modules
        except ImportError:
            # wrapt is missing. Forgotten, the SDK is imported anew, and that import says so.
            for name in list(sys.modules):
                if name.partition(".")[0] in finder.WATCHED:
                    del sys.modules[name]
        else:
            attend_loaded_modules()
