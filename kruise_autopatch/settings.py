"""Environment variables → one immutable :class:`Settings`; the docs are checked against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kruise_autopatch.protocol as protocol
from kruise_autopatch import OFF
from kruise_autopatch.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # What the patches ask before they build a client, and for the class of a sandbox if it is one:
    # the settings may have changed since the last one.
    CurrentSettings = Callable[[type | None], "Settings"]

# As OFF, which start-up needs, too.
ON = ("1", "true", "yes", "on")


class Variable:
    """One environment variable that this package reads."""

    __slots__ = ("default", "meaning", "name", "values")

    def __init__(self, name: str, default: str, values: str, meaning: str) -> None:
        self.name = name
        self.default = default
        self.values = values
        self.meaning = meaning


PATCH = Variable("KRUISE_E2B_PATCH", "off", "1 or 0", "switches the private protocol on")
PROTOCOL = Variable(
    "KRUISE_E2B_PROTOCOL",
    "private",
    "private or native",
    "native leaves every URL as the SDK makes it, and patches only the rest",
)
HTTPS = Variable("KRUISE_E2B_HTTPS", "1", "1 or 0", "0 chooses http, 1 https")
SANDBOX_DOMAIN = Variable(
    "KRUISE_E2B_SANDBOX_DOMAIN",
    "the client's own domain",
    "a host, or server",
    "the host for sandbox traffic; server means the domain in the server's reply",
)
NATIVE_DOMAINS = Variable(
    "KRUISE_E2B_NATIVE_DOMAINS",
    "E2B's own alone",
    "hosts, with commas between",
    "clients with these domains are left as they are, as those of E2B's own are",
)
STRICT = Variable(
    "KRUISE_E2B_STRICT", "1", "1 or 0", "0 warns, instead of failing, about an unknown SDK"
)
TRAFFIC_TOKEN = Variable(
    "KRUISE_E2B_TRAFFIC_TOKEN", "1", "1 or 0", "0 leaves traffic access tokens to the SDK"
)

LOG = Variable(
    "KRUISE_E2B_LOG",
    "off",
    "info, debug or off",
    "writes to stderr what was patched, and with debug also where the URLs lead",
)

VARIABLES = (PATCH, PROTOCOL, HTTPS, SANDBOX_DOMAIN, NATIVE_DOMAINS, STRICT, TRAFFIC_TOKEN, LOG)

# The values of KRUISE_E2B_PROTOCOL.
PRIVATE, NATIVE = "private", "native"

# The value of KRUISE_E2B_SANDBOX_DOMAIN that means what the server's reply says.
FROM_SERVER = "server"


class Record:
    """A frozen record, compared by its fields, which are its ``__slots__``.

    Each ``NamedTuple`` would cost an import of the SDK as much as two modules more, and
    ``dataclasses`` as much as ten.
    """

    __slots__: tuple[str, ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            raise AttributeError(f"{name} of a {type(self).__name__} does not change")
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        # Asked for each client, of the one or two that a process has.
        return hash(type(self))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__slots__])


class Settings(Record):
    """What the user chose for this process."""

    __slots__ = (
        "https",
        "log",
        "native_domains",
        "protocol",
        "sandbox_domain",
        "strict",
        "traffic_token",
        "validate_key",
    )

    def __init__(
        self,
        *,
        https: bool = True,
        protocol: str = PRIVATE,
        sandbox_domain: str | None = None,
        native_domains: tuple[str, ...] = (),
        strict: bool = True,
        validate_key: bool = False,
        traffic_token: bool = True,
        log: str | None = None,
    ) -> None:
        """
        :param protocol: ``PRIVATE``, or ``NATIVE``
        :param sandbox_domain: a host; ``FROM_SERVER``; or ``None`` for the client's own domain
        :param native_domains: beside E2B's own, those whose clients are none of OpenKruise's
        :param validate_key: whether the SDK's own check of the API key's form stays in force
        :param traffic_token: whether traffic tokens are sent with every request, and renewed
        :param log: ``"info"`` or ``"debug"``; ``None`` is silent
        """
        self.https = https
        self.protocol = protocol
        self.sandbox_domain = sandbox_domain
        self.native_domains = native_domains
        self.strict = strict
        self.validate_key = validate_key
        self.traffic_token = traffic_token
        self.log = log

    @property
    def scheme(self) -> str:
        return "https" if self.https else "http"

    def leaves_alone(self, authority: str) -> bool:
        """Whether a client with this domain, or below it, is none of OpenKruise's."""
        return protocol.is_public(authority) or protocol.is_among(authority, self.native_domains)


