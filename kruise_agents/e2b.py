"""The import path that OpenKruise's documentation uses; see :mod:`kruise_autopatch`."""

from kruise_autopatch import patch_e2b, status, unpatch_e2b

__all__ = ["patch_e2b", "status", "unpatch_e2b"]
