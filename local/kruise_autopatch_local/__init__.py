"""A local sandbox-manager that speaks OpenKruise Agents' private E2B protocol.

It is meant for laptops and CI: `http(s)://HOST/kruise/api/…` is the control plane and
`http(s)://HOST/kruise/<sandbox>/<port>/…` the data plane, as on a cluster, so that code
using the E2B SDKs can be tried without one.

**It isolates nothing.** A "sandbox" is a directory and some ordinary processes of the user
who started the server. Code that runs in it can read, change and delete whatever that
user can, reach the network, and see other sandboxes. Never run code in it that you would
not run in your own shell.
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
