"""The doctor on the interpreter, the start-up file, and whether it is processed."""

from __future__ import annotations

import os
import shutil
import site
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from cli import doctoring
from cli.doctoring import examine
from kruise_autopatch.cli.doctor import start_up
from kruise_autopatch.cli.doctor.child import ChildFailed
from kruise_autopatch.versions import NEWEST_PROVED
from support import fresh, sdks
from support.installations import SITE_PACKAGES, START_UP_FILE, Environment

CHECKOUT = Path(__file__).resolve().parents[2]
OURS = version("kruise-autopatch")


def test_the_doctor_knows_the_start_up_file_to_the_byte() -> None:
    assert start_up.START_UP_LINE.encode() == (CHECKOUT / START_UP_FILE).read_bytes()


@pytest.mark.parametrize("flags", [(), ("-I",), ("-E",), ("-s",)])
def test_installed_it_is_processed(flags: tuple[str, ...]) -> None:
    report = examine({}, "--offline", flags=flags)
    for check in ("interpreter", "site-packages", START_UP_FILE, "hook"):
        assert report.state(check) == "ok", report.line(check)
    assert sys.executable in report.line("interpreter")
    assert str(SITE_PACKAGES) in report.line("site-packages")


def test_without_site_nothing_is_processed() -> None:
    report = examine({"PYTHONPATH": str(SITE_PACKAGES)}, "--offline", flags=["-S"])
    assert report.state("hook") == "problem"
    assert "-S stops Python" in report.line("hook")
    # kruise-autopatch run would not help.
    assert "leave -S out" in report.line("hook")
    assert report.status == 1


def test_a_target_directory_on_pythonpath_is_not_processed(bare: str, target: Path) -> None:
    variables = {"PYTHONPATH": str(target)}
    report = examine(variables, "--offline", python=bare)
    assert report.state("hook") == "problem"
    assert "on PYTHONPATH (or from pip --target)" in report.line("hook")
    assert "no directory whose start-up files" in report.line(START_UP_FILE)
    assert report.state(START_UP_FILE) == "note"
    assert "kruise-autopatch run" in report.line("hook")


def test_a_zip_archive_is_not_processed(bare: str, target: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "application"), "zip", target)
    report = examine({"PYTHONPATH": archive}, "--offline", python=bare)
    assert report.state("hook") == "problem"
    assert f"{archive} is a zip archive" in report.line("hook")


def test_the_site_packages_of_another_environment_are_not_processed(bare: str) -> None:
    code = (
        f"import runpy, sys; sys.path.append({str(SITE_PACKAGES)!r})\n"
        "sys.argv = ['doctor', 'doctor', '--json', '--offline']\n"
        "runpy.run_module('kruise_autopatch', run_name='__main__')"
    )
    report = doctoring.report_of(doctoring.run([bare, "-c", code]))
    assert report.state("hook") == "problem"
    assert "belongs to another environment" in report.line("hook")


def test_another_virtual_environment_is_active(tmp_path: Path) -> None:
    report = examine({"VIRTUAL_ENV": str(tmp_path)}, "--offline")
    assert report.state("virtual-environment") == "note"
    assert str(tmp_path) in report.line("virtual-environment")


def test_a_start_up_file_that_was_changed(new_environment: Callable[[], Environment]) -> None:
    environment = new_environment()
    intact = examine({}, "--offline", python=environment.python)
    assert [intact.state(c) for c in (START_UP_FILE, "hook")] == ["ok", "ok"]

    with open(environment.site_packages / START_UP_FILE, "a") as file:
        file.write("import os\n")
    changed = examine({}, "--offline", python=environment.python)
    assert changed.state(START_UP_FILE) == "problem"
    assert "is not what was shipped" in changed.line(START_UP_FILE)
    assert "pip install --force-reinstall" in changed.line(START_UP_FILE)


def test_a_start_up_file_that_is_gone(new_environment: Callable[[], Environment]) -> None:
    environment = new_environment()
    (environment.site_packages / START_UP_FILE).unlink()
    report = examine({}, "--offline", python=environment.python)
    assert report.state(START_UP_FILE) == "note"
    assert report.state("hook") == "problem"
    assert "without our start-up file" in report.line("hook")


def test_a_hook_that_fails_shows_its_error(new_environment: Callable[[], Environment]) -> None:
    environment = new_environment()
    (environment.site_packages / START_UP_FILE).write_text("import no_such_module\n")
    done = doctoring.run([environment.python, *doctoring.DOCTOR, "--json", "--offline"])
    # What Python prints itself, before the doctor begins.
    assert "no_such_module" in done.stderr
    report = doctoring.report_of(done)
    assert report.state("hook") == "problem"
    assert "the hook fails at start-up" in report.line("hook")


