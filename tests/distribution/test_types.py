"""What a type checker finds of the installed package in a user's program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

PROGRAM = """
from kruise_agents.e2b import status, unpatch_e2b
from kruise_agents.keys import encode_for_e2b_sdk
from kruise_agents.patch_e2b import patch_e2b
from kruise_agents.patch_traffic_token import patch_traffic_access_token
from kruise_agents.traffic_token import TrafficAccessTokenExpired
from kruise_autopatch import decode_api_key

patch_e2b(https=False, validate_key=True)
patch_traffic_access_token()
key: str = encode_for_e2b_sdk("key")
print(status().enabled, TrafficAccessTokenExpired, decode_api_key(key))
unpatch_e2b()
"""


def mypy(directory: Path, program: str) -> str:
    (directory / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(directory / "cache")]
    done = subprocess.run(
        [*command, "program.py"], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout


def test_mypy_in_strict_mode_is_content_with_a_user_s_program(tmp_path: Path) -> None:
    assert mypy(tmp_path, PROGRAM) == "Success: no issues found in 1 source file\n"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("https=False", "https='no'"),
        ("encode_for_e2b_sdk(", "encode_for_e2b_sdk(b"),
        ("status,", ""),
    ],
)
def test_mypy_sees_a_mistake(tmp_path: Path, right: str, wrong: str) -> None:
    assert "Found 1 error" in mypy(tmp_path, PROGRAM.replace(right, wrong))
