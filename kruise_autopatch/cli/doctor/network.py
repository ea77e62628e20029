"""The doctor on the network: names, connections, certificates; the request is in ``request``.

Only the standard library, so that what is found does not depend on the SDK's HTTP client.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import queue
import re
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kruise_autopatch.cli.doctor.findings import Finding, found

T = TypeVar("T")

# Days before its end at which a certificate is worth a note.
_SOON = 14
# What other libraries read, and people therefore set.
_OTHER_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
# Older releases of e2b take no proxy from the environment.
_USES_PROXIES = (2, 38)


class Endpoint(NamedTuple):
    """Where a URL leads."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def endpoint(url: str) -> Endpoint | None:
    """The endpoint of a URL; ``None`` if it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return Endpoint(parts.scheme, parts.hostname, port)


def proxy_for(to: Endpoint, e2b: str | None) -> str | None:
    """The URL of the proxy that this release of e2b uses, by the environment."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", e2b or "")[:2])
    too_old = bool(numbers) and numbers < _USES_PROXIES
    if too_old or proxy_bypass(str(to)):
        return None
    url = getproxies().get(to.scheme)
    return url if not url or "://" in url else f"http://{url}"


def within(seconds: float, function: Callable[[], T]) -> T:
    """What ``function`` returns or raises; :class:`TimeoutError` if it takes longer.

    A socket's own time limit counts anew for each byte, and looking up a name has none.
    """
    outcome: queue.Queue[tuple[bool, Any]] = queue.Queue()

    def work() -> None:
        try:
            outcome.put((True, function()))
        except BaseException as error:
            outcome.put((False, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        succeeded, value = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if succeeded:
        return cast("T", value)
    raise value


class Reach:
    """The way to one endpoint, up to the point at which a request can be sent."""

    def __init__(self, to: Endpoint, timeout: float, environment: Mapping[str, str]) -> None:
        self._to = to
        self._timeout = timeout
        self._environment = environment

    def check(self) -> Iterator[Finding]:
        """Name, connection and certificate; ends with the first problem."""
        steps = [self._check_name, self._check_connection]
        if self._to.scheme == "https":
            steps.append(self._check_certificate)
        for step in steps:
            finding = step()
            yield finding
            if finding.state == "problem":
                return

    def _check_name(self) -> Finding:
        host, port = self._to.host, self._to.port
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(host)
            return found("dns", "address-given", host=host)
        try:
            answers = within(
                self._timeout,
                lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
            )
        except (OSError, UnicodeError) as error:
            return found("dns", "name-unknown", host=host, reason=_reason(error))
        addresses = ", ".join(sorted({str(address[0]) for *_, address in answers}))
        return found("dns", "name-resolved", host=host, addresses=addresses)

    def _connect(self) -> socket.socket:
        # A name may have a second address that works.
        return socket.create_connection((self._to.host, self._to.port), self._timeout / 2)

    def _check_connection(self) -> Finding:
        try:
            within(self._timeout, self._connect).close()
        except ConnectionRefusedError:
            return found("tcp", "connection-refused", to=self._to)
        except OSError as error:
            return found("tcp", "connection-impossible", to=self._to, reason=_reason(error))
        return found("tcp", "connection-accepted", to=self._to)

    # --- TLS ---------------------------------------------------------------------------------

    def _check_certificate(self) -> Finding:
        bundle = self._environment.get("SSL_CERT_FILE")
        if bundle and not os.path.isfile(bundle):
            return found("tls", "bundle-missing", bundle=bundle)
        try:
            context = verifying_context(self._environment)
            certificate = within(self._timeout, lambda: self._certificate(context))
        except ssl.SSLCertVerificationError as error:
            return self._refused(error)
        except (OSError, ValueError) as error:
            if speaks_http(self._to, self._timeout):
                return found("tls", "speaks-http", to=self._to)
            return found("tls", "tls-impossible", to=self._to, reason=_reason(error))
        return accepted(certificate)

    def _certificate(self, context: ssl.SSLContext) -> dict[str, Any]:
        with self._secured(context) as secured:
            return dict(secured.getpeercert() or {})

    def _secured(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        return _handshake(self._connect(), context, self._to.host)

    def _refused(self, error: ssl.SSLCertVerificationError) -> Finding:
        described = ""
        with contextlib.suppress(Exception):
            described = _described(within(self._timeout, self._unverified))
        return refused(self._to, error, self._environment, described=described)

    def _unverified(self) -> dict[str, Any]:
        """The certificate as it is, for a description."""
        with self._secured(_trusting_context()) as secured:
            encoded = secured.getpeercert(binary_form=True) or b""
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "certificate.pem")
            with open(path, "w") as file:
                file.write(ssl.DER_cert_to_PEM_cert(encoded))
            # Not public, but the only parser in the standard library; in every CPython so far.
            return dict(ssl._ssl._test_decode_cert(path))  # type: ignore[attr-defined]


# X509_V_ERR_CERT_HAS_EXPIRED; …_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH (OpenSSL).
_REFUSALS = {
    10: "certificate-expired",
    62: "certificate-of-other-name",
    64: "certificate-of-other-name",
}


def verifying_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """The certificates that the SDK trusts: those of ``SSL_CERT_FILE``, else the usual ones."""
    context = ssl.create_default_context()
    if not environment.get("SSL_CERT_FILE") and not environment.get("SSL_CERT_DIR"):
        # Comes with e2b, for images without certificates of their own.
        with contextlib.suppress(Exception):
            import certifi

            context.load_verify_locations(certifi.where())
    return context


def _trusting_context() -> ssl.SSLContext:
    """For looking at a certificate only: nothing may be sent to a server that is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _handshake(plain: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    # Wrapping takes the socket over; what is left of it if that fails is closed here.
    with plain:
        return context.wrap_socket(plain, server_hostname=host)


def speaks_http(to: Endpoint, timeout: float) -> bool:
    """Whether a port answers to plain http."""

    def ask() -> bool:
        with socket.create_connection((to.host, to.port), timeout) as plain:
            plain.sendall(f"HEAD / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n".encode())
            return plain.recv(5) == b"HTTP/"

    try:
        return within(timeout, ask)
    except OSError:
        return False


def speaks_https(to: Endpoint, timeout: float) -> bool:
    """Whether a port answers to a TLS handshake, with whatever certificate."""

    def ask() -> bool:
        plain = socket.create_connection((to.host, to.port), timeout)
        _handshake(plain, _trusting_context(), to.host).close()
        return True

    try:
        return within(timeout, ask)
    except (OSError, ValueError):
        return False


def refused(
    to: Endpoint,
    error: ssl.SSLCertVerificationError,
    environment: Mapping[str, str],
    *,
    described: str = "",
    through_proxy: bool = False,
) -> Finding:
    """What is wrong with a certificate, and what to do about it."""
    reason = (error.verify_message or _reason(error)).rstrip(".")
    if described:
        reason = f"{reason} ({described})"
    by_default = "certificate-of-proxy" if through_proxy else "certificate-untrusted"
    code = _REFUSALS.get(error.verify_code, by_default)
    names = ", ".join(name for name in _OTHER_BUNDLES if environment.get(name))
    ignored = f"; the SDK does not read {names}" if names else ""
    return found("tls", code, to=to, reason=reason, ignored=ignored)


def accepted(certificate: Mapping[str, Any]) -> Finding:
    described = _described(certificate)
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
    if days < _SOON:
        return found("tls", "certificate-ends", described=described, days=days)
    is_self_signed = certificate.get("subject") == certificate.get("issuer")
    code = "certificate-self-signed" if is_self_signed else "certificate-trusted"
    return found("tls", code, described=described)


def _described(certificate: Mapping[str, Any]) -> str:
    names = [str(name) for _, name in certificate.get("subjectAltName", ())]
    issuer = {key: value for pairs in certificate.get("issuer", ()) for key, value in pairs}
    by = issuer.get("commonName") or issuer.get("organizationName") or "an unnamed CA"
    unit = issuer.get("organizationName")
    if unit and unit != by:
        by = f"{by} of {unit}"
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    return f"for {shown or 'no name'}, by {by}, until {certificate.get('notAfter')}"


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
