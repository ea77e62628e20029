"""Everything that the doctor can say: a kind of finding for each code.

A code never changes its meaning, and is never used again for another one: programs read it.
``docs/command-line.md`` lists them, ``docs/troubleshooting.md`` explains each note and problem.
What stands in braces is filled in when it is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

State = Literal["ok", "note", "problem"]


class Kind(NamedTuple):
    """What is found in one case, and what to do about it."""

    state: State
    text: str
    advice: str | None = None


# How a connection fails, to a server or to a proxy.
REFUSES = "refuses connections: nothing listens there"
UNREACHABLE = "cannot be reached: {reason}"

_REINSTALL = "run pip install --force-reinstall kruise-autopatch."
_OTHER_WAYS = (
    "install it into the environment of the program, or start the program with"
    " kruise-autopatch run, or call kruise_autopatch.patch_e2b() in it."
)
_WITH_ITS_INTERPRETER = (
    "run the doctor with the interpreter of your program: python -m kruise_autopatch doctor."
)
_CORRECT_FIRST = "correct them first; the problems are above."
_YOUR_HOST = "set it to the host and port of your sandbox-manager."
_COPY_AGAIN = "copy the key again."
_ROUTE_IT = "let the Ingress or proxy pass {served} on to sandbox-manager (port 7788)."
_USE_HTTP = "set KRUISE_E2B_HTTPS=0, or name the https port in E2B_DOMAIN."
_USE_HTTPS = "set KRUISE_E2B_HTTPS=1, or name the http port in E2B_DOMAIN."
_SEE_PROXY = "see HTTPS_PROXY, NO_PROXY."
_NO_HOOK = "the hook does not run: "
_ANSWER = "GET {url}: "
_TRUST_ITS_CA = (
    "set SSL_CERT_FILE to a file with the certificate of the CA that issued it{ignored}."
)
_REFUSED = "the certificate of {to} is refused: {reason}"

START_UP: Mapping[str, Kind] = {
    "interpreter": Kind("ok", "{implementation} {version}, {executable}"),
    "other-environment-active": Kind(
        "note",
        "VIRTUAL_ENV is {active}, but this interpreter belongs to {prefix}",
        _WITH_ITS_INTERPRETER,
    ),
    "package-installed": Kind("ok", "kruise-autopatch {release} is installed in {root}"),
    "package-elsewhere": Kind(
        "ok", "kruise-autopatch {release} is in {root}; this interpreter's site-packages: {listed}"
    ),
    "package-twice": Kind(
        "note",
        "another kruise-autopatch, {release}, is in {root}; it is not the one that is imported",
        "uninstall the one that is not wanted.",
    ),
    "start-up-file-intact": Kind("ok", "{path} is there, as it was shipped"),
    "start-up-file-changed": Kind(
        "problem", "{path} is not what was shipped", f"look at what it does, then {_REINSTALL}"
    ),
    "start-up-file-elsewhere": Kind(
        "note", "{path} is there, but that is no directory whose start-up files are processed"
    ),
    "start-up-file-missing": Kind(
        "note", "{name} is in no site-packages directory of this interpreter"
    ),
    "hook-runs": Kind("ok", "the hook runs, at the start of this interpreter"),
    "hook-runs-injected": Kind(
        "ok", "the hook runs, by PYTHONPATH, as kruise-autopatch run and an injected Pod have it"
    ),
    "hook-fails": Kind("problem", "the hook fails at start-up: {reason}", _REINSTALL),
    "interpreter-fails": Kind(
        "problem",
        "this interpreter could not be started again ({reason})",
        "start it by hand to see more.",
    ),
    "hook-no-site": Kind(
        "problem",
        f"{_NO_HOOK}-S stops Python from processing any start-up file",
        "leave -S out, or call kruise_autopatch.patch_e2b() in the program.",
    ),
    "hook-no-file": Kind(
        "problem", f"{_NO_HOOK}{{root}} is processed, but without our start-up file", _OTHER_WAYS
    ),
    "hook-passed-over": Kind(
        "problem",
        f"{_NO_HOOK}Python has passed over {{name}}, or it does not do what it should",
        _OTHER_WAYS,
    ),
    "hook-in-zip": Kind(
        "problem",
        f"{_NO_HOOK}{{root}} is a zip archive, whose start-up files are not processed",
        _OTHER_WAYS,
    ),
    "hook-user-site-hidden": Kind(
        "problem",
        f"{_NO_HOOK}{{root}} is the user's site-packages, which -s, -I or the environment hides",
        _OTHER_WAYS,
    ),
    "hook-on-pythonpath": Kind(
        "problem",
        f"{_NO_HOOK}{{root}} is on PYTHONPATH (or from pip --target); start-up files there are"
        " ignored",
        _OTHER_WAYS,
    ),
    "hook-other-environment": Kind(
        "problem",
        f"{_NO_HOOK}{{root}} belongs to another environment than this interpreter",
        _OTHER_WAYS,
    ),
    "hook-not-site-packages": Kind(
        "problem",
        f"{_NO_HOOK}{{root}} is on sys.path, but not a site-packages directory",
        _OTHER_WAYS,
    ),
}

VARIABLES: Mapping[str, Kind] = {
    "switched-on": Kind("ok", "{shown}: on"),
    "switched-off": Kind(
        "problem",
        "{shown}: off, the SDK stays native",
        "set {name}=1 before the interpreter starts; in a shell, export it.",
    ),
    "switched-on-too-late": Kind(
        "problem",
        "{shown}: off, the SDK stays native; {path} switches it on, but a program reads that file"
        " only after Python has started",
        "start the program with kruise-autopatch run --env-file {path} -- PROGRAM.",
    ),
    "setting": Kind("ok", "{shown} ({meaning})"),
    "setting-by-default": Kind("ok", "{shown}, so {default} ({meaning})"),
    "variable-unusable": Kind("problem", "{problem}", "{advice}"),
    "variable-misspelt": Kind(
        "problem", "{name} is set, but there is no such variable", "did you mean {close}?"
    ),
    "variable-unknown": Kind(
        "problem",
        "{name} is set, but there is no such variable",
        "unset it, or upgrade kruise-autopatch.",
    ),
    "variable-unknown-to-sdk": Kind(
        "note", "{name} is set, but e2b knows no such variable", "did you mean {close}?"
    ),
    "domain": Kind("ok", "{name}={value}"),
    "domain-from-api-url": Kind("ok", "{name} is unset, so the host of E2B_API_URL"),
    "domain-unset": Kind(
        "problem",
        "{name} is unset: only programs that pass domain= know where to send requests",
        "set it to the host and port of your sandbox-manager, for example"
        " agents-sandbox-manager.sandbox-system.svc.cluster.local:7788.",
    ),
    "domain-public": Kind(
        "problem", "{name}={value} is E2B's own cloud, which is never rewritten", _YOUR_HOST
    ),
    "domain-left-native": Kind(
        "note",
        "{name}={value} is among {among}: clients without a domain of their own are left native",
        "take it out of that list if it is OpenKruise's.",
    ),
    "explicit-url": Kind("note", "{name}={value}: {meaning}"),
    "debug-mode": Kind(
        "problem", "E2B_DEBUG={value}: the SDK talks to localhost, natively", "unset it."
    ),
    "certificates-chosen": Kind("ok", "{name}={value}: {meaning}"),
    "secret-set": Kind("ok", "{shown}"),
    "key-raw": Kind("ok", "{shown}, raw form"),
    "key-encoded": Kind("ok", "{shown}, encoded form"),
    "key-unset": Kind(
        "problem",
        "{name} is unset: only programs that pass api_key= can use the server",
        "set it, for example from a Secret.",
    ),
    "key-padded": Kind(
        "problem",
        "{shown}, with a space or a line break at an end",
        "remove it; often it is the newline of a Secret that was made from a file.",
    ),
    "key-quoted": Kind(
        "problem",
        "{shown}, with quotation marks around it",
        "remove them; docker's --env-file, for one, takes them for a part of the value.",
    ),
    "key-unresolved": Kind(
        "problem",
        "{shown}, and looks like a reference that nobody has resolved",
        "look at what should have put the key in its place.",
    ),
    "key-unprintable": Kind(
        "problem", "{shown}, with characters that no HTTP header can carry", _COPY_AGAIN
    ),
    "key-damaged": Kind("problem", "{shown}, damaged encoded form: {problem}", _COPY_AGAIN),
}

SDK: Mapping[str, Kind] = {
    "sdk-patched": Kind("ok", "{release}: {counted}"),
    "sdk-newer-than-proved": Kind(
        "note",
        "{release}: {counted}; {newest} is the newest that is proved",
        "if a URL is wrong, pin that release, and report it.",
    ),
    "sdk-missing": Kind(
        "problem",
        "e2b is not installed for this interpreter",
        'run pip install "kruise-autopatch[e2b]", or the doctor with the interpreter of your'
        " program: python -m kruise_autopatch doctor.",
    ),
    "sdk-broken": Kind("problem", "{release} cannot be imported: {reason}", "install it again."),
    "sdk-incompatible": Kind("problem", "{problem}", "{advice}"),
    "sdk-partly-patched": Kind(
        "note", "{problem}; all else is patched, as KRUISE_E2B_STRICT=0 says", "{advice}"
    ),
    "sdk-left-native": Kind(
        "problem", "{problem}; it stays native, as KRUISE_E2B_STRICT=0 says", "{advice}"
    ),
    "sdk-not-patched": Kind(
        "problem", "{release}: it cannot be patched: {reason}", "install it again."
    ),
    "sdk-waits-for-variables": Kind(
        "note",
        "{release}: it would not be imported, because of the variables",
        _CORRECT_FIRST,
    ),
    "sdk-hidden": Kind(
        "note", "{path} hides the SDK from programs that are started in its directory", "rename it."
    ),
    "sdk-not-examined": Kind(
        "problem", "the SDK could not be examined ({reason})", "import e2b by hand to see more."
    ),
    "cannot-patch": Kind("problem", "{problem}", "{advice}"),
}

URLS: Mapping[str, Kind] = {
    "url-private": Kind("ok", "{what}: {after} (natively {before})"),
    "url-explicit": Kind("ok", "{what}: {after}, as E2B_API_URL says"),
    "url-of-the-sdk": Kind("ok", "{what}: {after}, the SDK's own, as KRUISE_E2B_PROTOCOL says"),
    "url-native": Kind(
        "note",
        "{what}: {after}, the same as natively",
        "see E2B_DOMAIN, E2B_DEBUG, E2B_API_URL and E2B_SANDBOX_URL above.",
    ),
    "url-fails": Kind(
        "problem", "{what}: no URL can be made of it ({reason})", "see the problems above."
    ),
    "client-fails": Kind(
        "problem",
        "no client can be built: {reason}",
        "build an e2b.ConnectionConfig() by hand.",
    ),
    "client-waits-for-variables": Kind(
        "note", "no client can be built from these variables", _CORRECT_FIRST
    ),
}

NETWORK: Mapping[str, Kind] = {
    "offline": Kind("note", "the network is left out, because of --offline"),
    "url-unknown": Kind(
        "note",
        "the network is left out: no URL is known",
        "correct the problems above first.",
    ),
    "public-cloud": Kind("note", "the network is left out: {url} is E2B's own cloud"),
    "network-left-native": Kind(
        "note", "the network is left out: {url} is among {among}, so none of OpenKruise's"
    ),
    "url-unusable": Kind(
        "problem", "{url} is no http or https URL", "correct E2B_API_URL, or unset it."
    ),
    "proxy-used": Kind(
        "note",
        "requests to {to} go through the proxy {proxy}, by {variable}",
        "if it does not know the way, add {host} to NO_PROXY.",
    ),
    "proxy-not-examined": Kind(
        "note",
        "the network is left out: the doctor speaks to http proxies, not to one by {scheme}",
    ),
    "proxy-name-unknown": Kind(
        "problem",
        "the name {host} of the proxy is not known here: {reason}",
        "correct {variable}, or add {target} to NO_PROXY if no proxy is needed.",
    ),
    "proxy-unreachable": Kind(
        "problem",
        "the proxy {to} {failure}",
        "correct {variable}, or add {target} to NO_PROXY if no proxy is needed.",
    ),
    "address-given": Kind("ok", "{host} is an address, so no name is looked up"),
    "name-resolved": Kind("ok", "{host} is {addresses}"),
    "name-unknown": Kind(
        "problem",
        "the name {host} is not known here: {reason}",
        "correct {variable}, or the DNS; inside a cluster the name of a Service is"
        " SERVICE.NAMESPACE.svc.cluster.local.",
    ),
    "connection-accepted": Kind("ok", "{to} accepts connections"),
    "connection-refused": Kind(
        "problem",
        f"{{to}} {REFUSES}",
        "name the right port in {variable} (kubectl get service), or start the server.",
    ),
    "connection-impossible": Kind(
        "problem",
        f"{{to}} {UNREACHABLE}",
        "look for a NetworkPolicy, a firewall, or a proxy that would have to be used.",
    ),
    "port-missing": Kind(
        "problem",
        "{to} {failure}, but {there} accepts connections, where OpenKruise listens",
        "write {written}{also}.",
    ),
    "port-perhaps-missing": Kind(
        "problem",
        "{to} {failure}",
        "OpenKruise listens on 7788: write {written}, unless an Ingress is meant, which should"
        " answer here.",
    ),
    "bundle-missing": Kind(
        "problem",
        "SSL_CERT_FILE={bundle}: there is no such file",
        "correct it, or unset it.",
    ),
    "bundle-unusable": Kind(
        "problem",
        "SSL_CERT_FILE={bundle}: no certificate can be read from it ({reason})",
        "correct it, or unset it.",
    ),
    "certificate-trusted": Kind("ok", "the certificate is trusted ({described})"),
    "certificate-ends": Kind(
        "note",
        "the certificate is trusted ({described})",
        "renew it: it ends in {days:.0f} days.",
    ),
    "certificate-is-ca": Kind(
        "problem",
        "this e2b refuses the certificate, since it is a CA's ({described})",
        "sign one with it for the server, or make it anew with -addext"
        " basicConstraints=critical,CA:FALSE.",
    ),
    "certificate-is-ca-yet-trusted": Kind(
        "note",
        "the certificate is trusted ({described}), though it is a CA's",
        "e2b 2.38.0 and newer refuse it; sign one with it for the server.",
    ),
    "certificate-expired": Kind(
        "problem", _REFUSED, "renew the certificate, or correct this machine's clock."
    ),
    "certificate-of-other-name": Kind(
        "problem",
        _REFUSED,
        "set E2B_DOMAIN to a name in the certificate, or get one for this name.",
    ),
    "certificate-untrusted": Kind("problem", _REFUSED, _TRUST_ITS_CA),
    "certificate-of-proxy": Kind(
        "problem", f"{_REFUSED}; it may be the proxy's own", _TRUST_ITS_CA
    ),
    "tls-impossible": Kind(
        "problem",
        "{to} accepts no TLS connection: {reason}",
        "look at the server's TLS settings.",
    ),
    "speaks-http": Kind("problem", "{to} speaks http, not https", _USE_HTTP),
    "speaks-https": Kind("problem", "{to} speaks https, not http", _USE_HTTPS),
}

API: Mapping[str, Kind] = {
    "no-client": Kind(
        "note",
        "no request is sent to {to}: no client can be built here, so a program would send none",
        "correct the problems above first.",
    ),
    "key-not-sendable": Kind(
        "note",
        "no request is sent, because the key cannot be part of one",
        "correct E2B_API_KEY first.",
    ),
    "no-answer": Kind(
        "problem",
        "{to} does not answer the request: {reason}",
        "look whether sandbox-manager is ready, and what is between it and here.",
    ),
    "proxy-refuses": Kind(
        "problem", "the proxy does not open the way to {to}: {reason}", _SEE_PROXY
    ),
    "api-accepts-key": Kind("ok", f"{_ANSWER}200, the server accepts the key; {{listed}}"),
    "api-wants-https": Kind("problem", f"{_ANSWER}{{answer}}: the server wants https", _USE_HTTPS),
    "api-redirects": Kind(
        "problem",
        f"{_ANSWER}{{status}}, a redirect to {{where}}, which the SDK does not follow",
        "set E2B_DOMAIN to the host that serves {served} itself.",
    ),
    "proxy-wants-credentials": Kind(
        "problem", f"{_ANSWER}{{answer}}: the proxy wants credentials", _SEE_PROXY
    ),
    "api-wants-key": Kind(
        "note", f"{_ANSWER}401, the server wants a key, and none is set", "set E2B_API_KEY."
    ),
    "api-wants-key-when-on": Kind(
        "note",
        f"{_ANSWER}401, as it should be: the key is not sent while KRUISE_E2B_PATCH is off",
        "set KRUISE_E2B_PATCH=1 for the doctor, to see whether the server accepts the key.",
    ),
    "api-refuses-key": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: the server does not know the key",
        "compare E2B_API_KEY with the Secret of this very server.",
    ),
    "api-refuses-base64-key": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: the server does not know the key",
        "decode it: it looks like base64, as a Secret's manifest shows it.",
    ),
    "api-behind-login": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: not from sandbox-manager, but from something before it",
        "let the Ingress, proxy or policy pass {served} without a login.",
    ),
    "api-native-only": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: this server has the native routes only, not /kruise/api",
        "upgrade OpenKruise Agents, or switch KRUISE_E2B_PATCH off and use it natively.",
    ),
    "api-url-leads-nowhere": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: nothing is served at this path, which E2B_API_URL names",
        "unset E2B_API_URL and set E2B_DOMAIN, or write E2B_API_URL={private}.",
    ),
    "api-web-page": Kind(
        "problem", f"{_ANSWER}{{answer}}: a web page, so not sandbox-manager", _ROUTE_IT
    ),
    "api-not-served": Kind(
        "problem", f"{_ANSWER}{{answer}}: nothing is served at this path", _ROUTE_IT
    ),
    "api-no-get": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: the server has this route, but not for GET",
        "see that E2B_DOMAIN names sandbox-manager; if it does, upgrade it.",
    ),
    "api-unavailable": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: whatever answers finds no healthy sandbox-manager",
        "look at its Pods and Service: kubectl get pods,service -A.",
    ),
    "api-no-list": Kind(
        "problem",
        f"{_ANSWER}{{answer}}: no list of sandboxes, so not sandbox-manager",
        _ROUTE_IT,
    ),
    "api-unexpected": Kind(
        "problem", f"{_ANSWER}{{answer}}: unexpected", "look at sandbox-manager's log."
    ),
    "reply-domain-followed": Kind(
        "note",
        "the server names the domain {replied}, the client {authority}; natively, sandbox traffic"
        " goes to the server's",
        "nothing, or correct the server's --e2b-domain if sandboxes cannot be reached.",
    ),
    "reply-domain-same": Kind("ok", "the server names the same domain: {replied}"),
    "reply-domain-overruled": Kind(
        "note",
        "the server names the domain {replied}, the client {authority}; {name} decides",
    ),
    "reply-domain-ignored": Kind(
        "note",
        "the server names the domain {replied}, the client {authority}, which is the one that is"
        " used",
        "nothing, or {name}=server if sandboxes cannot be reached.",
    ),
}

SANDBOXES: Mapping[str, Kind] = {
    "sandboxes-by-manager": Kind(
        "ok", "sandbox traffic to {host} is handed on by sandbox-manager, which demands no token"
    ),
    "sandboxes-by-gateway": Kind("ok", "sandbox traffic to {host} is handed on by sandbox-gateway"),
    "sandboxes-by-unknown": Kind(
        "note",
        "sandbox traffic to {host}: neither sandbox-manager nor sandbox-gateway answers like this:"
        " {answer}",
        "let the Ingress or proxy pass {served} on, with all that is below it.",
    ),
    "gateway-demands-no-token": Kind("ok", "sandbox-gateway demands no token"),
    "gateway-demands-access-token": Kind(
        "note",
        "sandbox-gateway demands a sandbox's access token with every request",
        "nothing for programs; browsers cannot send it, so links get 401.",
    ),
    "gateway-demands-traffic-token": Kind(
        "note",
        "sandbox-gateway demands a sandbox's traffic token with every request",
        "nothing for programs; browsers cannot send it, so links get 403.",
    ),
}

# In the order of the report.
SECTIONS: Mapping[str, Mapping[str, Kind]] = {
    "Start-up": START_UP,
    "Variables": VARIABLES,
    "SDK": SDK,
    "URLs": URLS,
    "Network": {**NETWORK, **API, **SANDBOXES},
}

KINDS: Mapping[str, Kind] = {
    code: kind for kinds in SECTIONS.values() for code, kind in kinds.items()
}
