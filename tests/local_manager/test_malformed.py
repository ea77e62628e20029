"""No request may lead to an exception in the server, or end it."""

from __future__ import annotations

import os
from collections import Counter

import httpx

from kruise_autopatch_local import LocalManager

from . import malformed

SEED, NUMBER = 20261128, 500


def test_no_request_yields_a_traceback() -> None:
    with LocalManager(newer=True) as manager:
        headers = {"X-API-Key": manager.api_key}
        with httpx.Client(headers=headers, trust_env=False, timeout=60) as client:
            body = {"templateID": "base", "timeout": 6000}
            made = client.post(f"{manager.url}/kruise/api/sandboxes", json=body).json()
            statuses: Counter[int | None] = Counter()
            for request in malformed.requests(
                SEED, NUMBER, made["sandboxID"], made["envdAccessToken"], manager.api_key
            ):
                statuses[malformed.send(manager.domain, request)] += 1
                errors = os.pread(manager._errors.fileno(), 1_000_000, 0).decode()
                assert "Traceback" not in errors, f"{request}\n{errors}"
            # The sandbox is still there, and most requests reached something.
            health = f"{manager.url}/kruise/{made['sandboxID']}/49983/health"
            assert client.get(health).status_code == 204
            assert statuses[502] < NUMBER / 10


def test_the_same_seed_makes_the_same_requests() -> None:
    one, other = (list(malformed.requests(1, 50, "id", "token", "key")) for _ in range(2))
    assert one == other
