"""Environment variables: one table, one precedence, and errors that say what to write."""

from __future__ import annotations

import copy
import pickle

import pytest

from kruise_autopatch import ConfigurationError, settings
from kruise_autopatch.settings import Settings

SWITCHES = (
    "KRUISE_E2B_PATCH",
    "KRUISE_E2B_HTTPS",
    "KRUISE_E2B_STRICT",
    "KRUISE_E2B_TRAFFIC_TOKEN",
)


def _read(name: str, text: str) -> bool:
    environment = {name: text}
    if name == "KRUISE_E2B_PATCH":
        return settings.is_enabled(environment)
    chosen = settings.from_environment(environment)
    return {
        "KRUISE_E2B_HTTPS": chosen.https,
        "KRUISE_E2B_STRICT": chosen.strict,
        "KRUISE_E2B_TRAFFIC_TOKEN": chosen.traffic_token,
    }[name]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["1", "true", "True", "YES", "on", " 1 "])
def test_a_switch_is_on(name: str, text: str) -> None:
    assert _read(name, text) is True


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["0", "false", "FALSE", "No", "off"])
def test_a_switch_is_off(name: str, text: str) -> None:
    assert _read(name, text) is False


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("text", ["2", "enabled", "tru", "-1", "ja"])
def test_any_other_value_names_variable_value_and_choices(name: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        _read(name, text)
    for part in (name, repr(text), "1, true, yes, on", "0, false, no, off"):
        assert part in str(refusal.value)


def test_empty_means_unset() -> None:
    empty = {variable.name: "" for variable in settings.VARIABLES}
    assert settings.from_environment(empty) == settings.from_environment({}) == Settings()
    assert settings.is_enabled(empty) is settings.is_enabled({}) is False


def test_http_is_the_scheme_when_https_is_off() -> None:
    assert Settings(https=False).scheme == "http"
    assert Settings(https=True).scheme == "https"


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("server", "server"), ("Server", "server"), ("gateway.example.com:80",) * 2, ("", None)],
)
def test_the_sandbox_domain_is_a_host_or_the_servers(text: str, meaning: str | None) -> None:
    chosen = settings.from_environment({"KRUISE_E2B_SANDBOX_DOMAIN": text})
    assert chosen.sandbox_domain == meaning


@pytest.mark.parametrize(
    ("text", "reason"), [("https://gateway", "has a scheme"), ("e2b.app", "public cloud")]
)
def test_a_bad_sandbox_domain_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"KRUISE_E2B_SANDBOX_DOMAIN='{text}'.*{reason}"):
        settings.from_environment({"KRUISE_E2B_SANDBOX_DOMAIN": text})


def test_the_protocol_and_what_contradicts_it_are_found_together() -> None:
    native = {"KRUISE_E2B_PROTOCOL": " NATIVE", "KRUISE_E2B_SANDBOX_DOMAIN": "server"}
    assert settings.from_environment(native).protocol == "native"
    for other in ({"KRUISE_E2B_HTTPS": "0"}, {"KRUISE_E2B_SANDBOX_DOMAIN": "gateway.test"}):
        with pytest.raises(ConfigurationError, match="but native URLs"):
            settings.from_environment({**native, **other})
        settings.from_environment({**native, **other, "KRUISE_E2B_PROTOCOL": ""})


def test_a_call_does_not_read_the_variables_that_it_has_arguments_for() -> None:
    environment = {"KRUISE_E2B_PATCH": "nonsense", "KRUISE_E2B_HTTPS": "nonsense"}
    chosen = settings.for_call(environment, https=False, validate_key=True)
    assert chosen == Settings(https=False, validate_key=True)


@pytest.mark.parametrize("https", [True, False])
@pytest.mark.parametrize("validate_key", [True, False])
@pytest.mark.parametrize("protocol", [None, "private", " Private "])
def test_a_call_has_the_last_word(https: bool, validate_key: bool, protocol: str | None) -> None:
    environment = {
        "KRUISE_E2B_HTTPS": "0" if https else "1",
        "KRUISE_E2B_SANDBOX_DOMAIN": "gateway.test",
    }
    chosen = settings.for_call(
        environment, https=https, validate_key=validate_key, protocol=protocol
    )
    assert chosen == Settings(https=https, validate_key=validate_key, sandbox_domain="gateway.test")


def test_a_call_chooses_the_protocol_over_the_variable() -> None:
    environment = {"KRUISE_E2B_PROTOCOL": "private"}
    chosen = settings.for_call(environment, https=True, validate_key=False, protocol="native")
    assert chosen == Settings(protocol="native", validate_key=False)
    environment = {"KRUISE_E2B_PROTOCOL": "nonsense"}
    chosen = settings.for_call(environment, https=True, validate_key=True, protocol="native")
    assert chosen == Settings(protocol="native", validate_key=True)


@pytest.mark.parametrize(
    ("text", "domains"),
    [
        ("", ()),
        (" , ", ()),
        ("a.test", ("a.test",)),
        ("a.test, b.test:80 ,", ("a.test", "b.test:80")),
    ],
)
def test_native_domains_have_commas_between_them(text: str, domains: tuple[str, ...]) -> None:
    chosen = settings.from_environment({"KRUISE_E2B_NATIVE_DOMAINS": text})
    assert chosen.native_domains == domains


def test_clients_of_e2bs_own_and_of_the_listed_domains_are_left_alone() -> None:
    chosen = Settings(native_domains=("a.test",))
    assert [chosen.leaves_alone(host) for host in ("x.a.test", "e2b.app", "b.test")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "level"),
    [("info", "info"), (" Debug", "debug"), ("DEBUG", "debug"), ("off", None), ("0", None)],
)
def test_the_log_has_two_levels(text: str, level: str | None) -> None:
    assert settings.from_environment({"KRUISE_E2B_LOG": text}).log == level


class _Pair(settings.Record):
    __slots__ = ("first", "second")

    def __init__(self, first: object, second: object) -> None:
        self.first = first
        self.second = second


class _OtherPair(_Pair):
    # Not what it inherits: only its kind is to be another one.
    __slots__ = ("first", "second")


def test_a_record_does_not_change() -> None:
    pair = _Pair(None, "b")
    for name in ("first", "second"):
        with pytest.raises(AttributeError, match=f"^{name} of a _Pair does not change$"):
            setattr(pair, name, "c")
    assert (pair.first, pair.second) == (None, "b")


def test_records_are_equal_if_their_kind_and_all_fields_are() -> None:
    assert _Pair(1, "b") == _Pair(1, "b")
    assert hash(_Pair(1, "b")) == hash(_Pair(1, "b"))
    others = (_Pair(2, "b"), _Pair(1, "c"), _OtherPair(1, "b"), (1, "b"), None)
    assert [other for other in others if _Pair(1, "b") == other] == []


def test_a_record_shows_its_fields() -> None:
    assert repr(_Pair(1, "b")) == "_Pair(first=1, second='b')"


def test_a_record_can_be_copied_and_pickled() -> None:
    original = Settings(https=False, native_domains=("a.test",))
    copies = (copy.copy(original), copy.deepcopy(original), pickle.loads(pickle.dumps(original)))
    assert copies == (original,) * 3
