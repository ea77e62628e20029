"""What `tox -e canary` finds in the source of an SDK."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from matrix import inventory
from matrix.canary import KNOWN

SOURCE = '''
"""See https://docs.test/nobody-asks-there."""

import os

ENVD_PORT, other = 49984, 1
envd_port: int = 49985
HOST = "sandboxes.e2b.app"

class Config(base.ConnectionConfig):
    """https://docs.test/either"""

    def url(self, port=49986, *, retries=3, proxy_port=49987):
        return f"https://{port}-{os.environ['E2B_NEW_HOST']}.example.com/path"

serve(port=49988, timeout=49989)
'''


def test_it_finds_what_may_need_a_patch_and_not_what_documentation_links_to() -> None:
    found = inventory.of(
        [("e2b/config.py", SOURCE), ("e2b/api/client/api/sandboxes/post_v3_sandboxes.py", "")]
    )
    assert found == {
        "URLs": {"https://{}-{}.example.com/path"},
        "hosts": {"sandboxes.e2b.app"},
        "ports": {
            "envd_port = 49985",
            "port = 49986",
            "proxy_port = 49987",
            "port = 49988",
        },
        "variables": {"E2B_NEW_HOST"},
        "endpoint modules": {"sandboxes/post_v3_sandboxes"},
        "subclasses": {"e2b.config:Config of ConnectionConfig"},
    }


def test_the_difference_is_told_in_both_directions() -> None:
    known = inventory.of([("e2b/a.py", "port = 2000\nurl = 'https://old.test'")])
    found = inventory.of([("e2b/a.py", "port = 3000")])
    new, gone = inventory.difference(known, found)
    assert new == {"ports": {"port = 3000"}}
    assert gone == {"ports": {"port = 2000"}, "URLs": {"https://old.test"}}
    assert inventory.difference(found, found) == ({}, {})


def test_what_every_release_mentions_is_known() -> None:
    spec = find_spec("e2b")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    sources = (
        (file.relative_to(package.parent).as_posix(), file.read_text("utf-8"))
        for file in sorted(package.rglob("*.py"))
    )
    found = inventory.of(sources)
    assert "envd_port = 49983" in found["ports"]
    assert {"E2B_API_KEY", "E2B_DOMAIN"} <= found["variables"]
    assert "sandboxes/delete_sandboxes_sandbox_id" in found["endpoint modules"]
    known = json.loads(KNOWN.read_text("utf-8"))
    assert set(known) == {"sdk", *inventory.KINDS}
