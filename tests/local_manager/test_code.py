"""Port 49999: code in real kernels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kruise_autopatch_local import LocalManager

from .clients import Sandbox, bound


def test_the_lines_of_an_execution(sandbox: Sandbox) -> None:
    lines = sandbox.run_code(
        "import sys; sys.stdout.write('out\\n'); sys.stderr.write('err\\n'); 'text'"
    )
    by_type = {line["type"]: line for line in lines}
    assert by_type["number_of_executions"]["execution_count"] == 1
    assert by_type["stdout"]["text"] == "out\n"
    assert by_type["stderr"]["text"] == "err\n"
    assert datetime.fromisoformat(by_type["stdout"]["timestamp"]).tzinfo is not None
    assert by_type["result"] == {
        "type": "result",
        "text": "text",
        "extra": {},
        "is_main_result": True,
    }
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
    # As if the kernel had no time to send what it says first: it is counted all the same, once.
    sandbox.run_code("get_ipython().kernel._publish_execute_input = lambda *a, **k: None")
    died = sandbox.run_code("import os; os._exit(1)")
    (counted,) = [line for line in died if line["type"] == "number_of_executions"]
    assert counted["execution_count"] == 3
    assert died[-2]["name"] == "ContextRestarting"
    again = sandbox.run_code("1 + 1")
    assert (again[0]["execution_count"], again[1]["text"]) == (1, "2")


@pytest.mark.parametrize(
    ("code", "text"),
    [("'s'", "s"), ('"it\'s"', "it's"), ("'a\\nb'", "a\\nb"), ("''", ""), ("'\"'", '"')],
)
def test_strings_are_shown_without_their_quotes(sandbox: Sandbox, code: str, text: str) -> None:
    assert sandbox.run_code(code)[1]["text"] == text


def test_dictionaries_and_lists_have_json(sandbox: Sandbox) -> None:
    lines = sandbox.run_code("display({'a': [1]}); display({'a': object()}); [float('nan')]")
    assert [line.get("json") for line in lines[1:-1]] == [{"a": [1]}, None, [None]]


def test_environment_variables_of_one_execution(sandbox: Sandbox) -> None:
    code = "import os; str(os.environ.get('MINE'))"
    assert sandbox.run_code(code, env_vars={"MINE": "x"})[1]["text"] == "x"
    assert sandbox.run_code(code)[1]["text"] == "None"


def test_contexts(sandbox: Sandbox) -> None:
    contexts = f"{sandbox.url(49999)}/contexts"
    sandbox.run_code("x = 'default'")
    made = sandbox.client.post(contexts, json={"language": "python", "cwd": "/tmp"}).json()
    assert made == {"id": made["id"], "language": "python", "cwd": "/tmp"}
    listed = sandbox.client.get(contexts).json()
    assert [each["cwd"] for each in listed if each["language"] == "python"][1:] == ["/tmp"]
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
    # It is there from the start.
    context = sandbox.client.get(contexts).json()[0]
    assert context["language"] == "python"
    code = "print('begun', flush=True)\nwhile True: pass"
    with sandbox.client.stream(
        "POST", f"{sandbox.url(49999)}/execute", json={"code": code}
    ) as response:
        lines = response.iter_lines()
        while "begun" not in next(lines):
            pass
        assert sandbox.client.post(f"{contexts}/{context['id']}/restart").is_success
        assert "ContextRestarting" in next(line for line in lines if "keepalive" not in line)
    assert sandbox.run_code("'new'", context_id=context["id"])[1]["text"] == "new"


def test_a_language_without_a_kernel(sandbox: Sandbox) -> None:
    body = {"code": "1", "language": "cobol"}
    response = sandbox.client.post(f"{sandbox.url(49999)}/execute", json=body)
    assert response.status_code == 500
    assert "The 'cobol' kernel is not available" in response.text
    assert sandbox.run_code("1 + 1", language="PYTHON ")[1]["text"] == "2"


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        ({}, ["body", "code"], "missing"),
        ({"code": 1}, ["body", "code"], "string_type"),
        ({"code": "1", "language": 5}, ["body", "language"], "string_type"),
        ({"code": "1", "env_vars": {"A": 1}}, ["body", "env_vars", "A"], "string_type"),
        ({"code": "1", "env_vars": ["a"]}, ["body", "env_vars"], "dict_type"),
        ([], ["body"], "model_attributes_type"),
    ],
)
def test_bad_bodies_are_refused_as_by_fastapi(
    sandbox: Sandbox, body: Any, place: list[str], kind: str
) -> None:
    response = sandbox.client.post(f"{sandbox.url(49999)}/execute", json=body)
    assert response.status_code == 422
    (detail,) = response.json()["detail"]
    assert (detail["loc"], detail["type"]) == (place, kind)


def test_only_json_is_run(sandbox: Sandbox) -> None:
    """A page of another site cannot send that without being asked first."""
    response = sandbox.client.post(
        f"{sandbox.url(49999)}/execute",
        content=b'{"code": "1"}',
        headers={"Content-Type": "text/plain"},
    )
    assert response.status_code == 422


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
