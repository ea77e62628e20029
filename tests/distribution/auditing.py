"""What an interpreter does between two of the start-up files that ``site`` runs.

``site`` runs them in alphabetical order: ``a_audit.pth`` before ours, ``kruise_autopatch_z.pth``
next after it; both as often as ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from distribution.environments import Environment

_FIRST, _LAST = "a_audit", "kruise_autopatch_z"

_AUDITOR = """
import sys

events = set()
recording = False

def subject(event, arguments):
    if event == "compile":
        return arguments[0].decode() if isinstance(arguments[0], bytes) else str(arguments[0])
    if event == "exec":
        return arguments[0].co_filename
    if event == "open":
        return f"{arguments[0]} {arguments[1] or 'r'}"
    return "" if event == "marshal.loads" else str(arguments[0]) if arguments else ""

def hook(event, arguments):
    if recording:
        events.add((event, subject(event, arguments)))

def start():
    global recording
    recording = True

def stop():
    global recording
    recording = False

sys.addaudithook(hook)
"""

_PRINT_EVENTS = "import json, sys; print(json.dumps([*sys.modules['audit_of_start_up'].events]))"


def watch(environment: Environment) -> None:
    """From now on, record what happens in each start of the environment's interpreter."""
    directory = environment.site_packages
    (directory / "audit_of_start_up.py").write_text(_AUDITOR, "utf-8")
    for name, action in [(_FIRST, "start"), (_LAST, "stop")]:
        line = f"import audit_of_start_up; audit_of_start_up.{action}()\n"
        (directory / f"{name}.pth").write_text(line, "utf-8")


def events(environment: Environment, variables: Mapping[str, str]) -> set[tuple[str, str]]:
    """The audit events (PEP 578) between the two: what happened, and to what.

    Paths are those below site-packages. The reading of the second file is left out.
    """
    found = json.loads(environment.run("-c", _PRINT_EVENTS, variables=variables))
    below = f"{environment.site_packages}/"
    return {
        (event, subject.strip().replace(below, ""))
        for event, subject in found
        if _LAST not in subject and "audit_of_start_up" not in subject
    }
