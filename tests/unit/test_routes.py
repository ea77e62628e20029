"""Which routes OpenKruise has, and what becomes of requests for others."""

from __future__ import annotations

from typing import Any

import pytest

from kruise_autopatch.protocol.routes import served


def test_v2_create_becomes_v1_with_the_fields_that_v1_takes() -> None:
    body = {"templateID": "base", "metadata": {"a": "b"}, "of_v2_alone": True}
    request = {"method": "post", "url": "/v2/sandboxes", "json": body, "headers": {"x": "y"}}
    expected = {"templateID": "base", "metadata": {"a": "b"}}
    assert served(request) == ({**request, "url": "/sandboxes", "json": expected}, None)


@pytest.mark.parametrize(
    ("body", "timeout"), [({}, 300), ({"timeout": 60}, 60), ({"another": 1}, 300)]
)
def test_v2_connect_becomes_v1_with_a_timeout(body: dict[str, int], timeout: int) -> None:
    moved = served({"method": "post", "url": "/v2/sandboxes/s1/connect", "json": body}).request
    assert moved["url"] == "/sandboxes/s1/connect"
    assert moved["json"] == {"timeout": timeout}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/fork"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/snapshots"),
        ("post", "/timeout"),
        ("put", "/network"),
        ("delete", ""),
    ],
)
def test_so_does_every_write_that_v1_has(method: str, path: str) -> None:
    request = {"method": method, "url": f"/v2/sandboxes/s1{path}"}
    assert served(request) == ({**request, "url": f"/sandboxes/s1{path}"}, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/sandboxes/s1/connect"),
        ("post", "/sandboxes"),
        ("get", "/v2/sandboxes"),
        ("get", "/templates/v2/aliases"),
        ("get", "/volumes"),
        ("post", "/v1/templates"),
    ],
)
def test_what_is_served_or_has_no_version_is_left_alone(method: str, path: str) -> None:
    request: dict[str, Any] = {"method": method, "url": path, "json": {"any": 1}}
    found = served(request)
    assert found.request is request
    assert found.unserved is None


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("post", "/v3/templates", "POST /v3/templates"),
        ("get", "/v2/sandboxes/s1/logs", "GET /v2/sandboxes/ID/logs"),
        ("post", "/v2/sandboxes/s1/hibernate", "POST /v2/sandboxes/ID/hibernate"),
        ("post", "/v3/sandboxes", "POST /v3/sandboxes"),
        ("post", "/v2/templates/t1/builds/b1?a=b", "POST /v2/templates/ID/builds/ID"),
        ("get", "/v12/anything", "GET /v12/anything"),
        ("get", "/v2/templates?limit=1", "GET /v2/templates"),
    ],
)
def test_every_other_route_of_a_later_version_goes_through_and_is_named(
    method: str, path: str, route: str
) -> None:
    request: dict[str, Any] = {"method": method, "url": path, "json": {"any": 1}}
    found = served(request)
    assert found.request is request
    assert found.unserved == route


def test_a_request_without_a_method_is_a_get() -> None:
    assert served({"url": "/v2/sandboxes"}).unserved is None
    assert served({"url": "/v3/templates"}).unserved == "GET /v3/templates"
