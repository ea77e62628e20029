"""The doctor on the way to a server: its name, its port, its certificate; or those of a proxy."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kruise_autopatch import protocol
from kruise_autopatch.cli.doctor import certificates
from kruise_autopatch.cli.doctor.catalogue import REFUSES, UNREACHABLE
from kruise_autopatch.cli.doctor.certificates import Certificate, verifying_context
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.proxies import Proxy
from kruise_autopatch.cli.doctor.sockets import (
    Endpoint,
    accepts_connections,
    connect,
    endpoint,
    handshake,
    reason_of,
    speaks_http,
    trusting_context,
    within,
)


class Means(NamedTuple):
    """What every step on the network needs."""

    environment: Mapping[str, str]
    # Seconds, for each step.
    timeout: float
    # The numbers of the release of e2b; empty if there is none.
    e2b: tuple[int, ...]


class Named(NamedTuple):
    """The variable by which a server was chosen, and its value with OpenKruise's port."""

    variable: str
    value: str


class Reach:
    """The way to one server, up to the point at which a request can be sent."""

    def __init__(self, means: Means, to: Endpoint, by: Named) -> None:
        self._means = means
        self._to = to
        self._by = by

    def check(self) -> Iterator[Finding]:
        """Name, connection and certificate; ends with the first problem."""
        steps = [self._check_name, self._check_connection]
        if self._to.scheme == "https":
            steps.append(self._check_certificate)
        return _until_problem(step() for step in steps)

    def _check_name(self) -> Finding:
        return _check_name(self._means, self._to, "name-unknown", variable=self._by.variable)

    def _check_connection(self) -> Finding:
        to = self._to
        try:
            connect(to, self._means.timeout).close()
        except OSError as error:
            if to.has_default_port:
                return self._look_for_port(_failure(error))
            code = "connection-refused" if _is_refusal(error) else "connection-impossible"
            facts = {"reason": reason_of(error), "variable": self._by.variable}
            return found("tcp", code, to=to, **facts)
        return found("tcp", "connection-accepted", to=to)

    def _look_for_port(self, failure: str) -> Finding:
        """Whether OpenKruise answers where it listens by default, if the port was left out."""
        there = self._to._replace(port=protocol.PORT)
        code, also = "port-perhaps-missing", ""
        if accepts_connections(there, self._means.timeout):
            code = "port-missing"
            if there.scheme == "https" and speaks_http(there, self._means.timeout):
                also = " and KRUISE_E2B_HTTPS=0"
        written = f"{self._by.variable}={self._by.value}"
        return found(
            "tcp", code, to=self._to, failure=failure, there=there, written=written, also=also
        )

    # --- TLS ---------------------------------------------------------------------------------

    def _check_certificate(self) -> Finding:
        environment, timeout, e2b = self._means
        unusable = certificates.unusable_bundle(environment)
        if unusable:
            return unusable
        try:
            context = verifying_context(environment, e2b)
            certificate = within(timeout, lambda: self._certificate(context))
        except ssl.SSLCertVerificationError as error:
            return self._refused(error)
        except (OSError, ValueError) as error:
            if speaks_http(self._to, timeout):
                return found("tls", "speaks-http", to=self._to)
            return found("tls", "tls-impossible", to=self._to, reason=reason_of(error))
        return certificates.accepted(certificate, e2b)

    def _certificate(self, context: ssl.SSLContext) -> Certificate:
        plain = connect(self._to, self._means.timeout)
        with handshake(plain, context, self._to.host) as secured:
            return Certificate.of(secured)

    def _refused(self, error: ssl.SSLCertVerificationError) -> Finding:
        shown = None
        with contextlib.suppress(OSError, ValueError):
            # As it is, for a description.
            shown = within(self._means.timeout, lambda: self._certificate(trusting_context()))
        return certificates.refused(self._to, error, self._means.environment, shown=shown)


def reach_proxy(means: Means, proxy: Proxy, to: Endpoint) -> Iterator[Finding]:
    """The way to the proxy that stands before an endpoint; ends with the first problem."""
    yield found(
        "proxy", "proxy-used", to=to, proxy=proxy.url, host=to.host, variable=proxy.variable
    )
    at = endpoint(proxy.url)
    if at is None or at.scheme != "http":
        yield found("proxy", "proxy-not-examined", scheme=proxy.scheme)
        return
    facts = {"variable": proxy.variable, "target": to.host}
    yield from _until_problem(
        step(means, at, facts) for step in (_check_proxy_name, _check_proxy_connection)
    )


def _check_proxy_name(means: Means, at: Endpoint, facts: Mapping[str, Any]) -> Finding:
    return _check_name(means, at, "proxy-name-unknown", **facts)


def _check_proxy_connection(means: Means, at: Endpoint, facts: Mapping[str, Any]) -> Finding:
    try:
        connect(at, means.timeout).close()
    except OSError as error:
        return found("tcp", "proxy-unreachable", to=at, failure=_failure(error), **facts)
    return found("tcp", "connection-accepted", to=at)


def _check_name(means: Means, to: Endpoint, unknown: str, **facts: Any) -> Finding:
    host = to.host
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host)
        return found("dns", "address-given", host=host)
    try:
        answers = within(
            means.timeout, lambda: socket.getaddrinfo(host, to.port, type=socket.SOCK_STREAM)
        )
    except (OSError, UnicodeError) as error:
        return found("dns", unknown, host=host, reason=reason_of(error), **facts)
    addresses = ", ".join(sorted({str(address[0]) for *_, address in answers}))
    return found("dns", "name-resolved", host=host, addresses=addresses)


def _until_problem(findings: Iterator[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        if finding.state == "problem":
            return


def _is_refusal(error: OSError) -> bool:
    return isinstance(error, ConnectionRefusedError)


def _failure(error: OSError) -> str:
    return REFUSES if _is_refusal(error) else UNREACHABLE.format(reason=reason_of(error))
