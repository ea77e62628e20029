"""A local sandbox-manager that speaks OpenKruise Agents' private E2B protocol.

It is meant for laptops and CI: `http(s)://HOST/kruise/api/…` is the control plane and
`http(s)://HOST/kruise/<sandbox>/<port>/…` the data plane, as on a cluster, so that code
using the E2B SDKs can be tried without one.

Where the host allows it, a sandbox has namespaces of its own: files, processes, accounts. That
keeps programs apart, so that they behave as in a pod; **it is no boundary against hostile code**.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .launcher import LocalManager, LocalManagerError

__all__ = ["LocalManager", "LocalManagerError"]


def __getattr__(name: str) -> Any:
    """Import the launcher only when it is asked for, so that this package stays light."""
    if name in __all__:
        from . import launcher

        return getattr(launcher, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