def test_below_run_the_hook_runs_without_a_start_up_file(bare: str, target: Path) -> None:
    arguments = [bare, "-m", "kruise_autopatch", "run", "--", bare, *doctoring.DOCTOR]
    done = doctoring.run([*arguments, "--json", "--offline"], {"PYTHONPATH": str(target)})
    report = doctoring.report_of(done)
    assert report.line("hook").startswith("the hook runs, by PYTHONPATH, as kruise-autopatch run")
    assert report.state(START_UP_FILE) == "note"


# --- the SDK -----------------------------------------------------------------------------------


def test_the_sdk_that_is_installed_and_its_patch_points() -> None:
    report = examine({"E2B_DOMAIN": "kruise.test"}, "--offline")
    assert report.state("sdk:e2b") == "ok"
    details = report.findings["sdk:e2b"]["details"]
    assert "e2b.connection_config:ConnectionConfig.get_host: applied" in details
    assert f"{sum(': applied' in line for line in details)} patch points" in report.line("sdk:e2b")


def test_no_sdk(bare: str, target: Path) -> None:
    variables = {"PYTHONPATH": str(target), "E2B_DOMAIN": "kruise.test"}
    report = examine(variables, "--offline", python=bare, flags=["-s"])
    assert report.state("sdk:e2b") == "problem"
    assert "not installed for this interpreter" in report.line("sdk:e2b")


def test_an_sdk_that_is_too_old(tmp_path: Path) -> None:
    report = examine(sdks.other_version(tmp_path, "2.7.3"), "--offline")
    assert report.state("sdk:e2b") == "problem"
    assert "e2b 2.7.3 is too old" in report.line("sdk:e2b")


def test_an_sdk_that_is_newer_than_what_was_proved(tmp_path: Path) -> None:
    report = examine(sdks.other_version(tmp_path, "99.1.0"), "--offline")
    assert report.state("sdk:e2b") == "note"
    assert "e2b 99.1.0: " in report.line("sdk:e2b")
    assert f"{NEWEST_PROVED['e2b']} is the newest that is proved" in report.line("sdk:e2b")


@pytest.mark.parametrize("name", ["e2b.py", "e2b_desktop/__init__.py"])
def test_a_file_that_hides_the_sdk(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    done = doctoring.run(
        [sys.executable, *doctoring.DOCTOR, "--json", "--offline"], cwd=str(tmp_path)
    )
    report = doctoring.report_of(done)
    check = f"sdk:{name.partition('/')[0].partition('.')[0]}:namesake"
    assert report.state(check) == "note"
    assert f"{path} hides the SDK" in report.line(check)


def test_without_wrapt_the_advice_is_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "wrapt.py").write_text("raise ImportError('broken on purpose')")
    report = examine({"PYTHONPATH": str(tmp_path)}, "--offline")
    assert report.state("sdk") == "problem"
    assert "needs wrapt" in report.findings["sdk"]["text"]
    assert report.findings["sdk"]["next"].startswith("run pip install --force-reinstall")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('broken on purpose')", "RuntimeError: broken on purpose"),
        ("print('{}'); import os; os._exit(3)", "could not be examined"),
        ("import sys; sys.exit('gone')", "gone"),
        ("ConnectionConfig = None", "'e2b' is not a package"),
    ],
)
def test_a_broken_sdk_does_not_break_the_doctor(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "e2b.py").write_text(source)
    report = examine({"PYTHONPATH": str(tmp_path), "E2B_DOMAIN": "kruise.test"}, "--offline")
    check = "sdk:e2b" if "sdk:e2b" in report.findings else "sdk"
    assert report.state(check) == "problem"
    assert reason in report.line(check)


def test_the_urls_before_and_after() -> None:
    report = examine({"E2B_DOMAIN": "kruise.test", "KRUISE_E2B_HTTPS": "0"}, "--offline")
    assert report.findings["url:api"]["text"] == (
        "the API: http://kruise.test/kruise/api (natively https://api.kruise.test)"
    )
    assert report.findings["url:sandbox"]["text"].startswith(
        "files and commands: http://kruise.test/kruise/SANDBOX/49983 (natively https://49983-"
    )
    assert "kruise.test/kruise/SANDBOX/3000" in report.line("url:host")


