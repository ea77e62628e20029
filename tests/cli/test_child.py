"""A process that is asked something and does not answer says why."""

from __future__ import annotations

import os
import sys

import pytest

from kruise_autopatch.cli.doctor import child


def test_its_last_line_is_the_answer() -> None:
    code = "import sys\nprint('by the way')\nprint('[1, 2]')\nprint('a warning', file=sys.stderr)"
    assert child.ask(code, os.environ) == ([1, 2], "a warning\n")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('no')", "RuntimeError: no"),
        ("import os; os._exit(3)", "exit status 3"),
        ("print('no JSON')", "exit status 0"),
    ],
)
def test_without_an_answer_its_last_complaint_is_the_reason(code: str, reason: str) -> None:
    with pytest.raises(child.ChildFailed) as failure:
        child.ask(code, os.environ)
    assert str(failure.value) == reason


def test_an_interpreter_that_is_gone_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", os.path.join(os.sep, "no", "such", "python"))
    with pytest.raises(child.ChildFailed, match="No such file"):
        child.ask("print(1)", os.environ)
