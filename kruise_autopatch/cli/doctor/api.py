"""The doctor on the API: what the answer to one request means."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kruise_autopatch import protocol
from kruise_autopatch.cli.doctor import certificates
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.request import NO_ANSWER, Answer, Client
from kruise_autopatch.cli.doctor.sockets import Endpoint, endpoint, speaks_https
from kruise_autopatch.settings import SANDBOX_DOMAIN

_LIST = "/v2/sandboxes?limit=1"


class Listed(NamedTuple):
    """What the API was found to say."""

    findings: Sequence[Finding]
    # None if the answer was no list of sandboxes.
    sandboxes: Sequence[Any] | None = None


def check(
    client: Client, api: Endpoint, api_url: str, *, is_on: bool, is_native: bool = False
) -> Listed:
    """Ask for a list of one sandbox, with the key where the SDK would send it, too.

    :param is_on: whether the SDK is switched on; else it speaks to other hosts
    :param is_native: whether URLs are the SDK's own
    """
    if not client.can_send_key:
        return Listed([found("api", "key-not-sendable")])
    url = f"{api_url}{_LIST}"
    try:
        answer = client.get(url, with_key=is_on)
    except NO_ANSWER as error:
        return Listed([_no_answer(client, api, error)])
    findings = []
    if answer.certificate and client.proxy_for(api):
        # Up to here only the way to the proxy was looked at.
        findings.append(certificates.accepted(answer.certificate, client.means.e2b))
    asked = _Asked(client, api, api_url, answer, with_key=is_on, is_native=is_native)
    findings.append(_meaning(asked))
    if not answer.is_list:
        return Listed(findings)
    return Listed([*findings, *_check_reply_domain(asked)], answer.parsed)


def _no_answer(client: Client, api: Endpoint, error: Exception) -> Finding:
    means = client.means
    if isinstance(error, certificates.RefusedBySDK):
        return certificates.accepted(error.certificate, means.e2b)
    if api.scheme == "http" and not client.proxy_for(api) and speaks_https(api, means.timeout):
        return found("api", "speaks-https", to=api)
    if isinstance(error, ssl.SSLCertVerificationError):
        through_proxy = client.proxy_for(api) is not None
        return certificates.refused(api, error, means.environment, through_proxy=through_proxy)
    reason = str(error) or type(error).__name__
    code = "proxy-refuses" if "Tunnel connection failed" in reason else "no-answer"
    return found("api", code, to=api, reason=reason)


# --- what an answer means ------------------------------------------------------------------------


class _Asked(NamedTuple):
    """A request and its answer."""

    client: Client
    api: Endpoint
    api_url: str
    answer: Answer
    with_key: bool
    is_native: bool

    @property
    def served(self) -> str:
        """What has to lead to sandbox-manager."""
        return "api.DOMAIN and *.DOMAIN" if self.is_native else protocol.PREFIX

    @property
    def status(self) -> int:
        return self.answer.status

    def wants_https(self) -> bool:
        """What nginx and Go say to http on an https port, or a redirect to the same host.

        A redirect to another one leads to a login, mostly.
        """
        if self.api.scheme != "http":
            return False
        to = endpoint(self.answer.headers.get("location", ""))
        leads = bool(
            self.is_redirect() and to and to.scheme == "https" and to.host == self.api.host
        )
        return leads or (self.status in (400, 497) and "https" in self.answer.body.lower())

    def is_redirect(self) -> bool:
        return 300 <= self.status < 400

    def is_elsewhere(self) -> bool:
        """Whether E2B_API_URL leads to a path that is not that of the private protocol."""
        return not self.is_native and protocol.parse_api_url(self.api_url) is None

    def refuses_key(self) -> bool:
        return self.status == 401 and (self.answer.is_managers_error or not self.answer.is_page)

    def serves_natively(self) -> bool:
        """Whether the same host knows the route without the prefix."""
        if self.is_native:
            return False
        try:
            # Without the key: another application may be served there.
            url = f"{self.api.scheme}://{self.api}{_LIST}"
            answer = self.client.get(url, with_key=False)
        except NO_ANSWER:
            return False
        return answer.is_list or (answer.status == 401 and answer.is_managers_error)


# The first that is true is what the answer means.
_MEANINGS: Sequence[tuple[Callable[[_Asked], object], str]] = (
    (_Asked.wants_https, "api-wants-https"),
    (_Asked.is_redirect, "api-redirects"),
    (lambda asked: asked.answer.is_list, "api-accepts-key"),
    (lambda asked: asked.status == 407, "proxy-wants-credentials"),
    (lambda asked: asked.refuses_key() and not asked.client.key, "api-wants-key"),
    (lambda asked: asked.refuses_key() and not asked.with_key, "api-wants-key-when-on"),
    (lambda asked: asked.refuses_key() and _is_base64(asked.client.key), "api-refuses-base64-key"),
    (_Asked.refuses_key, "api-refuses-key"),
    (lambda asked: asked.status in (401, 403), "api-behind-login"),
    (lambda asked: asked.status in (502, 503, 504), "api-unavailable"),
    (lambda asked: asked.status == 404 and asked.is_elsewhere(), "api-url-leads-nowhere"),
    (lambda asked: asked.status == 404 and asked.serves_natively(), "api-native-only"),
    (lambda asked: asked.answer.is_page, "api-web-page"),
    (lambda asked: asked.status == 404, "api-not-served"),
    (lambda asked: asked.status == 405, "api-no-get"),
    (lambda asked: asked.status == 200, "api-no-list"),
    (lambda asked: True, "api-unexpected"),
)


def _meaning(asked: _Asked) -> Finding:
    """What an answer of the API means, and what to do about it."""
    answer, api = asked.answer, asked.api
    code = next(code for applies, code in _MEANINGS if applies(asked))
    return found(
        "api",
        code,
        url=f"{asked.api_url}{_LIST}",
        answer=answer,
        status=answer.status,
        where=answer.headers.get("location", "nowhere"),
        listed=_count(answer.parsed),
        private=protocol.api_url(api.scheme, str(api)),
        served=asked.served,
    )


def _count(sandboxes: Any) -> str:
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


def _check_reply_domain(asked: _Asked) -> Iterator[Finding]:
    client, sandboxes = asked.client, asked.answer.parsed
    sandbox = sandboxes[0] if sandboxes and isinstance(sandboxes[0], dict) else {}
    replied = sandbox.get("domain")
    private = protocol.parse_api_url(asked.api_url)
    authority = client.means.environment.get("E2B_DOMAIN") if asked.is_native else None
    if private is not None:
        _, authority = private
    if not isinstance(replied, str) or not replied or authority is None:
        return
    code = "reply-domain-ignored"
    if replied == authority:
        code = "reply-domain-same"
    elif asked.is_native:
        code = "reply-domain-followed"
    elif client.means.environment.get(SANDBOX_DOMAIN.name):
        code = "reply-domain-overruled"
    name = SANDBOX_DOMAIN.name
    yield found("reply-domain", code, replied=replied, authority=authority, name=name)
