"""Decide, when the SDK builds a client configuration, where its URLs lead.

Pure: what the user set explicitly comes in, a :class:`Route` or an error comes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import kruise_autopatch.protocol as protocol
from kruise_autopatch.errors import ConfigurationError, SandboxAddressError
from kruise_autopatch.settings import (
    FROM_SERVER,
    NATIVE,
    NATIVE_DOMAINS,
    SANDBOX_DOMAIN,
    Record,
    checked_domain,
)

if TYPE_CHECKING:
    from typing import Union

    from kruise_autopatch.settings import Settings

    # None: a client that is none of OpenKruise's.
    AnyRoute = Union["Route", "NativeRoute", None]

# The problem, and the advice.
NO_DOMAIN = (
    "kruise-autopatch is on (KRUISE_E2B_PATCH or patch_e2b), but no domain is set; nothing was"
    " sent",
    "Set E2B_DOMAIN to the host and port of your sandbox-manager, for example"
    " agents-sandbox-manager.sandbox-system.svc.cluster.local:7788, or pass domain=.",
)

_ONLY_THE_API = (
    "An API URL that does not end in /kruise/api says nothing about the sandboxes: they need a"
    " domain or a sandbox_url."
)


class Explicit:
    """What the user said, by argument or by variable. ``None`` means nothing was said."""

    __slots__ = (
        "api_url",
        "api_url_source",
        "debug",
        "domain",
        "domain_source",
        "otherwise",
        "sandbox_url",
    )

    def __init__(
        self,
        domain: str | None = None,
        domain_source: str = "E2B_DOMAIN",
        api_url: str | None = None,
        sandbox_url: str | None = None,
        debug: bool = False,
        api_url_source: str = "E2B_API_URL",
        otherwise: str | None = None,
    ) -> None:
        """
        :param domain_source: how the user gave the domain, for error messages
        :param api_url_source: the same of the API URL
        :param otherwise: what ``E2B_DOMAIN`` says, where the domain was given as an argument
        """
        self.domain = domain
        self.domain_source = domain_source
        self.api_url = api_url
        self.sandbox_url = sandbox_url
        self.debug = debug
        self.api_url_source = api_url_source
        self.otherwise = otherwise

    def about_the_api(self, settings: Settings) -> Explicit:
        """The same without a ``domain=`` that names the host for sandbox traffic.

        That is what ``sandbox.sandbox_domain`` says, and programs keep it to come back to a
        sandbox. Of the API it says nothing. Raises :class:`ConfigurationError` if nothing else
        does.
        """
        if self.debug or not self._names_the_sandboxes(settings):
            return self
        domain = self.otherwise
        if not domain or settings.leaves_alone(domain):
            domain = None
            if not self.api_url:
                raise ConfigurationError(
                    f"domain={self.domain!r} is the host for sandbox traffic"
                    f" ({SANDBOX_DOMAIN.name}), and none is set for the API; nothing was sent",
                    "Set E2B_DOMAIN to the API's, or pass that as domain=. If one host is both,"
                    f" unset {SANDBOX_DOMAIN.name}.",
                )
            if protocol.parse_api_url(self.api_url) is None:
                return self
        return Explicit(
            domain=domain,
            api_url=self.api_url,
            sandbox_url=self.sandbox_url,
            api_url_source=self.api_url_source,
        )

    def _names_the_sandboxes(self, settings: Settings) -> bool:
        sandboxes = settings.sandbox_domain
        if self.domain_source != "domain" or not self.domain or sandboxes in (None, FROM_SERVER):
            return False
        try:
            return protocol.same(settings.scheme, self.domain, sandboxes)
        except protocol.InvalidDomain:
            return False


class Route(Record):
    """The way to one private back end; kept on the SDK's configuration object."""

    __slots__ = ("authority", "sandbox_domain", "scheme")

    def __init__(
        self, scheme: str, authority: str | None, sandbox_domain: str | None = None
    ) -> None:
        """
        :param authority: ``None`` if every URL was given explicitly, and so no domain was needed
        :param sandbox_domain: as in ``Settings``
        """
        self.scheme = scheme
        self.authority = authority
        self.sandbox_domain = sandbox_domain

    @property
    def api_url(self) -> str | None:
        return protocol.api_url(self.scheme, self.authority) if self.authority else None

    def sandbox_authority(self, server_domain: str | None) -> str:
        """The host for sandbox traffic, given the ``domain`` of the server's reply.

        Raises :class:`ConfigurationError` if there is none, or the server names no usable one.
        """
        if self.sandbox_domain == FROM_SERVER and server_domain:
            return _server_domain(server_domain)
        if self.sandbox_domain and self.sandbox_domain != FROM_SERVER:
            return self.sandbox_domain
        if self.authority is None:
            raise ConfigurationError(*NO_DOMAIN)
        return self.authority

    def sandbox_host(self, sandbox_id: str, server_domain: str | None, port: int) -> str:
        """See :func:`protocol.sandbox_host`. Raises :class:`SandboxAddressError`."""
        authority = self.sandbox_authority(server_domain)
        try:
            return protocol.sandbox_host(authority, sandbox_id, port)
        except protocol.InvalidSandbox as reason:
            raise SandboxAddressError(reason.problem, f"{reason.advice}.") from None

    def sandbox_url(self, sandbox_id: str, server_domain: str | None, port: int) -> str:
        """See :func:`protocol.sandbox_url`."""
        return f"{self.scheme}://{self.sandbox_host(sandbox_id, server_domain, port)}"