def test_at_start_up_the_command_line_is_not_imported() -> None:
    code = (
        "import sys, e2b, kruise_autopatch; kruise_autopatch.status()\n"
        "result = [name for name in sys.modules if name.startswith('kruise_autopatch.cli')]"
    )
    on = {"KRUISE_E2B_PATCH": "1", "E2B_DOMAIN": "kruise.test"}
    assert fresh.value(code, on) == []


# --- copies of this package ----------------------------------------------------------------------


def test_the_release_that_runs_is_named() -> None:
    finding = examine({}, "--offline").findings["site-packages"]
    assert finding["text"] == f"kruise-autopatch {OURS} is installed in {SITE_PACKAGES}"
    assert finding["details"] == [f"kruise-autopatch {OURS}: {SITE_PACKAGES}"]


def test_each_other_copy_is_named_with_its_release(target: Path, tmp_path: Path) -> None:
    shutil.copytree(target / "kruise_autopatch", tmp_path / "kruise_autopatch")
    (tmp_path / "kruise_autopatch" / "_version.py").write_text('__version__ = "0.0.9"\n')
    # The first on the path is the one that is imported.
    report = examine({"PYTHONPATH": str(tmp_path)}, "--offline")
    assert f"kruise-autopatch 0.0.9 is in {tmp_path}" in report.line("site-packages")
    hidden = report.findings["site-packages:other"]
    assert (hidden["code"], hidden["state"]) == ("package-twice", "note")
    assert hidden["details"] == [f"kruise-autopatch {OURS}: {SITE_PACKAGES}"]


@pytest.mark.parametrize(
    ("source", "release"),
    [('"""Doc."""\n\n__version__ = "0.0.8"\n', "0.0.8"), ("", "(release unknown)")],
)
def test_a_copy_without_metadata_is_named_all_the_same(
    source: str, release: str, target: Path, tmp_path: Path
) -> None:
    package = tmp_path / "kruise_autopatch"
    package.mkdir()
    for name in ("__init__.py", "_version.py"):
        (package / name).write_text(source)
    # Behind the one that is imported; before that of the environment.
    path = os.pathsep.join([str(target), str(tmp_path)])
    done = doctoring.run(
        [sys.executable, *doctoring.DOCTOR, "--json", "--offline"], {"PYTHONPATH": path}
    )
    assert f"kruise-autopatch {release}: {tmp_path}" in done.stdout


# Where the package lies, below a directory of the test; whether that is searched for start-up
# files, and has ours; what PYTHONPATH is; and the reason that is given.
PLACES = [
    ("site-packages", True, False, "", "hook-no-file"),
    ("site-packages", True, True, "", "hook-passed-over"),
    ("users", False, True, "", "hook-user-site-hidden"),
    ("target", False, True, "target", "hook-on-pythonpath"),
    ("site-packages", False, True, "", "hook-other-environment"),
    ("somewhere", False, False, "elsewhere", "hook-not-site-packages"),
]


@pytest.mark.parametrize(("place", "searched", "has_file", "path", "reason"), PLACES)
def test_why_the_hook_does_not_run(
    place: str,
    searched: bool,
    has_file: bool,
    path: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = tmp_path / place
    root.mkdir()
    if has_file:
        shutil.copy(SITE_PACKAGES / START_UP_FILE, root)
    monkeypatch.setattr(start_up, "package_root", lambda: str(root))
    monkeypatch.setattr(start_up, "site_directories", lambda: [str(root)] if searched else [])
    monkeypatch.setattr(start_up, "ask", lambda code, environment: (False, ""))
    monkeypatch.setattr(site, "getusersitepackages", lambda: str(tmp_path / "users"))
    variables = {"PYTHONPATH": str(tmp_path / path)} if path else {}
    found = {finding.check: finding.code for finding in start_up.check(variables)}
    assert found["hook"] == reason
    processed = "start-up-file-intact" if searched else "start-up-file-elsewhere"
    assert found[START_UP_FILE] == (processed if has_file else "start-up-file-missing")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((True, ""), "hook-runs"),
        ((False, "Traceback\nImportError: no"), "hook-fails"),
        (ChildFailed("exit status 1"), "interpreter-fails"),
    ],
)
def test_what_another_process_says_of_the_hook(
    answer: tuple[bool, str] | ChildFailed, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(code: str, environment: object) -> tuple[bool, str]:
        if isinstance(answer, ChildFailed):
            raise answer
        return answer

    monkeypatch.setattr(start_up, "ask", ask)
    codes = [finding.code for finding in start_up.check({"VIRTUAL_ENV": "/elsewhere"})]
    assert codes[-1] == reason
    assert "other-environment-active" in codes
