"""The doctor's requests: what is sent, by which way, and the answer."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from kruise_autopatch.cli.doctor.certificates import (
    Certificate,
    RefusedBySDK,
    is_refused,
    verifying_context,
)
from kruise_autopatch.cli.doctor.network import Means
from kruise_autopatch.cli.doctor.proxies import Proxy, proxy_for
from kruise_autopatch.cli.doctor.sockets import Endpoint, endpoint, within

# Bytes; a list of one sandbox is far smaller.
_LARGEST_ANSWER = 1 << 20

# What a request ends in that gets no answer.
NO_ANSWER = (OSError, http.client.HTTPException, ValueError)


class Answer(NamedTuple):
    """A server's reply."""

    status: int
    headers: Mapping[str, str]
    body: str
    certificate: Certificate | None = None

    @property
    def is_page(self) -> bool:
        start = self.body.lstrip()[:20].lower()
        return "html" in self.headers.get("content-type", "") or start.startswith(
            ("<!doctype", "<html")
        )

    @property
    def parsed(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def is_list(self) -> bool:
        """Whether it is what was asked for: a list of sandboxes."""
        return self.status == 200 and isinstance(self.parsed, list)

    @property
    def is_managers_error(self) -> bool:
        """Whether it has the shape of sandbox-manager's own errors."""
        return isinstance(self.parsed, dict) and {"code", "message"} <= self.parsed.keys()

    def __str__(self) -> str:
        if self.is_managers_error:
            text = str(self.parsed["message"])
        else:
            text = re.sub(r"<[^>]*>", " ", self.body) if self.is_page else self.body
        words = " ".join(text.split())[:100]
        marks = [str(self.status), *([f'"{words}"'] if words else [])]
        marks += [f"{n}: {self.headers[n]}" for n in ("server", "via") if n in self.headers]
        return ", ".join(marks)


class Client:
    """Sends requests as the SDK would: with its key, certificates and proxies.

    :param hide: takes secrets out of an answer
    """

    def __init__(self, means: Means, hide: Callable[[str], str]) -> None:
        self.means = means
        self.key = means.environment.get("E2B_API_KEY", "").strip()
        self._hide = hide

    def proxy_for(self, to: Endpoint) -> Proxy | None:
        """The proxy on the way to an endpoint, if there is one."""
        environment, _, e2b = self.means
        return proxy_for(environment, to.scheme, to.host, e2b)

    @property
    def can_send_key(self) -> bool:
        """Whether the key can be part of a header; the error of http.client would quote it."""
        return self.key.isascii() and self.key.isprintable()

    def get(self, url: str, *, with_key: bool) -> Answer:
        """The answer to a GET. Raises one of :data:`NO_ANSWER`.

        :param with_key: only for what the SDK itself would send its key to
        """
        return within(self.means.timeout, lambda: self._get(url, with_key))

    def _get(self, url: str, with_key: bool) -> Answer:
        to = endpoint(url)
        assert to is not None
        connection, target, headers = self._prepared(url, to)
        if with_key and self.key:
            headers["X-API-KEY"] = self.key
        try:
            connection.connect()
            secured = connection.sock if isinstance(connection.sock, ssl.SSLSocket) else None
            certificate = Certificate.of(secured) if secured else None
            if certificate and is_refused(certificate, self.means.e2b):
                raise RefusedBySDK(certificate)
            # http.client refuses what no header can carry, before it sends anything.
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            # Whatever is shown of it later, no part of a secret is.
            body = self._hide(response.read(_LARGEST_ANSWER).decode("utf-8", "replace"))
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, body, certificate)
        finally:
            connection.close()

    def _prepared(
        self, url: str, to: Endpoint
    ) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        parts = urlsplit(url)
        target = url[len(f"{parts.scheme}://{parts.netloc}") :]
        headers = {"Accept": "application/json", "User-Agent": "kruise-autopatch doctor"}
        proxy = self.proxy_for(to)
        through = endpoint(proxy.url) if proxy else None
        at, timeout = through or to, self.means.timeout
        if to.scheme == "https":
            context = verifying_context(self.means.environment, self.means.e2b)
            secured = http.client.HTTPSConnection(
                at.host, at.port, timeout=timeout, context=context
            )
            if proxy:
                secured.set_tunnel(to.host, to.port, _proxy_headers(proxy.url))
            return secured, target, headers
        plain = http.client.HTTPConnection(at.host, at.port, timeout=timeout)
        if proxy:
            headers.update({**_proxy_headers(proxy.url), "Host": parts.netloc.rpartition("@")[2]})
            return plain, url, headers
        return plain, target, headers


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
