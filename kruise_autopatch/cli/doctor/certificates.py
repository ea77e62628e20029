"""The doctor on certificates: which are trusted by the SDK's HTTP client, and what one says."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.cli.doctor.sockets import Endpoint, reason_of

# Days before its end at which a certificate is worth a note.
_SOON = 14
# What other libraries read, and people therefore set.
_OTHER_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

# The releases of e2b whose commands, and whose every request, are sent by pyqwest, which verifies
# with rustls; those before use OpenSSL.
_SOME_BY_RUSTLS = (2, 35)
_ALL_BY_RUSTLS = (2, 38)

# X509_V_ERR_CERT_HAS_EXPIRED; …_HOSTNAME_MISMATCH and …_IP_ADDRESS_MISMATCH (OpenSSL).
_REFUSALS = {
    10: "certificate-expired",
    62: "certificate-of-other-name",
    64: "certificate-of-other-name",
}

# Their names are in ssl from Python 3.10 on (X509_V_FLAG_X509_STRICT, …_PARTIAL_CHAIN).
_STRICT = 0x20
_PARTIAL_CHAIN = 0x80000

# An extension basicConstraints (RFC 5280, section 4.2.1.9) that begins with cA TRUE, in DER.
_IS_CA = re.compile(rb"\x06\x03\x55\x1d\x13(?:\x01\x01.)?\x04.\x30.\x01\x01\xff", re.DOTALL)


class Certificate(NamedTuple):
    """A server's certificate."""

    # As ``getpeercert`` has it; empty if it was not verified.
    fields: Mapping[str, Any]
    encoded: bytes

    @classmethod
    def of(cls, secured: ssl.SSLSocket) -> Certificate:
        return cls(secured.getpeercert() or {}, secured.getpeercert(binary_form=True) or b"")

    @property
    def is_ca(self) -> bool:
        return _IS_CA.search(self.encoded) is not None

    @property
    def days_left(self) -> float:
        return (ssl.cert_time_to_seconds(self.fields["notAfter"]) - time.time()) / 86400

    def __str__(self) -> str:
        fields = self.fields or _read(self.encoded)
        names = [str(name) for _, name in fields.get("subjectAltName", ())]
        issuer = {key: value for pairs in fields.get("issuer", ()) for key, value in pairs}
        by = issuer.get("commonName") or issuer.get("organizationName") or "an unnamed CA"
        unit = issuer.get("organizationName")
        if unit and unit != by:
            by = f"{by} of {unit}"
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        return f"for {shown or 'no name'}, by {by}, until {fields.get('notAfter')}"


def _read(encoded: bytes) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "certificate.pem")
        with open(path, "w") as file:
            file.write(ssl.DER_cert_to_PEM_cert(encoded))
        # Not public, but the only parser in the standard library; in every CPython so far.
        return dict(ssl._ssl._test_decode_cert(path))  # type: ignore[attr-defined]


def verifying_context(environment: Mapping[str, str], e2b: tuple[int, ...]) -> ssl.SSLContext:
    """Trusts what this release of e2b trusts: the files that the variables name, else the usual.

    Raises :class:`OSError` if a file holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if e2b >= _ALL_BY_RUSTLS:
        # rustls looks at alternative names alone, and trusts whatever is in a bundle, be it no
        # root, or not made to the letter.
        context.hostname_checks_common_name = False
        context.verify_flags |= _PARTIAL_CHAIN
    elif sys.version_info >= (3, 13):
        # What httpx gets from ssl.create_default_context().
        context.verify_flags |= _PARTIAL_CHAIN | _STRICT
    file, directory = environment.get("SSL_CERT_FILE"), environment.get("SSL_CERT_DIR")
    if file or directory:
        context.load_verify_locations(file or None, directory or None)
    else:
        _load_usual(context)
    return context


def _load_usual(context: ssl.SSLContext) -> None:
    if sys.platform == "win32":
        context.load_default_certs()
    # Not set_default_verify_paths(), which reads the variables of this process.
    paths = ssl.get_default_verify_paths()
    for file, directory in ((paths.openssl_cafile, None), (None, paths.openssl_capath)):
        with contextlib.suppress(OSError):
            context.load_verify_locations(file, directory)
    # Comes with e2b, for images without certificates of their own.
    with contextlib.suppress(Exception):
        import certifi

        context.load_verify_locations(certifi.where())


def unusable_bundle(environment: Mapping[str, str]) -> Finding | None:
    """What keeps the certificates that SSL_CERT_FILE names from being read, if anything."""
    bundle = environment.get("SSL_CERT_FILE")
    if not bundle:
        return None
    if not os.path.isfile(bundle):
        return found("tls", "bundle-missing", bundle=bundle)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(bundle)
    except OSError as error:
        return found("tls", "bundle-unusable", bundle=bundle, reason=reason_of(error))
    return None


class RefusedBySDK(OSError):
    """A certificate that OpenSSL trusts, and this release of e2b does not: nothing was sent."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(f"the certificate is refused ({certificate})")
        self.certificate = certificate


def is_refused(certificate: Certificate, e2b: tuple[int, ...]) -> bool:
    """Whether this release of e2b refuses a certificate that OpenSSL trusts.

    webpki takes no CA's certificate for that of a server (CaUsedAsEndEntity).
    """
    return certificate.is_ca and e2b >= _SOME_BY_RUSTLS


def accepted(certificate: Certificate, e2b: tuple[int, ...]) -> Finding:
    """The finding on a certificate that OpenSSL trusts."""
    code = "certificate-trusted"
    if is_refused(certificate, e2b):
        code = "certificate-is-ca"
    elif certificate.is_ca:
        code = "certificate-is-ca-yet-trusted"
    elif certificate.days_left < _SOON:
        code = "certificate-ends"
    return found("tls", code, described=certificate, days=certificate.days_left)


def refused(
    to: Endpoint,
    error: ssl.SSLCertVerificationError,
    environment: Mapping[str, str],
    *,
    shown: Certificate | None = None,
    through_proxy: bool = False,
) -> Finding:
    """What is wrong with a certificate, and what to do about it."""
    reason = (error.verify_message or reason_of(error)).rstrip(".")
    if shown is not None:
        with contextlib.suppress(Exception):
            reason = f"{reason} ({shown})"
    by_default = "certificate-of-proxy" if through_proxy else "certificate-untrusted"
    code = _REFUSALS.get(error.verify_code, by_default)
    names = ", ".join(name for name in _OTHER_BUNDLES if environment.get(name))
    ignored = f"; the SDK does not read {names}" if names else ""
    return found("tls", code, to=to, reason=reason, ignored=ignored)
