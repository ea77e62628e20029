"""Which kernel runs a language: ours for Python, any that Jupyter finds for the others."""

from __future__ import annotations

import json
import sys

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import jupyter_path

PYTHON = "python"

# What the template calls them, and the names under which their kernels install themselves.
_KERNELS = {
    "javascript": ("javascript", "deno", "jslab", "tslab"),
    "typescript": ("typescript", "deno", "tslab"),
    "r": ("r", "ir"),
    "java": ("java", "rapaio-jupyter-kernel"),
    "bash": ("bash",),
}
_ALIASES = {"js": "javascript", "ts": "typescript", "python3": PYTHON, "": PYTHON}


class NoSuchLanguage(Exception):
    """No kernel for it is installed; the message is Jupyter's."""

    def __init__(self, language: str) -> None:
        super().__init__(
            json.dumps(
                {
                    "message": f"The '{language}' kernel is not available. Please pick another "
                    "suitable kernel instead, or install that kernel.",
                    "short_message": f"{language} not found",
                }
            )
        )


class Kernelspecs(KernelSpecManager):
    """Jupyter's kernels, but for Python's: that is ipykernel in our own interpreter.

    A `python3` kernel spec of the user's could name any other one.
    """

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        if kernel_name == PYTHON:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=argv, display_name="Python 3", language=PYTHON)
        return super().get_kernel_spec(kernel_name)


def kernelspecs() -> Kernelspecs:
    """Jupyter's kernels, without IPython's own directory, for which it would be imported."""
    return Kernelspecs(kernel_dirs=jupyter_path("kernels"))


def canonical(language: str) -> str:
    """The name that a language is shown under."""
    name = language.strip().lower()
    return _ALIASES.get(name, name)


def kernel_for(language: str) -> str:
    """The name of the kernel for a canonical language. Raises `NoSuchLanguage`."""
    specs = kernelspecs()
    for name in (PYTHON,) if language == PYTHON else _KERNELS.get(language, (language,)):
        try:
            specs.get_kernel_spec(name)
        except (NoSuchKernel, ValueError, OSError):
            continue
        return name
    raise NoSuchLanguage(language)