class NativeRoute(Record):
    """The way to an OpenKruise back end by the SDK's own URLs, to the letter.

    Only what is sent there differs: routes that the server has, keys and tokens that it takes.
    """

    __slots__ = ("asks",)

    def __init__(self, *, asks: bool = True) -> None:
        """
        :param asks: whether the API is OpenKruise's, and not somebody else's that was given
            explicitly
        """
        self.asks = asks


def choose(settings: Settings, explicit: Explicit) -> AnyRoute:
    """The route of a configuration; ``None`` leaves it wholly native.

    So are debug mode, E2B's own public domains, and those that the user has listed. Raises
    :class:`ConfigurationError` if the domain is malformed, or missing where a URL would have to be
    derived from it.
    """
    if explicit.debug:
        return None
    if settings.protocol == NATIVE:
        return _choose_native(settings, explicit)
    # The SDK passes a configuration's computed api_url on as an explicit one, so a private
    # one may be our own: take its word for the scheme.
    private = protocol.parse_api_url(explicit.api_url) if explicit.api_url else None
    if explicit.domain:
        authority = checked_domain(explicit.domain, explicit.domain_source)
        if settings.leaves_alone(authority):
            return None
        scheme = settings.scheme
        if private and _names(private, authority):
            scheme = private[0]
        return Route(scheme, authority, settings.sandbox_domain)
    if private:
        scheme, authority = private
        checked_domain(authority, explicit.api_url_source, "its host ")
        if settings.leaves_alone(authority):
            return None
        return Route(scheme, authority, settings.sandbox_domain)
    if explicit.api_url and explicit.sandbox_url:
        return Route(settings.scheme, None, settings.sandbox_domain)
    if explicit.api_url:
        problem, advice = NO_DOMAIN
        raise ConfigurationError(problem, f"{advice} {_ONLY_THE_API}")
    raise ConfigurationError(*NO_DOMAIN)


def _choose_native(settings: Settings, explicit: Explicit) -> AnyRoute:
    api = protocol.authority_of(explicit.api_url) if explicit.api_url else ""
    route = NativeRoute(asks=not settings.leaves_alone(api))
    if explicit.domain:
        authority = checked_domain(explicit.domain, explicit.domain_source)
        return None if settings.leaves_alone(authority) else route
    if explicit.api_url and explicit.sandbox_url:
        return route
    # The SDK's own default is E2B's cloud.
    problem, _ = NO_DOMAIN
    advice = "Set E2B_DOMAIN to the DOMAIN of your api.DOMAIN and *.DOMAIN, or pass domain=."
    raise ConfigurationError(problem, advice)


def _names(private: tuple[str, str], authority: str) -> bool:
    """Whether a private API URL is one of this host."""
    scheme, host = private
    try:
        return protocol.same(scheme, host.rpartition("@")[2], authority)
    except protocol.InvalidDomain:
        return False


def reason(route: AnyRoute, explicit: Explicit) -> str:
    """Why :func:`choose` has chosen this route, in a few words."""
    if explicit.debug:
        return "native: debug"
    if route is None:
        source, authority = explicit.domain_source, explicit.domain
        if authority is None:
            source, authority = (
                explicit.api_url_source,
                protocol.authority_of(explicit.api_url or ""),
            )
        if protocol.is_public(authority):
            return f"native: {source} is E2B's own cloud"
        return f"native: {source} is among {NATIVE_DOMAINS.name}"
    if explicit.api_url:
        return "an api_url was given"
    if isinstance(route, NativeRoute):
        return f"native protocol: {explicit.domain_source}"
    return f"private: {explicit.domain_source}"


def _server_domain(text: str) -> str:
    source = f"{SANDBOX_DOMAIN.name}={FROM_SERVER}: the server's reply domain"
    authority = checked_domain(text, source)
    if protocol.is_public(authority):
        raise ConfigurationError(
            f"{source}={text!r} is E2B's public cloud, so no traffic was sent to it; the sandbox"
            " ends with its timeout",
            f"Unset {SANDBOX_DOMAIN.name} to use the client's own domain.",
        )
    return authority
