"""The process that agents are forked from, where it cannot do what it is for."""

from __future__ import annotations

import pytest

from support import fresh

# Agents that load, and what becomes of an order for one.
ORDER = """
import socket, sys, threading
from kruise_autopatch_local.plan import Plan
from kruise_autopatch_local.sandbox.nursery import Nursery, NurseryError

def order(load, before=lambda nursery: None):
    nursery = Nursery.start(load)
    before(nursery)
    plan = Plan("token", {}, "/", "/", False, False)
    ours, lifeline = socket.socketpair()
    envd, code = socket.socket(), socket.socket()
    try:
        nursery.raise_one(plan, envd, code, lifeline, None, "/")
    except NurseryError as error:
        print(error)
        return
    lifeline.close()
    # Its agent's end is the lifeline's.
    print(ours.recv(100).decode(), ours.recv(1) == b"")
"""


def test_an_agent_that_lives_and_ends() -> None:
    code = """
def load():
    def serve(plan, envd, code, lifeline):
        lifeline.sendall(plan.token.encode())
    return serve

order(load)
"""
    assert fresh.output(ORDER + code) == "token True"


def test_an_agent_that_fails_says_why() -> None:
    code = """
def load():
    def serve(plan, envd, code, lifeline):
        lifeline.sendall(b"alive")
        raise ValueError("no")
    return serve

order(load)
"""
    done = fresh.run(["-c", ORDER + code])
    assert fresh.printed(done) == "alive True"
    assert done.stderr.splitlines()[-1] == "ValueError: no"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def load(): raise ImportError('no psutil')\norder(load)",
            "no psutil; install it anew: pip install kruise-autopatch-local",
        ),
        (
            "order(lambda: None, Nursery.close)",
            "the nursery has gone: [Errno 9] Bad file descriptor",
        ),
    ],
)
def test_no_agent_can_be_started(code: str, words: str) -> None:
    assert fresh.output(f"{ORDER}\n{code}") == words
