"""``.env`` files: ``run --env-file`` reads them before Python starts, load_dotenv() after it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cli import doctoring
from support import fresh

CLI = (sys.executable, "-m", "kruise_autopatch")
SHOW = (
    "import json, os, kruise_autopatch, e2b;"
    "print(json.dumps([e2b.ConnectionConfig().api_url, kruise_autopatch.status().enabled,"
    " os.environ.get('OTHER'), os.environ.get('EMPTY')]))"
)

# As E2B's own quickstart has it.
LATE = """
import sys
from dotenv import load_dotenv
load_dotenv(sys.argv[1])
import e2b, kruise_autopatch
print(kruise_autopatch.status())
"""


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(
        "# what python-dotenv takes\n"
        "export KRUISE_E2B_PATCH=1\n"
        "E2B_DOMAIN='kruise.test'\n"
        'KRUISE_E2B_HTTPS="0" # http\n'
        "E2B_API_KEY=some-api-key\n"
        "OTHER=${E2B_DOMAIN}/x\n"
        "EMPTY\n"
    )
    return path


def test_run_sets_what_the_file_has_before_python_starts(env_file: Path) -> None:
    pytest.importorskip("dotenv")
    done = doctoring.run(
        [*CLI, "run", "--env-file", str(env_file), "--", sys.executable, "-c", SHOW]
    )
    assert json.loads(done.stdout) == [
        "http://kruise.test/kruise/api",
        True,
        "kruise.test/x",
        None,
    ]


def test_what_the_environment_has_stays(env_file: Path) -> None:
    pytest.importorskip("dotenv")
    command = [*CLI, "run", "--env-file", str(env_file), "--", sys.executable, "-c", SHOW]
    inherited = doctoring.run(command, {"E2B_DOMAIN": "other.test", "KRUISE_E2B_HTTPS": ""})
    assert json.loads(inherited.stdout)[0] == "https://other.test/kruise/api"
    off = doctoring.run(command, {"KRUISE_E2B_PATCH": "0"})
    assert json.loads(off.stdout)[:2] == ["https://api.kruise.test", False]


def test_an_option_wins_over_the_file(env_file: Path) -> None:
    pytest.importorskip("dotenv")
    options = ["--env-file", str(env_file), "--domain", "option.test", "--https"]
    done = doctoring.run([*CLI, "run", *options, "--", sys.executable, "-c", SHOW])
    assert json.loads(done.stdout)[0] == "https://option.test/kruise/api"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.env")
    done = doctoring.run([*CLI, "run", "--env-file", missing, "--", sys.executable, "-c", "0"])
    assert done.returncode == 2
    assert f"--env-file={missing!r}: there is no such file" in done.stderr


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    pytest.importorskip("dotenv")
    path = tmp_path / "latin.env"
    path.write_bytes("E2B_DOMAIN=kruise.test # für\n".encode("latin-1"))
    done = doctoring.run([*CLI, "run", "--env-file", str(path), "--", sys.executable, "-c", "0"])
    assert done.returncode == 2
    assert "cannot be read: 'utf-8' codec" in done.stderr


def test_without_python_dotenv_it_says_what_to_install(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "dotenv.py").write_text("raise ImportError('not here')")
    done = doctoring.run(
        [*CLI, "run", "--env-file", str(env_file), "--", sys.executable, "-c", "0"],
        {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert 'run pip install "kruise-autopatch[dotenv]"' in done.stderr


# --- too late --------------------------------------------------------------------------------


def test_after_load_dotenv_the_status_says_why_it_is_off(env_file: Path) -> None:
    pytest.importorskip("dotenv")
    done = doctoring.run([sys.executable, "-c", LATE, str(env_file)])
    assert done.stdout.startswith("kruise-autopatch: off; KRUISE_E2B_PATCH is set now, but was not")
    assert "run --env-file" in done.stdout
    assert "patch_e2b()" in done.stdout


@pytest.mark.parametrize("value", ["1", "on", "perhaps"])
def test_a_variable_that_is_set_in_the_program_comes_too_late(value: str) -> None:
    program = (
        f"import os, kruise_autopatch; os.environ['KRUISE_E2B_PATCH'] = {value!r}\n"
        "before = kruise_autopatch.status()\n"
        "import e2b; after = kruise_autopatch.status()\n"
        "kruise_autopatch.patch_e2b(); patched = kruise_autopatch.status()\n"
        "kruise_autopatch.unpatch_e2b(); undone = kruise_autopatch.status()\n"
        "result = [each.hint for each in (before, after, patched, undone)]"
    )
    before, after, patched, undone = fresh.value(program, {"E2B_DOMAIN": "kruise.test"})
    assert before == after
    assert "is set now, but was not when Python started" in before
    # By a call, it is known what is meant.
    assert [patched, undone] == [None, None]


@pytest.mark.parametrize("value", [None, "", "0", "off"])
def test_off_needs_no_hint(value: str | None) -> None:
    variables = {} if value is None else {"KRUISE_E2B_PATCH": value}
    code = "import kruise_autopatch; result = [str(kruise_autopatch.status())]"
    assert fresh.value(code, variables) == ["kruise-autopatch: off"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux knows")
def test_a_hook_that_did_not_run_is_no_variable_that_came_too_late() -> None:
    site_packages = str(Path(sys.modules["kruise_autopatch"].__file__ or "").parent.parent)
    code = (
        f"import sys; sys.path.append({site_packages!r})\n"
        "import kruise_autopatch; result = kruise_autopatch.status().hint"
    )
    hint = fresh.value(code, {"KRUISE_E2B_PATCH": "1"}, flags=["-S"])
    assert hint.startswith("KRUISE_E2B_PATCH was set when Python started, but the hook did not run")


@pytest.mark.parametrize("directory", [".", "below/it"])
def test_the_doctor_sees_a_file_that_comes_too_late(env_file: Path, directory: str) -> None:
    here = env_file.parent / directory
    here.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *doctoring.DOCTOR, "--json", "--offline"]
    report = doctoring.report_of(doctoring.run(command, {}, cwd=str(here)))
    finding = report.findings["variable:KRUISE_E2B_PATCH"]
    assert finding["code"] == "switched-on-too-late"
    assert f"kruise-autopatch run --env-file {env_file} -- PROGRAM" in finding["next"]
    # Whoever has set it means it.
    off = doctoring.run(command, {"KRUISE_E2B_PATCH": "0"}, cwd=str(here))
    code = doctoring.report_of(off).findings["variable:KRUISE_E2B_PATCH"]["code"]
    assert code == "switched-off"


def test_a_file_without_the_variable_is_nothing_to_speak_of(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# KRUISE_E2B_PATCH=1\nE2B_DOMAIN=kruise.test\n")
    command = [sys.executable, *doctoring.DOCTOR, "--json", "--offline"]
    report = doctoring.report_of(doctoring.run(command, {}, cwd=str(tmp_path)))
    assert report.findings["variable:KRUISE_E2B_PATCH"]["code"] == "switched-off"
