"""The doctor is right where it once was wrong: real servers, and where the key went."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

import pytest

from cli import doctoring
from cli.answering import Answering, Reply
from cli.doctoring import examine, examine_here
from kruise_autopatch_local import LocalManager
from support import fresh

KEY = "a-key-that-is-secret"
ON = {"KRUISE_E2B_PATCH": "1", "KRUISE_E2B_HTTPS": "0", "E2B_API_KEY": KEY}
HTML = (("Content-Type", "text/html"),)
INVALID_KEY = json.dumps({"code": 401, "headers": None, "message": "Invalid API Key"})

E2B = tuple(map(int, version("e2b").split(".")[:2]))
uses_proxies = pytest.mark.skipif(E2B < (2, 38), reason="this SDK uses no proxy")


def keys_sent(server: Answering) -> list[str]:
    return [path for path, headers in server.requests if "X-API-KEY" in headers]


# --- the key goes nowhere where the program would not send it ------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"KRUISE_E2B_HTTPS": "nope"},
        {"KRUISE_E2B_SANDBOX_DOMAIN": "https://a.test"},
        {"KRUISE_E2B_LOG": "loud"},
        {"KRUISE_E2B_STRICT": "perhaps"},
        {"KRUISE_E2B_PATCH": "perhaps"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_with_a_variable_that_stops_the_program_nothing_is_sent(wrong: dict[str, str]) -> None:
    with Answering(lambda path: Reply(200, "[]")) as server:
        # By way of a proxy, which would see what is sent to any host. Releases without a proxy
        # ask the host itself.
        variables = {**ON, "E2B_DOMAIN": server.domain, **wrong}
        proxy = f"http://{server.domain}"
        report = examine_here({**variables, "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy})
    assert server.requests == []
    assert "api" not in report.findings or report.findings["api"]["code"] == "no-client"
    assert report.status == 1


def test_with_an_sdk_that_cannot_be_patched_nothing_is_sent(broken_sdk: Mapping[str, str]) -> None:
    with Answering(lambda path: Reply(200, "[]")) as server:
        report = examine({**ON, **broken_sdk, "E2B_DOMAIN": server.domain})
    assert report.findings["sdk:e2b"]["code"] == "sdk-incompatible"
    assert report.findings["api"]["code"] == "no-client"
    assert report.state("tcp") == "ok"
    assert server.requests == []


def test_while_it_is_off_the_key_is_not_sent() -> None:
    with Answering(lambda path: Reply(401, INVALID_KEY)) as server:
        report = examine_here({**ON, "KRUISE_E2B_PATCH": "0", "E2B_DOMAIN": server.domain})
    assert report.findings["api"]["code"] == "api-wants-key-when-on"
    assert keys_sent(server) == []
    assert len(server.requests) > 0


def test_the_native_route_is_tried_without_the_key() -> None:
    def reply(path: str) -> Reply:
        return Reply(404) if path.startswith("/kruise") else Reply(401, INVALID_KEY)

    with Answering(reply) as server:
        report = examine_here({**ON, "E2B_DOMAIN": server.domain})
    assert report.findings["api"]["code"] == "api-native-only"
    assert keys_sent(server) == ["/kruise/api/v2/sandboxes?limit=1"]


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_page_that_says_unavailable_is_no_other_application(status: int) -> None:
    page = f"<html><title>{status} Service Temporarily Unavailable</title></html>"
    with Answering(lambda path: Reply(status, page, HTML)) as server:
        report = examine_here({**ON, "E2B_DOMAIN": server.domain})
    assert report.findings["api"]["code"] == "api-unavailable"
    assert "look at its Pods" in report.line("api")


def test_an_api_url_of_another_form_is_what_leads_nowhere() -> None:
    def reply(path: str) -> Reply:
        # A manager that serves both protocols.
        served = path.startswith(("/kruise/api/v2/sandboxes", "/v2/sandboxes"))
        return Reply(200, "[]") if served else Reply(404, "404 page not found\n")

    with Answering(reply) as server:
        url = f"http://{server.domain}/api"
        report = examine_here({**ON, "E2B_DOMAIN": server.domain, "E2B_API_URL": url})
    assert report.findings["api"]["code"] == "api-url-leads-nowhere"
    assert f"E2B_API_URL=http://{server.domain}/kruise/api" in report.line("api")
    assert "upgrade" not in report.line("api")


# --- proxies -------------------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{reserved.getsockname()[1]}"


@uses_proxies
@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_a_dead_proxy_is_to_blame_not_the_domain(name: str) -> None:
    with nobody() as dead:
        report = examine_here({**ON, "E2B_DOMAIN": "kruise.test", name: f"http://{dead}"})
    assert report.findings["tcp"]["code"] == "proxy-unreachable"
    assert f"the proxy {dead} refuses connections" in report.line("tcp")
    assert f"correct {name}, or add kruise.test to NO_PROXY" in report.line("tcp")
    assert "E2B_DOMAIN" not in report.line("tcp")


@uses_proxies
def test_a_proxy_with_a_name_that_does_not_exist() -> None:
    name = f"{'x' * 70}.test"
    report = examine_here({**ON, "E2B_DOMAIN": "kruise.test", "HTTP_PROXY": f"http://{name}:3128"})
    assert report.findings["dns"]["code"] == "proxy-name-unknown"
    assert "correct HTTP_PROXY" in report.line("dns")


@uses_proxies
def test_a_proxy_that_is_no_http_proxy_is_not_spoken_to() -> None:
    report = examine_here(
        {**ON, "E2B_DOMAIN": "kruise.test", "ALL_PROXY": "socks5://127.0.0.1:1080"}
    )
    assert report.findings["proxy"]["code"] == "proxy-not-examined"
    assert {"dns", "tcp", "api"}.isdisjoint(report.findings)


# --- what the doctor reads -----------------------------------------------------------------------


def test_only_the_environment_that_it_is_given_counts() -> None:
    code = (
        "import json, os\n"
        "from kruise_autopatch.cli import doctor\n"
        "given = json.loads(os.environ['GIVEN'])\n"
        "findings = list(doctor.examine(given, offline=False, timeout=5))\n"
        "result = {each.check: each.code for each in findings}"
    )
    with LocalManager() as manager, nobody() as dead:
        given = fresh.environment(manager.environment())
        del given["SSL_CERT_FILE"]
        own = {
            "HTTP_PROXY": f"http://{dead}",
            "ALL_PROXY": f"http://{dead}",
            "SSL_CERT_FILE": "/nowhere.pem",
            "E2B_DOMAIN": "kruise.test",
            "KRUISE_E2B_PATCH": "nope",
        }
        found = fresh.value(code, {**own, "GIVEN": json.dumps(given)})
    assert found["variable:KRUISE_E2B_PATCH"] == "switched-on"
    assert "variable:SSL_CERT_FILE" not in found
    assert "proxy" not in found
    assert found["api"] == "api-accepts-key"


@pytest.mark.parametrize(
    ("variables", "check", "text"),
    [
        ({"E2B_DOMAIN": '"kruise.test:8443"'}, "variable:E2B_DOMAIN", "has quotation marks around"),
        ({"E2B_DOMAIN": "'kruise.test'"}, "variable:E2B_DOMAIN", "such as 'kruise.test'"),
        ({"E2B_DOMAIN": '"'}, "variable:E2B_DOMAIN", "has quotation marks around it"),
        ({"E2B_API_URL": "http://[bad"}, "variable:E2B_API_URL", "http://[bad"),
        ({"E2B_DOMAIN": "a.test", "E2B_API_URL": "http://[bad"}, "network", "no http or https URL"),
    ],
)
def test_what_was_written_is_named(variables: dict[str, str], check: str, text: str) -> None:
    report = examine_here({**ON, **variables})
    assert text in report.line(check)
    assert report.status == 1


@pytest.mark.parametrize("value", ["1", "yes", "on"])
def test_a_word_that_the_sdk_does_not_take_for_debug_mode_is_none(value: str) -> None:
    report = examine_here({**ON, "E2B_DOMAIN": "kruise.test", "E2B_DEBUG": value}, "--offline")
    assert "variable:E2B_DEBUG" not in report.findings
    assert "http://kruise.test/kruise/api" in report.line("url:api")


# --- an SDK that lacks something -----------------------------------------------------------------


@pytest.fixture
def broken_sdk(tmp_path: object) -> Mapping[str, str]:
    """Variables that let an interpreter find an e2b without ``ConnectionConfig.get_host``."""
    path = f"{tmp_path}/sitecustomize.py"
    with open(path, "w") as file:
        file.write(
            "import sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name != 'e2b.connection_config':\n"
            "            return None\n"
            "        sys.meta_path.remove(self)\n"
            "        from importlib.util import find_spec\n"
            "        spec = find_spec(name)\n"
            "        run = spec.loader.exec_module\n"
            "        def exec_module(module):\n"
            "            run(module)\n"
            "            del module.ConnectionConfig.get_host\n"
            "        spec.loader.exec_module = exec_module\n"
            "        return spec\n"
            "sys.meta_path.insert(0, Finder())\n"
        )
    return {"PYTHONPATH": str(tmp_path)}


def test_strict_mode_names_the_releases_that_are_supported(broken_sdk: Mapping[str, str]) -> None:
    report = examine({**ON, **broken_sdk, "E2B_DOMAIN": "kruise.test"}, "--offline")
    assert report.findings["sdk:e2b"]["code"] == "sdk-incompatible"
    assert "ConnectionConfig.get_host is missing" in report.findings["sdk:e2b"]["text"]
    assert "2.8.0 to 2.63.0" in report.findings["sdk:e2b"]["next"]


def test_without_strict_mode_what_works_is_shown(broken_sdk: Mapping[str, str]) -> None:
    variables = {**ON, **broken_sdk, "E2B_DOMAIN": "kruise.test", "KRUISE_E2B_STRICT": "0"}
    report = examine(variables, "--offline")
    assert report.findings["sdk:e2b"]["code"] == "sdk-partly-patched"
    assert report.state("sdk:e2b") == "note"
    assert "http://kruise.test/kruise/api" in report.line("url:api")
    assert report.findings["url:host"]["code"] == "url-fails"
    # The program gets as far, too.
    program = "import e2b; result = e2b.ConnectionConfig().api_url"
    assert fresh.value(program, variables) == "http://kruise.test/kruise/api"


# --- a port that was left out --------------------------------------------------------------------


def test_a_host_without_a_port_where_openkruise_listens_on_its_own() -> None:
    # Addresses of loopback that no other test uses: the port is one and the same.
    with Answering(lambda path: Reply(200, "[]"), at=("127.77.0.1", 7788)) as server:
        http = examine_here({**ON, "E2B_DOMAIN": "127.77.0.1"})
        https = examine_here({**ON, "KRUISE_E2B_HTTPS": "1", "E2B_DOMAIN": "127.77.0.1"})
    assert http.findings["tcp"]["code"] == "port-missing"
    assert "127.77.0.1:7788 accepts connections, where OpenKruise listens" in http.line("tcp")
    assert http.findings["tcp"]["next"] == "write E2B_DOMAIN=127.77.0.1:7788."
    assert https.findings["tcp"]["next"] == (
        "write E2B_DOMAIN=127.77.0.1:7788 and KRUISE_E2B_HTTPS=0."
    )
    assert keys_sent(server) == []


def test_a_host_without_a_port_where_nothing_listens() -> None:
    report = examine_here({**ON, "E2B_DOMAIN": "127.77.0.2"})
    assert report.findings["tcp"]["code"] == "port-perhaps-missing"
    assert "OpenKruise listens on 7788: write E2B_DOMAIN=127.77.0.2:7788" in report.line("tcp")


def test_a_gateway_without_a_port_is_named_by_its_own_variable() -> None:
    with LocalManager() as manager:
        variables = {**manager.environment(), "KRUISE_E2B_SANDBOX_DOMAIN": "127.77.0.3"}
        done = fresh.run(doctoring.DOCTOR, variables)
    assert "write KRUISE_E2B_SANDBOX_DOMAIN=127.77.0.3:7788" in done.stdout


# --- who hands sandbox traffic on ----------------------------------------------------------------

SANDBOX = {"sandboxID": "ns--name", "state": "running", "domain": ""}


def gateway(health: int, state: str = "running") -> Answering:
    """sandbox-gateway before a manager with one sandbox, whose answer to a stranger is given."""
    listed = json.dumps([{**SANDBOX, "state": state}])

    def reply(path: str) -> Reply:
        if path.startswith("/kruise/api/"):
            return Reply(200, listed)
        sandbox_id = path.split("/")[2]
        if sandbox_id == SANDBOX["sandboxID"]:
            return Reply(health)
        return Reply(502, f"sandbox not found: {sandbox_id}")

    return Answering(reply)


@pytest.mark.parametrize(
    ("health", "code"),
    [
        (401, "gateway-demands-access-token"),
        (403, "gateway-demands-traffic-token"),
        (204, "gateway-demands-no-token"),
    ],
)
def test_whether_the_gateway_demands_a_token(health: int, code: str) -> None:
    with gateway(health) as server:
        done = fresh.run([*doctoring.DOCTOR, "--json"], {**ON, "E2B_DOMAIN": server.domain})
    codes = [finding["code"] for finding in json.loads(done.stdout)["findings"]]
    assert codes[-2:] == ["sandboxes-by-gateway", code]
    assert done.returncode == 0
    # To sandboxes neither the key nor a token is sent.
    assert keys_sent(server) == ["/kruise/api/v2/sandboxes?limit=1"]


def test_a_paused_sandbox_is_not_woken() -> None:
    with gateway(401, state="paused") as server:
        report = examine_here({**ON, "E2B_DOMAIN": server.domain})
    assert report.findings["sandboxes"]["code"] == "sandboxes-by-gateway"
    assert not any("ns--name" in path for path, _ in server.requests)


def test_the_manager_is_told_from_the_gateway() -> None:
    with LocalManager() as manager:
        report = examine_here(manager.environment())
    assert report.findings["sandboxes"]["code"] == "sandboxes-by-manager"
    assert report.status == 0


def test_an_ingress_that_passes_the_api_only() -> None:
    def reply(path: str) -> Reply:
        return Reply(200, "[]") if path.startswith("/kruise/api/") else Reply(404, "nginx")

    with Answering(reply) as server:
        report = examine_here({**ON, "E2B_DOMAIN": server.domain})
    assert report.findings["sandboxes"]["code"] == "sandboxes-by-unknown"
    assert "pass /kruise on, with all that is below it" in report.line("sandboxes")