def is_enabled(environment: Mapping[str, str]) -> bool:
    """Whether ``KRUISE_E2B_PATCH`` is on. Raises :class:`ConfigurationError`."""
    return _switch(environment, PATCH, default=False)


def from_environment(environment: Mapping[str, str], *, validate_key: bool = False) -> Settings:
    """Read every setting. Raises :class:`ConfigurationError` on the first bad value.

    :param validate_key: the one that no variable says
    """
    settings = Settings(
        https=_switch(environment, HTTPS, default=True),
        protocol=_protocol(environment.get(PROTOCOL.name, ""), PROTOCOL.name),
        sandbox_domain=_sandbox_domain(environment),
        native_domains=_native_domains(environment),
        strict=_switch(environment, STRICT, default=True),
        validate_key=validate_key,
        traffic_token=_switch(environment, TRAFFIC_TOKEN, default=True),
        log=_log_level(environment),
    )
    if settings.protocol == NATIVE:
        _check_native(settings)
    return settings


def for_call(
    environment: Mapping[str, str],
    *,
    https: bool,
    validate_key: bool,
    protocol: str | None = None,
) -> Settings:
    """The settings of a call of ``patch_e2b``: its arguments, and the variables it has none for.

    :param protocol: ``None`` leaves it to the variable
    """
    said = {**environment, HTTPS.name: "1" if https else "0"}
    if protocol is not None:
        said[PROTOCOL.name] = _protocol(protocol, "protocol")
    return from_environment(said, validate_key=validate_key)


def _check_native(settings: Settings) -> None:
    """Refuse what would change a URL that is to stay as the SDK makes it."""
    advice = f"leave that out, or choose {PROTOCOL.name}={PRIVATE}."
    if not settings.https:
        raise ConfigurationError(
            f"{HTTPS.name}=0, or https=False, chooses http, but native URLs are https, as the SDK"
            " makes them",
            advice,
        )
    if settings.sandbox_domain not in (None, FROM_SERVER):
        raise ConfigurationError(
            f"{SANDBOX_DOMAIN.name}={settings.sandbox_domain!r} chooses the host for sandbox"
            " traffic, but native URLs have the one in the server's reply, as the SDK makes them",
            advice,
        )


def checked_domain(text: str, source: str, what: str = "") -> str:
    """``text`` if it is an authority; else a :class:`ConfigurationError` that names ``source``.

    :param what: of what the source says, if it says more than the authority
    """
    try:
        return protocol.parse_authority(text)
    except protocol.InvalidDomain as reason:
        shown = repr(protocol.without_secrets(text))
        found = f"{source}: {what}{shown}" if what else f"{source}={shown}"
        raise ConfigurationError(f"{found} {reason.problem}", f"{reason.advice}.") from None


def _switch(environment: Mapping[str, str], variable: Variable, *, default: bool) -> bool:
    text = environment.get(variable.name, "")
    word = text.strip().lower()
    if not word:
        return default
    if word in ON:
        return True
    if word in OFF:
        return False
    raise ConfigurationError(
        f"{variable.name}={text!r} is not a switch",
        "write one of 1, true, yes, on to enable or 0, false, no, off to disable, or leave it"
        " unset.",
    )


def _protocol(text: str, source: str) -> str:
    word = text.strip().lower()
    if word in (PRIVATE, NATIVE):
        return word
    if not word:
        return PRIVATE
    raise ConfigurationError(
        f"{source}={text!r} is not a protocol", f"write {PRIVATE} or {NATIVE}, or leave it out."
    )


def _sandbox_domain(environment: Mapping[str, str]) -> str | None:
    text = environment.get(SANDBOX_DOMAIN.name, "")
    if not text or text.lower() == FROM_SERVER:
        return text.lower() or None
    domain = checked_domain(text, SANDBOX_DOMAIN.name)
    if protocol.is_public(domain):
        raise ConfigurationError(
            f"{SANDBOX_DOMAIN.name}={text!r} is E2B's public cloud, which does not speak the"
            " private protocol",
            "write the host of your sandbox-manager or gateway.",
        )
    return domain


def _native_domains(environment: Mapping[str, str]) -> tuple[str, ...]:
    listed = map(str.strip, environment.get(NATIVE_DOMAINS.name, "").split(","))
    return tuple(checked_domain(text, NATIVE_DOMAINS.name) for text in listed if text)


def _log_level(environment: Mapping[str, str]) -> str | None:
    text = environment.get(LOG.name, "")
    level = text.strip().lower()
    if level in ("info", "debug"):
        return level
    if level in OFF:
        return None
    raise ConfigurationError(
        f"{LOG.name}={text!r} is not a level", "write info or debug, or leave it unset."
    )
