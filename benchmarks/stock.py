"""How a stock SDK is told where the tests' server is, beside a patched one."""

from __future__ import annotations

# The paths of its URLs: at the server's root, as natively, or private.
NATIVE, PRIVATE = ("", ""), ("/kruise/api", "/kruise/box1/49983")


def variables(server: str, paths: tuple[str, str]) -> dict[str, str]:
    """
    :param server: its URL, without a path
    :param paths: ``NATIVE`` or ``PRIVATE``
    """
    api, sandbox = paths
    return {
        "KRUISE_E2B_PATCH": "0",
        "E2B_API_URL": server + api,
        "E2B_SANDBOX_URL": server + sandbox,
    }
