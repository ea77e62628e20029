"""Headers and annotations of the private protocol."""

# The token that a request to a protected sandbox brings.
TRAFFIC_TOKEN = "e2b-traffic-access-token"

# The annotation, shown as metadata, that protects a sandbox if its value is "true".
PROTECTED = "security.agents.kruise.io/enable-jwt-auth"
