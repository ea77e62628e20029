"""Errors keep their parts: what was wrong, and what to do."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from kruise_autopatch import errors, protocol, settings

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.KruiseAutopatchError)
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("advice", "text"),
    [
        (None, "x is wrong."),
        ("write y.", "x is wrong; write y."),
        ("Write y. Or z.", "x is wrong. Write y. Or z."),
    ],
)
def test_an_error_reads_as_a_sentence_and_keeps_its_parts(
    kind: type[errors.KruiseAutopatchError], advice: str | None, text: str
) -> None:
    error = kind("x is wrong", advice)
    for each in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(each) is kind
        assert (each.problem, each.advice, str(each), each.args) == (
            "x is wrong",
            advice,
            text,
            (text,),
        )


def test_the_name_of_a_module_survives() -> None:
    error = pickle.loads(pickle.dumps(errors.CannotPatchError("x", name="e2b")))
    assert (error.name, error.msg) == ("e2b", "x.")


@pytest.mark.parametrize("name", [variable.name for variable in settings.VARIABLES])
def test_every_setting_that_is_refused_says_what_to_write(name: str) -> None:
    read = settings.is_enabled if name == settings.PATCH.name else settings.from_environment
    with pytest.raises(errors.ConfigurationError) as caught:
        read({name: "a b"})
    assert caught.value.problem.startswith(f"{name}='a b' ")
    assert caught.value.advice is not None
    assert caught.value.advice.startswith("write ")


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_is_refused_says_what_to_write(port: int) -> None:
    with pytest.raises(protocol.InvalidSandbox) as caught:
        protocol.sandbox_host("kruise.test", "ns--name", port)
    assert str(caught.value) == f"{caught.value.problem}; {caught.value.advice}"
