"""Shells, test runners, debuggers and measuring tools."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import fresh
from support.programs import ON, PRIVATE, URL, output, script

pytest.importorskip("ddtrace", reason="only in the tox environment `starts`")

PROGRAM = f"print({URL})\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_ipython_is_patched(program: Path) -> None:
    quiet = {"IPYTHONDIR": str(program.parent)}
    assert PRIVATE in output("-m", "IPython", "-c", PROGRAM, variables=quiet)
    assert PRIVATE in output("-m", "IPython", program, variables=quiet)


def test_a_jupyter_kernel_is_patched() -> None:
    # Not above: on Python 3.9, where this module is only skipped, it warns when it is imported.
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=fresh.environment(ON))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=90)
        printed: list[str] = []
        client.execute_interactive(
            PROGRAM,
            timeout=90,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "".join(printed).strip() == PRIVATE


def test_the_workers_of_pytest_xdist_are_patched(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, pytest\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_it(number):\n"
        "    assert os.environ['PYTEST_XDIST_WORKER']\n"
        f"    assert {URL} == {PRIVATE!r}\n"
    )
    lines = output("-m", "pytest", "-q", "-n", "2", "--rootdir", tmp_path, tmp_path)
    assert lines[-1].startswith("4 passed")


REWRITING = {
    "pytest": "import pytest; pytest.register_assert_rewrite('e2b')",
    "typeguard": "import typeguard; typeguard.install_import_hook(['e2b'])",
}


@pytest.mark.parametrize("rewriter", REWRITING)
def test_an_sdk_that_is_rewritten_as_it_is_imported_is_patched(
    rewriter: str, tmp_path: Path
) -> None:
    # Their finders come before ours, and claim all of e2b.
    (tmp_path / "conftest.py").write_text(REWRITING[rewriter])
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    assert {URL} == {PRIVATE!r}\n")
    lines = output("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path)
    assert lines[-1].startswith("1 passed")


def test_a_program_under_debugpy_is_patched(program: Path) -> None:
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    assert PRIVATE in output("-m", "debugpy", "--listen", "127.0.0.1:0", program, variables=quiet)


def test_a_program_and_its_subprocess_are_patched_while_coverage_is_measured(
    tmp_path: Path, program: Path
) -> None:
    settings = tmp_path / "coverage.ini"
    settings.write_text("[run]\npatch = subprocess\nparallel = true\n")
    parent = tmp_path / "parent.py"
    parent.write_text(
        f"import subprocess, sys\n{PROGRAM}sys.stdout.flush()\n"
        f"subprocess.run([sys.executable, {str(program)!r}], check=True)\n"
    )
    data = {"COVERAGE_FILE": str(tmp_path / "data")}
    command = ("-m", "coverage", "run", "--rcfile", settings, parent)
    assert output(*command, variables=data) == [PRIVATE, PRIVATE]
    # The subprocess was measured, so coverage's own start-up file was run beside ours.
    assert len(list(tmp_path.glob("data.*"))) == 2


TRACERS = {
    "opentelemetry-instrument": (
        script("opentelemetry-instrument"),
        "--traces_exporter=none",
        "--metrics_exporter=none",
        "--logs_exporter=none",
    ),
    "ddtrace-run": (script("ddtrace-run"),),
}
QUIET = {
    "DD_TRACE_ENABLED": "false",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_program_that_a_tracer_starts_is_patched(tracer: str, program: Path) -> None:
    command = (*TRACERS[tracer], sys.executable, str(program))
    assert output(*command, variables=QUIET) == [PRIVATE]


LATE = {
    "ddtrace": "import ddtrace.auto",
    "opentelemetry": (
        "from opentelemetry.instrumentation import auto_instrumentation; "
        "auto_instrumentation.initialize()"
    ),
    "truststore": "import truststore; truststore.inject_into_ssl()",
}


@pytest.mark.parametrize("order", ["before e2b", "after e2b"])
@pytest.mark.parametrize("tracer", LATE)
def test_a_program_that_calls_them_itself_is_patched(tracer: str, order: str) -> None:
    statements = [LATE[tracer], "import e2b"]
    if order == "after e2b":
        statements.reverse()
    exporters = {f"OTEL_{kind}_EXPORTER": "none" for kind in ("TRACES", "METRICS", "LOGS")}
    code = "\n".join([*statements, PROGRAM])
    assert output("-c", code, variables={**QUIET, **exporters}) == [PRIVATE]
