"""``from kruise_agents.patch_e2b import patch_e2b``."""

from kruise_autopatch import patch_e2b

__all__ = ["patch_e2b"]
