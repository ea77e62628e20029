"""`kruise-autopatch-local`, also `python -m kruise_autopatch_local`: the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence

from . import options


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and serve."""
    chosen = options.read(arguments)
    if os.name != "posix":
        raise SystemExit("error: the local sandbox-manager needs Linux or macOS")
    try:
        from . import server
        from .control_plane.api_keys import new as new_api_key
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"error: the local sandbox-manager needs the package that provides '{error.name}'.\n"
            "Install it with: pip install kruise-autopatch-local"
        ) from error
    key = chosen.api_key or os.environ.get("KRUISE_LOCAL_API_KEY") or new_api_key()
    server.run(chosen, key)


if __name__ == "__main__":
    main()
