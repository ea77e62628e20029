"""The doctor on the SDK: releases, patch points, and the URLs of a client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kruise_autopatch import PACKAGES, versions
from kruise_autopatch.cli.doctor.child import ChildFailed, ask, package_root
from kruise_autopatch.cli.doctor.findings import Finding, found
from kruise_autopatch.protocol import parse_api_url

_PROBE = """
try:
    import kruise_autopatch
except ImportError:
    sys.path.append(sys.argv[1])
from kruise_autopatch.cli.doctor.probe import main
main()
"""


class SDK(NamedTuple):
    """What was found out, for later checks."""

    findings: tuple[Finding, ...]
    # Of a client with the settings at hand; None if it cannot be built.
    api_url: str | None = None
    sandbox_url: str | None = None
    e2b: str | None = None
    # Whether these are the SDK's own, and OpenKruise's all the same.
    is_native: bool = False


def examine(environment: Mapping[str, str]) -> SDK:
    """Import and patch the SDK in another process, as if ``KRUISE_E2B_PATCH`` were on."""
    try:
        report, _ = ask(_PROBE, environment, package_root())
    except ChildFailed as error:
        return SDK((found("sdk", "sdk-not-examined", reason=error),))
    if "refusal" in report:
        return SDK((found("sdk", "cannot-patch", **report["refusal"]),))
    findings = (*_packages(report["packages"]), *_namesakes(Path.cwd()), *_urls(report))
    patched = report["patched"]
    version = report["packages"].get("e2b", {}).get("version")
    return SDK(findings, patched.get("api"), patched.get("sandbox"), version, report["own_urls"])


def _packages(packages: Mapping[str, Any]) -> Iterator[Finding]:
    if "e2b" not in packages:
        yield found("sdk:e2b", "sdk-missing")
    for name, package in packages.items():
        yield _package(name, package)


def _namesakes(directory: Path) -> Iterator[Finding]:
    """What a program that is started in this directory might import instead."""
    for name in PACKAGES:
        for path in (directory / f"{name}.py", directory / name / "__init__.py"):
            if path.is_file():
                yield found(f"sdk:{name}:namesake", "sdk-hidden", path=path)


def _package(name: str, package: Mapping[str, Any]) -> Finding:
    check = f"sdk:{name}"
    release = f"{name.replace('_', '-')} {package['version'] or '(version unknown)'}"
    details = [f"{point}: {state}" for point, state in package["points"]]
    if package["error"]:
        return found(check, "sdk-broken", release=release, reason=package["error"])
    if package["refusal"]:
        return found(check, "sdk-incompatible", **package["refusal"], details=details)
    if package["tolerated"]:
        code = "sdk-partly-patched" if package["points"] else "sdk-left-native"
        return found(check, code, **package["tolerated"], details=details)
    if package["failure"]:
        reason = package["failure"]
        return found(check, "sdk-not-patched", release=release, reason=reason, details=details)
    if not package["configurable"]:
        return found(check, "sdk-waits-for-variables", release=release)
    states = [state for _, state in package["points"]]
    counted = f"{states.count('applied')} patch points applied"
    if "absent" in states:
        counted += f", {states.count('absent')} not in this release"
    newest, is_newer = versions.NEWEST_PROVED[name], versions.is_newer_than_proved
    code = "sdk-newer-than-proved" if is_newer(name, package["version"]) else "sdk-patched"
    return found(check, code, release=release, counted=counted, newest=newest, details=details)


def _could_be_imported(package: Mapping[str, Any] | None) -> bool:
    """Whether it is not for the package itself that there is no client."""
    return package is not None and not any(package[key] for key in ("error", "refusal", "failure"))


# What a client's URLs are of.
_URLS = {"api": "the API", "sandbox": "files and commands", "host": "port 3000"}


def _urls(report: Mapping[str, Any]) -> Iterator[Finding]:
    native, patched = report["native"], report["patched"]
    if "error" in patched:
        yield found("urls", "client-fails", reason=patched["error"])
    elif not patched and _could_be_imported(report["packages"].get("e2b")):
        yield found("urls", "client-waits-for-variables")
    failures = patched.get("failures", {})
    for key, what in _URLS.items():
        before, after = native.get(key), patched.get(key)
        if key in failures:
            yield found(f"url:{key}", "url-fails", what=what, reason=failures[key])
        if after is None:
            continue
        code = "url-private"
        if before == after:
            explicit = key == "api" and parse_api_url(after)
            code = "url-explicit" if explicit else "url-native"
            if report["own_urls"]:
                code = "url-of-the-sdk"
        yield found(f"url:{key}", code, what=what, after=after, before=before or "unknown")
