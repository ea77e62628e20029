"""Source text for programs that import the SDK many times: each time in a child of their own.

Most of what a fresh interpreter costs is importing what the SDK needs; a child has it already.
"""

from __future__ import annotations

# in_child(f, *arguments): what f returns in a child of this interpreter, or the repr of what it
# raises there; it passes through JSON.
IN_CHILD = """
import json, os

def in_child(function, *arguments):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            found = function(*arguments)
        except BaseException as error:
            found = repr(error)
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(answer)
"""

# import_all_else(): imports all that the SDK imports, but nothing of it or of ours; `missing` are
# packages that are left for the SDK to import.
IMPORT_ALL_ELSE = """
import importlib, os, subprocess, sys

def import_all_else(packages, missing=()):
    listing = f"import sys, {', '.join(packages)}; print(*sys.modules, sep='\\\\n')"
    off = {**os.environ, "KRUISE_E2B_PATCH": "0"}
    listed = subprocess.run(
        [sys.executable, "-c", listing], env=off, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        if not name.startswith(("e2b", "kruise", "wrapt", "__", *missing)):
            try:
                importlib.import_module(name)
            except ImportError:
                pass
"""
