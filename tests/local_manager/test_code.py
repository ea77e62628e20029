"""Port 49999: code in real kernels."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_autopatch_local import LocalManager

from .clients import Sandbox, bound


def test_the_lines_of_an_execution(sandbox: Sandbox) -> None:
    lines = sandbox.run_code("import sys; print('out'); print('err', file=sys.stderr); 'text'")
    by_type = {line["type"]: line for line in lines}
    assert by_type["number_of_executions"]["execution_count"] == 1
    assert by_type["stdout"]["text"] == "out\n"
    assert by_type["stderr"]["text"] == "err\n"
    assert isinstance(by_type["stdout"]["timestamp"], int)
    assert by_type["result"] == {"type": "result", "text": "text", "is_main_result": True}
    assert lines[-1] == {"type": "end_of_execution"}


def test_every_representation_has_its_name(sandbox: Sandbox) -> None:
    mimes = {
        "text/plain": "text",
        "text/html": "html",
        "text/markdown": "markdown",
        "image/svg+xml": "svg",
        "image/png": "png",
        "image/jpeg": "jpeg",
        "application/pdf": "pdf",
        "text/latex": "latex",
        "application/javascript": "javascript",
    }
    data: dict[str, Any] = {
        **mimes,
        "application/json": {"a": 1},
        "e2b/data": {"b": 2},
        "other/type": "other",
    }
    lines = sandbox.run_code(f"display({data!r}, raw=True)")
    assert lines[1] == {
        "type": "result",
        "is_main_result": False,
        **{name: name for name in mimes.values()},
        "json": {"a": 1},
        "data": {"b": 2},
        "extra": {"other/type": "other"},
    }


def test_errors_and_dead_kernels(sandbox: Sandbox) -> None:
    error = sandbox.run_code("1/0")[1]
    assert (error["type"], error["name"]) == ("error", "ZeroDivisionError")
    assert "division by zero" in error["value"]
    assert "ZeroDivisionError" in error["traceback"]
    died = sandbox.run_code("import os; os._exit(1)")
    assert died[-2]["name"] == "UnexpectedEndOfExecution"
    assert sandbox.run_code("1 + 1")[1]["text"] == "2"


def test_environment_variables_of_one_execution(sandbox: Sandbox) -> None:
    code = "import os; print(os.environ.get('MINE'))"
    assert sandbox.run_code(code, env_vars={"MINE": "x"})[1]["text"] == "x\n"
    assert sandbox.run_code(code)[1]["text"] == "None\n"


def test_contexts(sandbox: Sandbox) -> None:
    contexts = f"{sandbox.url(49999)}/contexts"
    sandbox.run_code("x = 'default'")
    made = sandbox.client.post(contexts, json={"language": "python", "cwd": "/tmp"}).json()
    assert made == {"id": made["id"], "language": "python", "cwd": "/tmp"}
    assert len(sandbox.client.get(contexts).json()) == 2
    assert sandbox.run_code("x", context_id=made["id"])[1]["name"] == "NameError"
    sandbox.run_code("y = 1", context_id=made["id"])
    assert sandbox.client.post(f"{contexts}/{made['id']}/restart").is_success
    assert sandbox.run_code("y", context_id=made["id"])[1]["name"] == "NameError"
    assert sandbox.client.delete(f"{contexts}/{made['id']}").is_success
    assert sandbox.client.delete(f"{contexts}/{made['id']}").status_code == 404
    assert sandbox.run_code("x")[1]["text"] == "default"


def test_a_restart_ends_what_is_running(sandbox: Sandbox) -> None:
    contexts = f"{sandbox.url(49999)}/contexts"
    sandbox.run_code("1")
    (context,) = sandbox.client.get(contexts).json()
    code = "print('begun', flush=True)\nwhile True: pass"
    with sandbox.client.stream(
        "POST", f"{sandbox.url(49999)}/execute", json={"code": code}
    ) as response:
        lines = response.iter_lines()
        while "begun" not in next(lines):
            pass
        assert sandbox.client.post(f"{contexts}/{context['id']}/restart").is_success
        assert "UnexpectedEndOfExecution" in next(lines)
    assert sandbox.run_code("'new'", context_id=context["id"])[1]["text"] == "new"


def test_python_only(sandbox: Sandbox) -> None:
    body = {"code": "1", "language": "r"}
    response = sandbox.client.post(f"{sandbox.url(49999)}/execute", json=body)
    assert response.status_code == 400
    assert "Language 'r' is not available" in response.text


def test_the_sdk_runs_code(sandbox: Sandbox, manager: LocalManager) -> None:
    interpreter = pytest.importorskip("e2b_code_interpreter")
    from e2b import TimeoutException

    class Here(interpreter.Sandbox):  # type: ignore[name-defined, misc]
        @property
        def _jupyter_url(self) -> str:
            return sandbox.url(49999)

    sdk: Any = bound(Here, sandbox, manager)
    seen: list[str] = []
    execution = sdk.run_code(
        "print(1); 40 + 2", on_stdout=lambda message: seen.append(message.line)
    )
    assert (execution.text, execution.logs.stdout, seen) == ("42", ["1\n"], ["1\n"])
    assert sdk.run_code("1/0").error.name == "ZeroDivisionError"
    with pytest.raises(TimeoutException):
        sdk.run_code("while True: pass", timeout=1)
    # The execution that was given up does not hold up the next one.
    assert sdk.run_code("'next'").text == "next"
