"""Certificates for servers on loopback, from an authority that nobody else trusts."""

from __future__ import annotations

from pathlib import Path

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
