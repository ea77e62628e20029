"""What the private protocol adds to a request beside its URL, and where a traffic token comes from.

Pure, as all of ``protocol``: the only place that spells these names (sandbox-gateway's
``pkg/sandbox-gateway/filter/filter.go`` and ``pkg/servers/e2b/routes.go`` of openkruise/agents).
"""

from urllib.parse import quote

# The JWT that a protected sandbox asks of every request. Header names are in lower case, as HTTP/2
# has them.
TRAFFIC_TOKEN = "e2b-traffic-access-token"

# The sandbox's own ``envdAccessToken``, which a gateway with authentication asks for, too.
ACCESS_TOKEN = "x-access-token"

# The annotation of a protected sandbox, which the server shows as metadata; its value is "true".
PROTECTED = "security.agents.kruise.io/enable-jwt-auth"

# Below the control plane's base URL; there is no native twin.
TRAFFIC_TOKEN_ROUTE = "/sandboxes/{id}/traffic-access-token"


def is_protected(metadata: object) -> bool:
    """Whether a sandbox with this metadata asks for a traffic token."""
    return isinstance(metadata, dict) and metadata.get(PROTECTED) == "true"


def traffic_token_route(sandbox_id: str) -> str:
    """Where a new traffic token is asked for, with a ``POST``."""
    return TRAFFIC_TOKEN_ROUTE.format(id=quote(sandbox_id, safe=""))
