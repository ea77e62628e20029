"""The doctor's request to the API, and what the answer means."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from kruise_autopatch import protocol
from kruise_autopatch.cli.doctor.findings import Finding, State
from kruise_autopatch.cli.doctor.network_checks import (
    USE_HTTPS,
    Endpoint,
    Reach,
    accepted,
    after_refusal,
    endpoint,
    proxy_for,
    speaks_https,
    verifying_context,
    within,
)
from kruise_autopatch.settings import SANDBOX_DOMAIN

_LIST = "/v2/sandboxes?limit=1"
# Bytes; a list of one sandbox is far smaller.
_LARGEST_ANSWER = 1 << 20

_ROUTE_IT = "let the Ingress or proxy pass /kruise on to sandbox-manager (port 7788)."


class Answer(NamedTuple):
    """A server's reply."""

    status: int
    headers: Mapping[str, str]
    body: str
    certificate: Mapping[str, Any] | None = None

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


class Network:
    """Everything that is sent anywhere, for one environment."""

    def __init__(
        self,
        environment: Mapping[str, str],
        timeout: float,
        e2b: str | None,
        hide: Callable[[str], str],
    ) -> None:
        self._environment = environment
        self._hide = hide
        self._timeout = timeout
        self._e2b = e2b
        self._key = environment.get("E2B_API_KEY", "")

    def check(self, api_url: str, sandbox_url: str | None) -> Iterator[Finding]:
        """The way to the API and its answer; the way to sandboxes, if it is another."""
        api = endpoint(api_url)
        if api is None:
            yield Finding("network", "problem", f"{api_url} is no http or https URL")
            return
        way = list(self._reach(api))
        yield from way
        if all(finding.state != "problem" for finding in way):
            yield from self._check_api(api, api_url)
        sandboxes = endpoint(sandbox_url) if sandbox_url else None
        if sandboxes and sandboxes != api:
            yield from self._reach(sandboxes)

    def _reach(self, to: Endpoint) -> Iterator[Finding]:
        proxy = proxy_for(to, self._e2b)
        through = endpoint(proxy) if proxy else None
        if through:
            text = f"requests to {to} go through the proxy {proxy}, by the environment"
            advice = f"if it does not know the way, add {to.host} to NO_PROXY."
            yield Finding("proxy", "note", text, advice)
        yield from Reach(through or to, self._timeout, self._environment).check()

    def _check_api(self, api: Endpoint, api_url: str) -> Iterator[Finding]:
        url = f"{api_url}{_LIST}"
        if not (self._key.strip().isascii() and self._key.strip().isprintable()):
            # The error of the HTTP client would quote it.
            text = "no request is sent, because the key cannot be part of one"
            yield Finding("api", "note", text, "correct E2B_API_KEY first.")
            return
        try:
            answer = within(self._timeout, lambda: self._get(url))
        except (OSError, http.client.HTTPException, ValueError) as error:
            yield self._no_answer(api, error)
            return
        if answer.certificate and proxy_for(api, self._e2b):
            # Up to here only the way to the proxy was looked at.
            yield accepted(answer.certificate)
        yield self._meaning(api, api_url, answer)
        if answer.status == 200 and isinstance(answer.parsed, list):
            yield from _check_reply_domain(api_url, answer.parsed, self._environment)

    # --- the request ---------------------------------------------------------------------------

    def _get(self, url: str) -> Answer:
        to = endpoint(url)
        assert to is not None
        connection, target, headers = self._prepared(url, to)
        try:
            connection.connect()
            secured = connection.sock if isinstance(connection.sock, ssl.SSLSocket) else None
            certificate = secured.getpeercert() if secured else None
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
        if self._key.strip():
            headers["X-API-KEY"] = self._key.strip()
        proxy = proxy_for(to, self._e2b)
        through = endpoint(proxy) if proxy else None
        if to.scheme == "https":
            at = through or to
            secured = http.client.HTTPSConnection(
                at.host,
                at.port,
                timeout=self._timeout,
                context=verifying_context(self._environment),
            )
            if through and proxy:
                secured.set_tunnel(to.host, to.port, _proxy_headers(proxy))
            return secured, target, headers
        at = through or to
        plain = http.client.HTTPConnection(at.host, at.port, timeout=self._timeout)
        if through and proxy:
            return plain, url, {**headers, **_proxy_headers(proxy), "Host": parts.netloc}
        return plain, target, headers

    def _no_answer(self, api: Endpoint, error: Exception) -> Finding:
        if api.scheme == "http" and speaks_https(api, self._timeout):
            return Finding("api", "problem", f"{api} speaks https, not http", USE_HTTPS)
        if isinstance(error, ssl.SSLCertVerificationError):
            text = f"the certificate of {api} is refused: {error.verify_message}"
            if proxy_for(api, self._e2b):
                text += "; it may be the proxy's own"
            return Finding("tls", "problem", text, after_refusal(error, self._environment))
        reason = str(error) or type(error).__name__
        if "Tunnel connection failed" in reason:
            text = f"the proxy does not open the way to {api}: {reason}"
            return Finding("api", "problem", text, "see HTTPS_PROXY, NO_PROXY.")
        text = f"{api} does not answer the request: {reason}"
        advice = "look whether sandbox-manager is ready, and what is between it and here."
        return Finding("api", "problem", text, advice)

    # --- what an answer means --------------------------------------------------------------------

    def _meaning(self, api: Endpoint, api_url: str, answer: Answer) -> Finding:
        state, text, advice = self._explained(api, api_url, answer)
        return Finding("api", state, f"GET {api_url}{_LIST}: {text}", advice)

    def _explained(
        self, api: Endpoint, api_url: str, answer: Answer
    ) -> tuple[State, str, str | None]:
        status = answer.status
        if api.scheme == "http" and (_wants_https(answer) or _leads_to_https(answer, api)):
            return "problem", f"{answer}: the server wants https", USE_HTTPS
        if 300 <= status < 400:
            where = answer.headers.get("location", "nowhere")
            text = f"{status}, a redirect to {where}, which the SDK does not follow"
            return "problem", text, "set E2B_DOMAIN to the host that serves /kruise itself."
        if status == 200 and isinstance(answer.parsed, list):
            return "ok", f"200, the server accepts the key; {_count(answer.parsed)}", None
        if status == 407:
            return "problem", f"{answer}: the proxy wants credentials", "see HTTPS_PROXY, NO_PROXY."
        if status == 401 and (answer.is_managers_error or not answer.is_page):
            if not self._key:
                return "note", "401, the server wants a key, and none is set", "set E2B_API_KEY."
            advice = "compare E2B_API_KEY with the Secret of this very server."
            if _is_base64(self._key):
                advice = "decode it: it looks like base64, as a Secret's manifest shows it."
            return "problem", f"{answer}: the server does not know the key", advice
        if status in (401, 403):
            text = f"{answer}: not from sandbox-manager, but from something before it"
            return "problem", text, "let the Ingress, proxy or policy pass /kruise without a login."
        if status == 404 and self._serves_native(api):
            return (
                "problem",
                f"{answer}: this server has the native routes only, not /kruise/api",
                "upgrade OpenKruise Agents, or switch KRUISE_E2B_PATCH off and use it natively.",
            )
        if answer.is_page:
            return "problem", f"{answer}: a web page, so not sandbox-manager", _ROUTE_IT
        if status == 404:
            return "problem", f"{answer}: nothing is served at this path", _ROUTE_IT
        if status == 405:
            text = f"{answer}: the server has this route, but not for GET"
            advice = "see that E2B_DOMAIN names sandbox-manager; if it does, upgrade it."
            return "problem", text, advice
        if status in (502, 503, 504):
            text = f"{answer}: whatever answers finds no healthy sandbox-manager"
            return "problem", text, "look at its Pods and Service: kubectl get pods,service -A."
        if status == 200:
            text = f"{answer}: no list of sandboxes, so not sandbox-manager"
            return "problem", text, _ROUTE_IT
        return "problem", f"{answer}: unexpected", "look at sandbox-manager's log."

    def _serves_native(self, api: Endpoint) -> bool:
        """Whether the same host knows the route without the prefix."""
        try:
            answer = within(self._timeout, lambda: self._get(f"{api.scheme}://{api}{_LIST}"))
        except (OSError, http.client.HTTPException, ValueError):
            return False
        listed = answer.status == 200 and isinstance(answer.parsed, list)
        return listed or (answer.status == 401 and answer.is_managers_error)


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def _wants_https(answer: Answer) -> bool:
    """Whether it is what nginx and Go say to http on an https port."""
    return answer.status in (400, 497) and "https" in answer.body.lower()


