"""What OpenKruise's manifests call its Services: the one table that docs, manifests and messages
are compared with.

Read in openkruise/agents (``config/sandbox-manager/service.yaml``, ``config/sandbox-gateway/``) and
openkruise/charts (``versions/kruise-agents-sandbox-manager``: ``service.yaml``, ``values.yaml``,
``sandbox-gateway.yaml``, ``ingress.yaml``), 0.1.0 to 0.6.0-alpha2.
"""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "sandbox-system"
# Of every Service that speaks the private protocol. None listens on 80 or 443.
PORT = 7788


class Service(NamedTuple):
    installed_by: str
    name: str
    ports: tuple[int, ...]

    @property
    def host(self) -> str:
        """What a client inside the cluster writes."""
        return f"{self.name}.{NAMESPACE}.svc.cluster.local:{PORT}"


HELM = Service("Helm", "agents-sandbox-manager", (PORT, 8080, 9002))
KUSTOMIZE = Service("kustomize", "sandbox-manager", (PORT,))
GATEWAY = Service("either", "sandbox-gateway", (PORT,))
SERVICES = (HELM, KUSTOMIZE, GATEWAY)

# The charts, in https://openkruise.github.io/charts/.
CHARTS = ("agents-sandbox-controller", "agents-sandbox-manager")
