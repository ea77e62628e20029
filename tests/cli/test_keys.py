"""``encode-key`` and ``decode-key``, and what all commands have in common."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cli import doctoring
from support import fresh

RAW = "some-api-key"
# From openkruise/agents.
ENCODED = "e2b_6f6b6167010000000c736f6d652d6170692d6b657947a2e62d3ce60d6d"


@pytest.mark.parametrize(
    ("command", "key", "converted"), [("encode-key", RAW, ENCODED), ("decode-key", ENCODED, RAW)]
)
@pytest.mark.parametrize("end", [None, "", "\n", "\r\n"])
def test_a_key_is_converted(command: str, key: str, converted: str, end: str | None) -> None:
    program = [sys.executable, "-m", "kruise_autopatch", command]
    if end is None:
        done = doctoring.run([*program, key])
    else:
        done = doctoring.run(program, text=f"{key}{end}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{converted}\n", "")


@pytest.mark.parametrize(
    ("command", "key", "reason"),
    [
        ("encode-key", "", "An empty API key cannot be encoded."),
        ("encode-key", ENCODED, "The API key is encoded already"),
        ("encode-key", ENCODED[:-1] + "e", "The API key is encoded already"),
        ("decode-key", RAW, "This is not an encoded API key"),
        ("decode-key", ENCODED[:-1] + "e", "has a wrong checksum"),
        ("decode-key", ENCODED[:-2], "has 12 bytes, but holds 11"),
    ],
)
def test_a_bad_key_is_refused_and_not_repeated(command: str, key: str, reason: str) -> None:
    done = fresh.run(["-m", "kruise_autopatch", command, key])
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    assert f"kruise-autopatch {command}: error: " in done.stderr
    assert key == "" or key not in done.stderr


@pytest.mark.parametrize("command", ["encode-key", "decode-key"])
def test_bytes_that_are_no_text_are_refused(command: str) -> None:
    code = (
        "import io, sys; from kruise_autopatch.cli.main import main\n"
        "sys.stdin = io.TextIOWrapper(io.BytesIO(b'\\xff'), 'utf-8')\n"
        f"main([{command!r}])"
    )
    done = fresh.run(["-c", code])
    assert done.returncode == 2
    assert "not valid UTF-8" in done.stderr


def test_the_console_script_is_the_same_program() -> None:
    script = Path(sys.executable).with_name("kruise-autopatch")
    for arguments in (["--help"], ["doctor", "--help"], ["run", "--help"], ["encode-key", RAW]):
        by_name = doctoring.run([str(script), *arguments])
        by_module = fresh.run(["-m", "kruise_autopatch", *arguments])
        assert by_name.returncode == 0
        assert by_name.stdout == by_module.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["doctor", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["doctor", "--", "x"], "unrecognized arguments: -- x"),
    ],
)
def test_a_mistake_is_explained_in_a_line_or_two(arguments: list[str], message: str) -> None:
    done = fresh.run(["-m", "kruise_autopatch", *arguments])
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import subprocess, sys\n"
        "program = [sys.executable, '-m', 'kruise_autopatch', 'doctor', '--offline']\n"
        "process = subprocess.Popen(program, stdout=-1, stderr=-1)\n"
        "process.stdout.close()\n"
        "result = process.stderr.read().decode()"
    )
    assert fresh.value(code) == ""
