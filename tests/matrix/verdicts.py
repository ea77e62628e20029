"""From what happened in an environment to one verdict for each group of surfaces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from surfaces.tables import GROUPS, HTTP2_SINCE, URLS, Conversation

PASSED, ABSENT, STOCK, FAILED = "passed", "not in this release", "broken in stock", "failed"

# The protocol and the scheme of each conversation; the native one is over https alone.
WAYS = {("private", "http"): "http", ("private", "https"): "https", ("native", "https"): "native"}
PROXIES = "proxies"
REDIRECTS = "redirects"
CONNECTIONS = "connections"
HTTP2 = "HTTP/2"
COLUMNS = (*WAYS.values(), *GROUPS, PROXIES, REDIRECTS, CONNECTIONS, HTTP2)

# Errors that no server, address or setting can cause. Only these can prove that the stock SDK is
# broken, by being the same with the switch off.
_PROGRAMMING_ERRORS = ("AttributeError: ", "ImportError: ", "ModuleNotFoundError: ", "TypeError: ")
# The step needs what another one, with an error of its own, did not return.
_NOT_REACHED = "NotReachedError: "


@dataclass(frozen=True)
class Verdict:
    word: str
    # What is wrong, and for "broken in stock" the error that is the same with the switch off.
    reasons: tuple[str, ...] = ()


def of(report: Mapping[str, Any]) -> dict[str, Verdict]:
    """The verdict of every column, over all the runs in an environment.

    Without those of what was not tried there.
    """
    if "problem" in report:
        return {column: Verdict(FAILED, (report["problem"],)) for column in COLUMNS}
    stock = {_key(run): run for run in report["stock"]}
    everywhere = [f"{report['escapes']} attempts to leave loopback"] if report["escapes"] else []
    found: dict[str, list[Verdict]] = {group: [] for group in GROUPS}
    by_way: dict[str, list[Verdict]] = {}
    for run in report["runs"]:
        way = WAYS[run["protocol"], run["scheme"]]
        where = f"{run['mode']} over {way}"
        if run["outcome"] is None or run["outcome"]["id"] is None:
            why = run["problem"] or run["outcome"]["errors"]["create"]
            failed = Verdict(FAILED, (f"{where}: {why}",))
            for verdicts in (*found.values(), by_way.setdefault(way, [])):
                verdicts.append(failed)
            continue
        conversation = Conversation.of(
            run["mode"],
            run["scheme"],
            run["domain"],
            run["outcome"],
            run["requests"],
            native=run["protocol"] == "native",
        )
        native = stock.get(_key(run))
        native_errors = native["outcome"]["errors"] if native and native["outcome"] else {}
        common = [*everywhere, *_wrong_everywhere(conversation)]
        for group, names in GROUPS.items():
            verdict = _verdict(conversation, names, native_errors, common)
            what = run["mode"] if verdict.word == STOCK else where
            reasons = tuple(f"{what}: {reason}" for reason in verdict.reasons)
            found[group].append(Verdict(verdict.word, reasons))
            # What is broken in the stock SDK is so in the column of its group.
            word = FAILED if verdict.word == FAILED else PASSED
            why = (f"see {group}",) if word == FAILED else ()
            by_way.setdefault(way, []).append(Verdict(word, why))
    others = {column: report[column] for column in _OTHERS if column in report}
    return {
        **{way: _worst(by_way[way]) for way in WAYS.values() if way in by_way},
        **{group: _worst(verdicts) for group, verdicts in found.items()},
        **{column: _of_problems([*everywhere, *wrong]) for column, wrong in others.items()},
        HTTP2: _http2(report),
    }


# Columns whose problems are in the report as they are.
_OTHERS = (PROXIES, REDIRECTS, CONNECTIONS)


def _key(run: Mapping[str, Any]) -> tuple[str, str, str]:
    return run["protocol"], run["mode"], run["scheme"]


def _of_problems(problems: Sequence[str]) -> Verdict:
    return Verdict(FAILED, tuple(problems)) if problems else Verdict(PASSED)


def _http2(report: Mapping[str, Any]) -> Verdict:
    """Whether requests over https share connections, as those of this release do natively."""
    shared = any("2" in versions for who in report["spoken"].values() for versions in who.values())
    outcomes = [run["outcome"] for run in report["runs"] if run["outcome"] is not None]
    is_known = bool(outcomes) and (Version(outcomes[0]["versions"]["e2b"]) >= Version(HTTP2_SINCE))
    if shared != is_known:
        return Verdict(FAILED, ("HTTP/2 is spoken" if shared else "HTTP/2 is not spoken",))
    return Verdict(PASSED if shared else ABSENT)


def _wrong_everywhere(conversation: Conversation) -> list[str]:
    wrong = [f"a request for {path}" for path in conversation.paths_outside_the_prefix()]
    wrong += [f"a request to {url}" for url in conversation.misdirected()]
    if not conversation.environment_unchanged:
        wrong.append("os.environ has changed")
    if unknown := set(conversation.urls) - set(URLS):
        wrong.append(f"URLs without an expectation: {sorted(unknown)}")
    if unknown := set(conversation.tried) - {name for names in GROUPS.values() for name in names}:
        wrong.append(f"steps without a column: {sorted(unknown)}")
    return wrong


def _verdict(
    conversation: Conversation, names: Sequence[str], native: Mapping[str, str], common: list[str]
) -> Verdict:
    errors = {name: error for name, error in conversation.errors.items() if name in names}
    wrong = [*common, *(f"{name}: {error}" for name, error in errors.items())]
    if errors and not common and _the_same_natively(errors, native):
        proof = sorted(
            {f"`{_brief(e)}`" for e in errors.values() if not e.startswith(_NOT_REACHED)}
        )
        return Verdict(STOCK, tuple(proof))
    for name in names:
        if name not in errors:
            wrong += conversation.problems(name)
    if wrong:
        return Verdict(FAILED, tuple(wrong))
    return Verdict(ABSENT if all(map(conversation.is_absent, names)) else PASSED)


def _the_same_natively(errors: Mapping[str, str], native: Mapping[str, str]) -> bool:
    proofs = {name: error for name, error in errors.items() if not error.startswith(_NOT_REACHED)}
    return bool(proofs) and all(
        error.startswith(_PROGRAMMING_ERRORS) and error in _native_errors(name, native)
        for name, error in proofs.items()
    )


def _native_errors(name: str, native: Mapping[str, str]) -> list[str]:
    """The error of a step with the switch off; of any step, where this one needs a server."""
    own = native.get(name, "")
    return list(native.values()) if own.startswith(_NOT_REACHED) else [own]


def _brief(error: str) -> str:
    """Without the path in which an ImportError ends."""
    return re.sub(r" \(/\S+\)$", "", error)


def _worst(verdicts: list[Verdict]) -> Verdict:
    for word in (FAILED, STOCK, PASSED):
        chosen = [verdict for verdict in verdicts if verdict.word == word]
        if chosen:
            reasons = [reason for verdict in chosen for reason in verdict.reasons]
            return Verdict(word, tuple(dict.fromkeys(reasons)))
    return Verdict(ABSENT)