def _leads_to_https(answer: Answer, api: Endpoint) -> bool:
    """Whether it is a redirect to the same host; to another one it leads to a login, mostly."""
    to = endpoint(answer.headers.get("location", ""))
    return bool(300 <= answer.status < 400 and to and to.scheme == "https" and to.host == api.host)


def _count(sandboxes: list[Any]) -> str:
    if sandboxes:
        return "a sandbox is listed"
    return "no sandbox is listed, so the domain that the server names is not known"


def _is_base64(key: str) -> bool:
    """Whether it decodes to a text: by accident, hardly any key does."""
    try:
        decoded = base64.b64decode(key, validate=True).decode("ascii").strip()
    except ValueError:
        return False
    return decoded.isprintable() and bool(decoded)


def _check_reply_domain(
    api_url: str, sandboxes: list[Any], environment: Mapping[str, str]
) -> Iterator[Finding]:
    sandbox = sandboxes[0] if sandboxes and isinstance(sandboxes[0], dict) else {}
    replied = sandbox.get("domain")
    private = protocol.parse_api_url(api_url)
    if not isinstance(replied, str) or not replied or private is None:
        return
    _, authority = private
    if replied == authority:
        yield Finding("reply-domain", "ok", f"the server names the same domain: {replied}")
        return
    text = f"the server names the domain {replied}, the client {authority}"
    if environment.get(SANDBOX_DOMAIN.name):
        yield Finding("reply-domain", "note", f"{text}; {SANDBOX_DOMAIN.name} decides")
        return
    yield Finding(
        "reply-domain",
        "note",
        f"{text}, which is the one that is used",
        f"nothing, or {SANDBOX_DOMAIN.name}=server if sandboxes cannot be reached.",
    )
