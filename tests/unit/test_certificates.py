"""What the doctor says of a server's certificate, and whom it trusts, by release of e2b."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trustme

from kruise_autopatch.cli.doctor import certificates
from kruise_autopatch.cli.doctor.certificates import Certificate

OLD, SOME_BY_RUSTLS, NEW = (2, 8, 0), (2, 36, 0), (2, 63, 0)


def certificate(pem: trustme.Blob) -> Certificate:
    encoded = ssl.PEM_cert_to_DER_cert(pem.bytes().decode())
    return Certificate(certificates._read(encoded), encoded)


def of_server(authority: trustme.CA, *names: str, days: int = 60) -> Certificate:
    ends = datetime.datetime.now() + datetime.timedelta(days=days)
    issued = authority.issue_cert(*names, not_after=ends)
    return certificate(issued.cert_chain_pems[0])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Gateways", organization_unit_name="of the tests")


def test_it_is_shown_with_its_names_and_who_has_issued_it(authority: trustme.CA) -> None:
    shown = str(of_server(authority, "a.test"))
    assert shown.startswith("for a.test, by ")
    assert "Gateways" in shown
    many = str(of_server(authority, *(f"{letter}.test" for letter in "abcdefg")))
    assert many.startswith("for a.test, b.test, c.test, d.test, e.test, …, by ")


@pytest.mark.parametrize(("days", "code"), [(60, "certificate-trusted"), (1, "certificate-ends")])
def test_one_that_ends_soon(authority: trustme.CA, days: int, code: str) -> None:
    assert certificates.accepted(of_server(authority, "a.test", days=days), NEW).code == code


def test_one_of_an_authority_is_refused_by_what_rustls_verifies(authority: trustme.CA) -> None:
    found = certificate(authority.cert_pem)
    assert found.is_ca
    assert certificates.is_refused(found, NEW)
    assert certificates.accepted(found, NEW).code == "certificate-is-ca"
    assert not certificates.is_refused(found, OLD)
    assert certificates.accepted(found, OLD).code == "certificate-is-ca-yet-trusted"


@pytest.mark.parametrize("e2b", [OLD, SOME_BY_RUSTLS, NEW])
def test_whom_the_variables_name_is_trusted_and_nobody_else(
    authority: trustme.CA, tmp_path: Path, e2b: tuple[int, ...]
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    named = certificates.verifying_context({"SSL_CERT_FILE": str(bundle)}, e2b)
    assert len(named.get_ca_certs()) == 1
    assert named.verify_mode is ssl.CERT_REQUIRED
    # rustls does not look at a certificate's common name.
    assert named.hostname_checks_common_name is (e2b != NEW)
    with pytest.raises(OSError, match="No such file"):
        certificates.verifying_context({"SSL_CERT_FILE": str(tmp_path / "missing.pem")}, e2b)


def test_without_variables_those_that_everybody_trusts_are() -> None:
    assert certificates.verifying_context({}, NEW).get_ca_certs()


def test_a_bundle_that_cannot_be_used(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    found = certificates.unusable_bundle({"SSL_CERT_FILE": str(bundle)})
    assert found is not None
    assert found.code == "bundle-missing"
    bundle.write_text("no certificate")
    found = certificates.unusable_bundle({"SSL_CERT_FILE": str(bundle)})
    assert found is not None
    assert found.code == "bundle-unusable"
    authority.cert_pem.write_to_path(str(bundle))
    assert certificates.unusable_bundle({"SSL_CERT_FILE": str(bundle)}) is None
    assert certificates.unusable_bundle({}) is None
