"""The doctor on the SDK: releases, patch points, and the URLs of a client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kruise_autopatch import PACKAGES, versions
from kruise_autopatch.cli.doctor.child import ChildFailed, ask, package_root
from kruise_autopatch.cli.doctor.findings import Finding
from kruise_autopatch.protocol import parse_api_url

_PROBE = """
try:
    import kruise_autopatch
except ImportError:
    sys.path.append(sys.argv[1])
from kruise_autopatch.cli.doctor.sdk_probe import main
main()
"""


class SDK(NamedTuple):
    """What was found out, for later checks."""

    findings: tuple[Finding, ...]
    # Of a client with the settings at hand; None if it cannot be built.
    api_url: str | None = None
    sandbox_url: str | None = None
    e2b: str | None = None


def examine(environment: Mapping[str, str]) -> SDK:
    """Import and patch the SDK in another process, as if ``KRUISE_E2B_PATCH`` were on."""
    try:
        report, _ = ask(_PROBE, environment, package_root())
    except ChildFailed as error:
        # One of our own errors says itself what to do.
        reason, semicolon, advice = str(error).partition("; run ")
        text = f"the SDK could not be examined ({reason})"
        advice = f"run {advice}" if semicolon else "import e2b by hand to see more."
        return SDK((Finding("sdk", "problem", text, advice),))
    findings = (*_packages(report["packages"]), *_namesakes(Path.cwd()), *_urls(report))
    private = report["private"]
    version = report["packages"].get("e2b", {}).get("version")
    return SDK(findings, private.get("api"), private.get("sandbox"), version)


def _packages(packages: Mapping[str, Any]) -> Iterator[Finding]:
    if "e2b" not in packages:
        yield Finding(
            "sdk:e2b",
            "problem",
            "e2b is not installed for this interpreter",
            'run pip install "kruise-autopatch[e2b]", or the doctor with the interpreter of your'
            " program: python -m kruise_autopatch doctor.",
        )
    for name, package in packages.items():
        yield _package(name, package)


def _namesakes(directory: Path) -> Iterator[Finding]:
    """What a program that is started in this directory might import instead."""
    for name in PACKAGES:
        for path in (directory / f"{name}.py", directory / name / "__init__.py"):
            if path.is_file():
                text = f"{path} hides the SDK from programs that are started in its directory"
                yield Finding(f"sdk:{name}:namesake", "note", text, "rename it.")


def _package(name: str, package: Mapping[str, Any]) -> Finding:
    check = f"sdk:{name}"
    release = f"{name.replace('_', '-')} {package['version'] or '(version unknown)'}"
    details = [f"{point}: {state}" for point, state in package["points"]]
    if package["error"]:
        text = f"{release} cannot be imported: {package['error']}"
        return Finding(check, "problem", text, "install it again.")
    if package["problem"]:
        fact, _, advice = package["problem"].partition(". ")
        text = fact if release in fact else f"{release}: {fact}"
        return Finding(check, "problem", text, advice or "install it again.", details)
    if not package["configurable"]:
        text = f"{release}: it would not be imported, because of the variables"
        return Finding(check, "note", text, "correct them first; the problems are above.")
    states = [state for _, state in package["points"]]
    counted = f"{states.count('applied')} patch points applied"
    absent = [point for point, state in package["points"] if state == "absent"]
    if absent:
        counted += f", {len(absent)} not in this release"
    if versions.is_newer_than_proved(name, package["version"]):
        text = f"{release}: {counted}; {versions.NEWEST_PROVED[name]} is the newest that is proved"
        advice = "if a URL is wrong, pin that release, and report it."
        return Finding(check, "note", text, advice, details)
    return Finding(check, "ok", f"{release}: {counted}", None, details)


def _urls(report: Mapping[str, Any]) -> Iterator[Finding]:
    native, private = report["native"], report["private"]
    if "error" in private:
        text = f"no client can be built: {private['error']}"
        yield Finding("urls", "problem", text, "build an e2b.ConnectionConfig() by hand.")
    elif not private and "e2b" in report["packages"]:
        text = "no client can be built from these variables"
        yield Finding("urls", "note", text, "correct them first; the problems are above.")
    if "api" not in private:
        return
    for key, what in (("api", "the API"), ("sandbox", "files and commands"), ("host", "port 3000")):
        before, after = native.get(key), private[key]
        check = f"url:{key}"
        if before == after and key == "api" and parse_api_url(after):
            yield Finding(check, "ok", f"{what}: {after}, as E2B_API_URL says")
        elif before == after:
            advice = "see E2B_DOMAIN, E2B_DEBUG, E2B_API_URL and E2B_SANDBOX_URL above."
            yield Finding(check, "note", f"{what}: {after}, the same as natively", advice)
        else:
            yield Finding(check, "ok", f"{what}: {after} (natively {before or 'unknown'})")
