"""Certificates for servers on loopback, from an authority that nobody else trusts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trustme


def issue(directory: Path) -> dict[str, str]:
    """Paths, in ``directory``, of an ``authority``, and of a ``chain`` and its ``key``."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    paths = {name: str(directory / f"{name}.pem") for name in ("authority", "chain", "key")}
    authority.cert_pem.write_to_path(paths["authority"])
    for certificate in leaf.cert_chain_pems:
        certificate.write_to_path(paths["chain"], append=True)
    leaf.private_key_pem.write_to_path(paths["key"])
    return paths


def https(certificates: Mapping[str, str]) -> dict[str, Any]:
    """The options with which a ``LocalManager`` speaks https."""
    return {"certfile": certificates["chain"], "keyfile": certificates["key"]}
