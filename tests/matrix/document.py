"""docs/compatibility.md, from the reports of the environments."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from matrix import verdicts
from matrix.releases import CODE_INTERPRETER, DESKTOP, Environment, Release
from matrix.verdicts import Verdict

Outcome = tuple[Environment, Mapping[str, Any], Mapping[str, Verdict]]

_SIGNS = {
    verdicts.PASSED: "✓",
    verdicts.ABSENT: "-",
    verdicts.STOCK: "stock",
    verdicts.FAILED: "**failed**",
}

_MEANINGS = {
    "http": "every surface below, by private URLs over http",
    "https": "the same over https",
    "native": "the same by native URLs (`KRUISE_E2B_PROTOCOL=native`), which are over https alone",
    "control plane": "create, connect, list, get_info, set_timeout, kill by the instance and by "
    "the class, update_network, under `/kruise/api`",
    "pages": "`Sandbox.list`, page by page",
    "pause": "pause and resume, by the instance and by the class; a command afterwards",
    "envd REST": "reading and writing files, is_running",
    "streams": "a megabyte, read as a stream",
    "envd RPC": "listing, renaming and removing files; commands: run, in the background, "
    "their input, connect, kill; a command in a sandbox that was connected to",
    "watch": "`files.watch_dir`, and the event of a new file, delivered",
    "pty": "a terminal: typed into, resized, connected to again",
    "git": "the git helpers: a repository of one commit, its status, a clone",
    "host and URLs": "`get_host`, and a server in the sandbox that answers there; "
    "`get_sandbox_url`, `get_sandbox_direct_url`, `envd_api_url`",
    "file links": "`download_url` and `upload_url`, signed, with and without expiry: fetched and "
    "posted by an HTTP client; a forged one refused",
    "MCP": "`get_mcp_url`; `Sandbox.create(mcp=…)`, which starts the gateway in the sandbox",
    "subclass": "a subclass of `Sandbox`: create, connect, a method of its own",
    "Jupyter": "code-interpreter: `run_code`, its errors",
    "contexts": "code-interpreter: contexts are created, used, listed, removed",
    "desktop": "the URL of the desktop's stream",
    "E2B": "`E2B` clients with a domain and a key of their own, beside those of the environment: "
    "of e2b, code-interpreter and desktop; their sandboxes, templates, volumes and secrets",
    "templates": "`Template.build` from an image, a template, a Dockerfile, with files, by alias "
    "and by name; in the background; status, existence and tags [1]",
    "snapshots": "create, list, delete [1]",
    "fork": "`fork` [1]",
    "metrics": "`get_metrics` [1]",
    "volumes": "create, list, connect, destroy; the URL of a volume's content, and reading and "
    "writing it [1]",
    "secrets": "create, list, get_info, update, destroy [1]",
    "proxies": "`HTTP_PROXY`, `HTTPS_PROXY` and `proxy=`: each request goes by way of the proxy if "
    "and only if it does so natively; over https with an authority from `SSL_CERT_FILE`",
    "redirects": "redirects of every status, of every request to a sandbox and of those that renew "
    "its token: nothing is sent to elsewhere",
    "connections": "10 sandboxes with 50 streams each, over HTTP/2 with 100 streams a connection: "
    "no two share one, and a kill is answered while all are open",
    "HTTP/2": "whether this release speaks it over https, and so lets streams of one sandbox port "
    "share a connection: [where](#where-streams-share-a-connection)",
}

_NOTE = """
[1] OpenKruise does not serve these, nor does the local sandbox-manager serve snapshots. Passed
means that the request reached the one host, below `/kruise/api`, and that the SDK made of the
refusal what it makes of it natively."""


def render(
    outcomes: Sequence[Outcome],
    skipped: Sequence[Release],
    project_version: str,
    digest: str,
) -> str:
    """The whole document."""
    return "\n".join(
        [
            *_introduction(outcomes, skipped, project_version, digest),
            "",
            *_table([outcome for outcome in outcomes if not outcome[0].extra]),
            "",
            *_sharing(outcomes),
            *_companions(outcomes),
            *_reasons(
                outcomes,
                verdicts.STOCK,
                "Broken in the stock SDK",
                "These combinations raise the same error with the switch off. Where pip would "
                "install them for you, pin another release.",
            ),
            *_reasons(outcomes, verdicts.FAILED, "Failed", "These are ours to mend."),
        ]
    )


def _introduction(
    outcomes: Sequence[Outcome], skipped: Sequence[Release], project_version: str, digest: str
) -> list[str]:
    runs = [run for _, report, _ in outcomes for run in report.get("runs", ())]
    requests = sum(len(run["requests"]) for run in runs)
    guards = sorted({report["guard"] for _, report, _ in outcomes if "guard" in report})
    rows = [environment for environment, _, _ in outcomes if not environment.extra]
    lines = [
        "# Compatibility",
        "",
        "<!-- Written by `tox -e matrix`; changes by hand are lost. -->",
        "",
        f"Every e2b release from {rows[0].e2b} to {rows[-1].e2b}, unmodified, with the switch on:",
        "a real SDK in an environment of its own talks to the local sandbox-manager, with the sync",
        "and with the async client, and touches every surface below. A cell has passed if every",
        "URL that the SDK handed out is of the private protocol, every request arrived at the one",
        "host and below `/kruise/`, and every answer came back right; and if all of that holds",
        "once more by native URLs, of which every one is as the SDK makes it.",
        "",
        "| cell | meaning |",
        "|---|---|",
        "| ✓ | passed |",
        "| - | not in this release |",
        "| stock | broken in the stock SDK: it raises the same error with the switch off |",
        "",
        "| column | holds |",
        "|---|---|",
        *(f"| {group} | {_MEANINGS[group]} |" for group in verdicts.COLUMNS),
        _NOTE,
        "",
        f"Proved on {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d} for kruise-autopatch "
        f"{project_version} (`{digest}`): {len(outcomes)}",
        f"environments, {len(runs)} conversations, {requests:,} requests, in both protocols, over",
        "http and https.",
        f"Guard against requests to elsewhere: {', '.join(guards)}.",
        "`tox -e matrix` repeats it; `tox -e matrix -- --only 2.8.0,2.63.0` does so for a few.",
    ]
    again = sum(run["attempts"] > 1 for run in runs)
    if again:
        lines += ["", f"{again} of the conversations broke off once and were held again."]
    if skipped:
        names = ", ".join(str(release.version) for release in skipped)
        lines += ["", f"No Python on this machine could run: {names}."]
    return lines


def _table(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [
        f"| e2b | Python | code-interpreter | desktop | {' | '.join(verdicts.COLUMNS)} |",
        "|---" * 4 + "|:-:" * len(verdicts.COLUMNS) + "|",
    ]
    for environment, _, found in reversed(outcomes):
        cells = [_SIGNS[found[group].word] if group in found else "" for group in verdicts.COLUMNS]
        versions = (environment.e2b, environment.python)
        companions = (environment.code_interpreter, environment.desktop)
        lines.append(f"| {' | '.join(map(str, [*versions, *companions, *cells]))} |")
    return lines


_SPEAKERS = ("API", "files", "commands", "Jupyter")


def _sharing(outcomes: Sequence[Outcome]) -> list[str]:
    """Who speaks which HTTP over https, and how many streams share a connection; one line for
    consecutive releases that do the same."""
    lines: list[tuple[str, str, str]] = []
    rows = [outcome for outcome in outcomes if not outcome[0].extra and "spoken" in outcome[1]]
    for environment, report, _ in reversed(rows):
        version, cells = str(environment.e2b), " | ".join(_spoken(report))
        if lines and lines[-1][2] == cells:
            lines[-1] = (version, lines[-1][1], cells)
        else:
            lines.append((version, version, cells))
    return [
        "## Where streams share a connection",
        "",
        "Over https, with 49 commands and one cell in each of 10 sandboxes. Streams of one port of",
        "a sandbox may share a connection over HTTP/2, as they do natively; over HTTP/1.1 each has",
        "its own. Nothing is shared by two sandboxes, by two ports, or with the API. Over http",
        "every release speaks HTTP/1.1.",
        "",
        f"| e2b | {' | '.join(_SPEAKERS)} | most streams on one connection |",
        "|---" + "|:-:" * (len(_SPEAKERS) + 1) + "|",
        *(
            f"| {first if first == last else f'{first} to {last}'} | {cells} |"
            for first, last, cells in lines
        ),
        "",
    ]


def _spoken(report: Mapping[str, Any]) -> list[str]:
    """Of each, and of the sync and the async client if they differ."""
    found = []
    for who in _SPEAKERS:
        versions = {m: ", ".join(spoken.get(who, ["-"])) for m, spoken in report["spoken"].items()}
        found.append(_one_or_both(versions))
    return [*found, _one_or_both({mode: str(most) for mode, most in report["together"].items()})]


def _one_or_both(of_modes: Mapping[str, str]) -> str:
    values = set(of_modes.values())
    return values.pop() if len(values) == 1 else ", ".join(f"{m}: {v}" for m, v in of_modes.items())


def _companions(outcomes: Sequence[Outcome]) -> list[str]:
    """Each companion release, and the e2b releases that it passed with."""
    lines = ["## Code-interpreter and desktop releases", ""]
    for title, attribute, group in (
        (CODE_INTERPRETER, "code_interpreter", "Jupyter"),
        (DESKTOP, "desktop", "desktop"),
    ):
        passed: dict[Any, list[Any]] = {}
        for environment, _, found in outcomes:
            companion = passed.setdefault(getattr(environment, attribute), [])
            if found[group].word == verdicts.PASSED:
                companion.append(environment.e2b)
        lines += [f"| {title} | passed with e2b |", "|---|---|"]
        for version in sorted(passed):
            names = ", ".join(str(e2b) for e2b in sorted(set(passed[version])))
            lines.append(f"| {version} | {names or 'none'} |")
        lines.append("")
    return lines


def _reasons(outcomes: Sequence[Outcome], word: str, title: str, meaning: str) -> list[str]:
    lines = []
    for environment, _, found in outcomes:
        for group, verdict in found.items():
            if verdict.word == word:
                reasons = "<br>".join(reason.replace("|", "\\|") for reason in verdict.reasons)
                versions = (environment.e2b, environment.code_interpreter, environment.desktop)
                lines.append(f"| {' | '.join(map(str, versions))} | {group} | {reasons} |")
    if not lines:
        return []
    head = ["| e2b | code-interpreter | desktop | column | error |", "|---|---|---|---|---|"]
    return [f"## {title}", "", meaning, "", *head, *lines, ""]
