"""A local sandbox-manager by its native names: ``api.DOMAIN``, and one for each sandbox port.

No resolver knows these names where the tests run. A proxy on loopback leads to the server whatever
name it is asked for, as a wildcard's entry in DNS would; the SDK is told of it by ``proxy=``, which
every release obeys. The certificate is a wildcard's.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import trustme

from kruise_autopatch.protocol.written import InvalidUrl, other_form, parse_native, private_url
from kruise_autopatch_local import LocalManager
from support.serving import ProxyHandler, ProxyServer

# Below .localhost: the local sandbox-manager is known by no other names.
HOST = "kruise.localhost"


class Native:
    """The server, and what a program needs to reach it."""

    def __init__(self, manager: LocalManager, authority: str, proxy: str) -> None:
        self.manager = manager
        self.domain = f"{HOST}:{manager.domain.rpartition(':')[2]}"
        self.variables = {
            "E2B_DOMAIN": self.domain,
            "E2B_API_KEY": manager.api_key,
            "SSL_CERT_FILE": authority,
            # For the programs of the tests.
            "KRUISE_TEST_PROXY": proxy,
        }

    def requests(self) -> list[dict[str, Any]]:
        """What the server has seen, in the private form: the tables of the tests have that one."""
        return [self._private(request) for request in self.manager.requests()]

    def private_form(self, url: str) -> str:
        """A URL, or the host in one, that the SDK has handed out."""
        return url if url == self.domain else other_form(url)

    def _private(self, request: Mapping[str, Any]) -> dict[str, Any]:
        url = f"{request['scheme']}://{request['host']}{request['path']}"
        assert request["host"].endswith(f".{self.domain}"), f"{url} is no native URL"
        try:
            address = parse_native(url)
        except InvalidUrl:
            # The one route that the server has on the private path alone.
            assert request["path"].endswith("/traffic-access-token"), url
            path = request["path"]
        else:
            path = private_url(address)[len(f"{request['scheme']}://{self.domain}") :]
        return {**request, "host": self.domain, "path": path}


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[Native]:
    """Start a server; the options are those of a ``LocalManager``."""
    with tempfile.TemporaryDirectory() as directory:
        authority = trustme.CA()
        leaf = authority.issue_cert(HOST, f"*.{HOST}")
        paths = {name: str(Path(directory, f"{name}.pem")) for name in ("ca", "chain", "key")}
        authority.cert_pem.write_to_path(paths["ca"])
        for certificate in leaf.cert_chain_pems:
            certificate.write_to_path(paths["chain"], append=True)
        leaf.private_key_pem.write_to_path(paths["key"])
        files: dict[str, Any] = {"certfile": paths["chain"], "keyfile": paths["key"]}
        with LocalManager(**files, **options) as manager, _Proxy(manager.domain) as proxy:
            yield Native(manager, paths["ca"], f"http://{proxy.domain}")


class _Handler(ProxyHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def do_CONNECT(self) -> None:
        host, _, port = self.server.to.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            self.tunnel(onward)


class _Proxy(ProxyServer):
    def __init__(self, to: str) -> None:
        super().__init__(_Handler)
        self.to = to
