"""Every URL surface of the SDK: what it must hand out, what the server must see, what comes back.

The tests compare one conversation with these tables; the matrix does so for every SDK release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

API_PATH = "/kruise/api"
API = "{scheme}://{domain}" + API_PATH
ENVD = "{scheme}://{domain}/kruise/{id}/49983"
STREAM = "{scheme}://{domain}/kruise/{id}/6080/vnc.html"
WEBSOCKET = "path=../../../kruise/{id}/6080/websockify"

# What the SDK hands out. A "*" at the end stands for any rest, such as a signature.
URLS = {
    "api_url": API,
    "volume api_url": API,
    "sandbox_domain": "{domain}",
    "get_host": "{domain}/kruise/{id}/3000",
    "envd_api_url": ENVD,
    "envd_direct_url": ENVD,
    "get_sandbox_url": ENVD,
    "get_sandbox_direct_url": ENVD,
    "get_sandbox_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "get_sandbox_direct_url(port)": "{scheme}://{domain}/kruise/{id}/8080",
    "download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "expiring download_url": ENVD + "/files?path=%2Ftmp%2Fa%20b.txt&username=user&signature=*",
    "upload_url": ENVD + "/files?path=%2Ftmp%2Fuploaded.txt&username=user&signature=*",
    "get_mcp_url": "{scheme}://{domain}/kruise/{id}/50005/mcp",
    "jupyter_url": "{scheme}://{domain}/kruise/{id}/49999",
    "desktop stream": STREAM + "?autoconnect=true&resize=scale&" + WEBSOCKET,
    "desktop stream, plain": STREAM + "?" + WEBSOCKET,
    "subclass get_host": "{domain}/kruise/*",
    "E2B get_host": "{other}/kruise/*",
    "code-interpreter E2B get_host": "{other}/kruise/*",
    "code-interpreter E2B jupyter_url": "{scheme}://{other}/kruise/*",
    "desktop E2B get_host": "{other}/kruise/*",
}

# The first release, of the distribution that is named, with what not every release has.
SINCE = {
    "git": ("e2b", "2.13.0"),
    "git.clone": ("e2b", "2.13.0"),
    "pty.connect": ("e2b", "2.9.0"),
    "update_network": ("e2b", "2.24.0"),
    "fork": ("e2b", "2.34.0"),
    **dict.fromkeys(("create_snapshot", "list_snapshots", "delete_snapshot"), ("e2b", "2.14.0")),
    "get_sandbox_direct_url": ("e2b", "2.25.1"),
    "envd_direct_url": ("e2b", "2.25.1"),
    "get_sandbox_url(port)": ("e2b", "2.55.1"),
    "get_sandbox_direct_url(port)": ("e2b", "2.55.1"),
    "Template.build, by name": ("e2b", "2.12.0"),
    "Template.alias_exists": ("e2b", "2.10.0"),
    "Template.exists": ("e2b", "2.12.1"),
    "Template.assign_tags": ("e2b", "2.12.0"),
    "Template.remove_tags": ("e2b", "2.12.0"),
    "Template.get_tags": ("e2b", "2.14.1"),
    "volume api_url": ("e2b", "2.19.0"),
    **{
        f"Volume.{name}": ("e2b", "2.19.0")
        for name in (
            *("create", "list", "get_info", "connect", "destroy"),
            *("write_file", "read_file", "make_dir", "exists", "remove"),
        )
    },
    **{
        f"Secret.{name}": ("e2b", "2.43.0")
        for name in ("create", "get_info", "update", "destroy", "list")
    },
    **dict.fromkeys(
        ("E2B", "E2B get_host", "E2B, Template", "E2B, Volume", "E2B, Secret"), ("e2b", "2.44.0")
    ),
    "code-interpreter E2B": ("e2b-code-interpreter", "2.10.0"),
    "code-interpreter E2B get_host": ("e2b-code-interpreter", "2.10.0"),
    "code-interpreter E2B jupyter_url": ("e2b-code-interpreter", "2.10.0"),
    "desktop E2B get_host": ("e2b-desktop", "2.5.0"),
}

# The first e2b that speaks HTTP/2, over https.
HTTP2_SINCE = "2.21.0"

# The e2b-desktop SDK has no async client.
SYNC_ONLY = {
    "desktop connect",
    "desktop stream",
    "desktop stream, plain",
    "desktop E2B get_host",
}

# What the server must have seen.
REQUESTS = {
    "create": ("POST", API_PATH + "/sandboxes"),
    "connect": ("POST", API_PATH + "/sandboxes/{id}/connect"),
    "list": ("GET", API_PATH + "/v2/sandboxes"),
    "get_info": ("GET", API_PATH + "/sandboxes/{id}"),
    "set_timeout": ("POST", API_PATH + "/sandboxes/{id}/timeout"),
    "kill": ("DELETE", API_PATH + "/sandboxes/{id}"),
    "is_running": ("GET", "/kruise/{id}/49983/health"),
    "files.write": ("POST", "/kruise/{id}/49983/files"),
    "files.read": ("GET", "/kruise/{id}/49983/files"),
    "files.list": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/ListDir"),
    "files.exists": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Stat"),
    "files.make_dir": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/MakeDir"),
    "files.rename": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Move"),
    "files.remove": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/Remove"),
    "commands.run": ("POST", "/kruise/{id}/49983/process.Process/Start"),
    "commands.list": ("POST", "/kruise/{id}/49983/process.Process/List"),
    "commands.connect": ("POST", "/kruise/{id}/49983/process.Process/Connect"),
    "commands.send_stdin": ("POST", "/kruise/{id}/49983/process.Process/SendInput"),
    "commands.kill": ("POST", "/kruise/{id}/49983/process.Process/SendSignal"),
    "run_code": ("POST", "/kruise/{id}/49999/execute"),
    "create_code_context": ("POST", "/kruise/{id}/49999/contexts"),
    "list_code_contexts": ("GET", "/kruise/{id}/49999/contexts"),
    "pty.connect": ("POST", "/kruise/{id}/49983/process.Process/Connect"),
    "update_network": ("PUT", API_PATH + "/sandboxes/{id}/network"),
    "pause": ("POST", API_PATH + "/sandboxes/{id}/pause"),
}

# The watcher's route differs between the sync and the async client.
WATCH = {
    "sync": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/CreateWatcher"),
    "async": ("POST", "/kruise/{id}/49983/filesystem.Filesystem/WatchDir"),
}

RESULTS = {
    "files.read": "hello",
    "files.exists": True,
    "files.make_dir": True,
    "files.rename": "/tmp/d/c.txt",
    "files.list": ["c.txt"],
    "files.remove": True,
    "commands.run": "out\n",
    "commands.run failing": 3,
    "commands.list": True,
    "commands.send_stdin": "got input\n",
    "commands.connect": True,
    "commands.kill": True,
    "run_code": "45",
    "run_code failing": "ZeroDivisionError",
    "run_code in a context": "21",
    "list_code_contexts": True,
    "remove_code_context": True,
    "is_running": True,
    "list": True,
    "get_info": True,
    "connect": True,
    "run on the connected": "connected\n",
    "download_url, fetched": [200, "héllo"],
    "expiring download_url, fetched": [200, "héllo"],
    "forged download_url": [401, ""],
    "upload_url, posted": [200, "uploaded"],
    "get_host, used": [200, "/a%20b?x=1"],
    "files.read, streaming": 1_000_000,
    "watch": True,
    "pty": True,
    "pty.connect": True,
    # The tree was dirty, it is clean, on the branch.
    "git": [False, True, "main"],
    "git.clone": "a",
    "subclass": ["Mine", "Mine", "mine\n"],
    "kill, by class": True,
    "MCP start": True,
    "E2B": ["bound", True],
    "code-interpreter E2B": ["bound", True],
    "update_network": None,
    "pause": "paused",
    "resume by the instance": ["running", "on\n"],
    "pause, by class": "paused",
    "resume by the class": ["running", "on\n"],
    "list, page by page": [True, True],
    "kill": True,
}

_TEMPLATE_BUILDS = tuple(
    f"Template.build, {shape}"
    for shape in (
        *("from_base_image", "from_image", "from_template", "from_dockerfile", "copy", "by name"),
    )
)

_BUILD = {"e2b.BuildException"}
_TAG = {"e2b.TemplateException"}
_SNAPSHOT = {"e2b.SandboxException"}
_VOLUME = {"e2b.VolumeException"}
_CONTENT = {"e2b.NotFoundException", "e2b.VolumePathNotFoundException"}
# The server's refusal is plain text where it has no route, and these take it for JSON.
_UNREAD = {"json.JSONDecodeError"}

# What no OpenKruise server has, or with snapshots not the local one: the request that the server
# must have seen, and what the SDK may make of the refusal, as it does without us.
ANSWERS: Mapping[str, tuple[str, str, set[str]]] = {
    **dict.fromkeys(_TEMPLATE_BUILDS, ("POST", API_PATH + "/v3/templates", _BUILD)),
    "Template.build_in_background": ("POST", API_PATH + "/v3/templates", _BUILD),
    "Template.get_build_status": (
        "GET",
        API_PATH + "/templates/mine/builds/mine/status",
        _BUILD,
    ),
    "Template.alias_exists": ("GET", API_PATH + "/templates/aliases/mine", {"False"}),
    "Template.exists": ("GET", API_PATH + "/templates/aliases/mine", {"False"}),
    "Template.assign_tags": ("POST", API_PATH + "/templates/tags", _TAG),
    "Template.remove_tags": ("DELETE", API_PATH + "/templates/tags", {"None"}),
    "Template.get_tags": ("GET", API_PATH + "/templates/mine/tags", _TAG),
    "create_snapshot": ("POST", API_PATH + "/sandboxes/{id}/snapshots", _SNAPSHOT),
    "list_snapshots": ("GET", API_PATH + "/snapshots", {"[]"}),
    "delete_snapshot": ("DELETE", API_PATH + "/templates/mine", {"True"}),
    "fork": ("POST", API_PATH + "/sandboxes/{id}/fork", {"e2b.SandboxException"}),
    # The server answers with the sandbox, since its routes match whole subtrees.
    "get_metrics": ("GET", API_PATH + "/sandboxes/{id}/metrics", {"builtins.ValueError"}),
    "Volume.create": ("POST", API_PATH + "/volumes", _VOLUME),
    "Volume.list": ("GET", API_PATH + "/volumes", _VOLUME),
    "Volume.get_info": ("GET", API_PATH + "/volumes/mine", _UNREAD),
    "Volume.connect": ("GET", API_PATH + "/volumes/mine", _UNREAD),
    "Volume.destroy": ("DELETE", API_PATH + "/volumes/mine", _UNREAD),
    "Volume.write_file": ("PUT", API_PATH + "/volumecontent/mine/file", _CONTENT),
    "Volume.read_file": ("GET", API_PATH + "/volumecontent/mine/file", _CONTENT),
    "Volume.make_dir": ("POST", API_PATH + "/volumecontent/mine/dir", _CONTENT),
    "Volume.exists": ("GET", API_PATH + "/volumecontent/mine/path", _UNREAD),
    "Volume.remove": ("DELETE", API_PATH + "/volumecontent/mine/path", _UNREAD),
    "Secret.create": ("POST", API_PATH + "/secrets", _UNREAD),
    "Secret.get_info": ("GET", API_PATH + "/secrets/mine", _UNREAD),
    "Secret.update": ("POST", API_PATH + "/secrets/mine", _UNREAD),
    "Secret.destroy": ("DELETE", API_PATH + "/secrets/mine", _UNREAD),
    "Secret.list": ("GET", API_PATH + "/secrets", _UNREAD),
    "E2B, Template": ("GET", API_PATH + "/templates/aliases/bound", {"False"}),
    "E2B, Volume": ("GET", API_PATH + "/volumes/bound", _UNREAD),
    "E2B, Secret": ("GET", API_PATH + "/secrets/bound", _UNREAD),
}

# Every name of the tables above, and every step of the program, in the column that a reader of
# docs/compatibility.md finds it in.
GROUPS = {
    "control plane": (
        *("api_url", "create", "connect", "list", "get_info", "set_timeout", "kill"),
        *("kill, by class", "update_network"),
    ),
    "pages": ("list, page by page",),
    "pause": ("pause", "resume by the instance", "pause, by class", "resume by the class"),
    "envd REST": ("is_running", "files.write", "files.read"),
    "streams": ("files.read, streaming",),
    "envd RPC": (
        *("files.list", "files.exists", "files.make_dir", "files.rename", "files.remove"),
        *("commands.run", "commands.run failing", "commands.list", "commands.connect"),
        *("commands.send_stdin", "commands.kill", "run on the connected"),
    ),
    "watch": ("files.watch_dir", "watch"),
    "pty": ("pty", "pty.connect"),
    "git": ("git", "git.clone"),
    "host and URLs": (
        *("sandbox_domain", "get_host", "get_host, used", "envd_api_url", "envd_direct_url"),
        *("get_sandbox_url", "get_sandbox_url(port)"),
        *("get_sandbox_direct_url", "get_sandbox_direct_url(port)"),
    ),
    "file links": (
        *("download_url", "expiring download_url", "upload_url"),
        *("download_url, fetched", "expiring download_url, fetched", "forged download_url"),
        "upload_url, posted",
    ),
    "MCP": ("get_mcp_url", "MCP start"),
    "subclass": ("subclass", "subclass get_host"),
    "Jupyter": (*("import e2b_code_interpreter", "jupyter_url", "run_code", "run_code failing"),),
    "contexts": (
        *("create_code_context", "run_code in a context", "list_code_contexts"),
        "remove_code_context",
    ),
    "desktop": ("import e2b_desktop", "desktop connect", "desktop stream", "desktop stream, plain"),
    "E2B": (
        *("E2B", "E2B get_host", "E2B, Template", "E2B, Volume", "E2B, Secret"),
        *("code-interpreter E2B", "code-interpreter E2B get_host"),
        *("code-interpreter E2B jupyter_url", "desktop E2B get_host"),
    ),
    "templates": (
        *_TEMPLATE_BUILDS,
        *("Template.build_in_background", "Template.get_build_status"),
        *("Template.alias_exists", "Template.exists", "Template.assign_tags"),
        *("Template.remove_tags", "Template.get_tags"),
    ),
    "snapshots": ("create_snapshot", "list_snapshots", "delete_snapshot"),
    "fork": ("fork",),
    "metrics": ("get_metrics",),
    "volumes": (
        "volume api_url",
        *("Volume.create", "Volume.list", "Volume.get_info", "Volume.connect", "Volume.destroy"),
        *("Volume.write_file", "Volume.read_file", "Volume.make_dir", "Volume.exists"),
        "Volume.remove",
    ),
    "secrets": (
        *("Secret.create", "Secret.get_info", "Secret.update", "Secret.destroy", "Secret.list"),
    ),
}

# What stands where the sandbox's id would be, in a path that has none.
_NO_SANDBOX = {"", "api"}


@dataclass(frozen=True)
class Conversation:
    """One run of the program, and what the server saw of it."""

    mode: str
    scheme: str
    domain: str
    requests: Sequence[Mapping[str, Any]]
    id: str
    # Sandboxes that were created by way of the server's other name.
    others: Sequence[str]
    versions: Mapping[str, str]
    tried: Sequence[str]
    urls: Mapping[str, str]
    results: Mapping[str, Any]
    answers: Mapping[str, str]
    errors: Mapping[str, str]
    absent: Sequence[str]
    environment_unchanged: bool
    # Whether it was held by native URLs; they stand here in their private form.
    native: bool = False

    @classmethod
    def of(
        cls,
        mode: str,
        scheme: str,
        domain: str,
        outcome: Mapping[str, Any],
        requests: Sequence[Mapping[str, Any]],
        *,
        native: bool = False,
    ) -> Conversation:
        """From the JSON that the program printed."""
        return cls(mode, scheme, domain, requests, **outcome, native=native)

    @property
    def other(self) -> str:
        """The server's other name, as the program makes it."""
        return self.domain.replace("127.0.0.1", "localhost")

    def expected(self, template: str) -> str:
        return template.format(scheme=self.scheme, domain=self.domain, other=self.other, id=self.id)

    def is_absent(self, name: str) -> bool:
        """Whether this release, or its async client, is known not to have it."""
        if name in SYNC_ONLY and self.mode == "async":
            return True
        if name not in SINCE:
            return False
        distribution, first = SINCE[name]
        return Version(self.versions[distribution]) < Version(first)

    def problems(self, name: str) -> list[str]:
        """What is wrong with a step that raised nothing."""
        if self.is_absent(name):
            return [f"{name} is in this release, too"] if name in self.tried else []
        if name in self.absent:
            return [f"{name} is not in this release"]
        if name not in self.tried:
            return [f"{name} was not tried"]
        found = []
        if name in URLS and not self.url_is_right(name):
            found.append(f"{name} is {self.urls.get(name)}")
        if name in RESULTS and self.results.get(name, ...) != RESULTS[name]:
            found.append(f"{name} is {self.results.get(name)!r}")
        if name in ANSWERS and self.answers.get(name) not in ANSWERS[name][2]:
            found.append(f"{name} is {self.answers.get(name)}")
        return found + self.route_problems(name)

    def url_is_right(self, name: str) -> bool:
        template = URLS[name]
        if self.native:
            # As the SDK makes it: a desktop's page finds its websocket on a host of its own.
            template = template.replace(f"&{WEBSOCKET}", "").replace(f"?{WEBSOCKET}", "")
        expected, found = self.expected(template), self.urls.get(name, "")
        if expected.endswith("*"):
            return found.startswith(expected[:-1]) and len(found) > len(expected)
        return found == expected

    def route_problems(self, name: str) -> list[str]:
        """Whether the server has seen the request of a step, and answered it as it should."""
        if name not in self.tried:
            return []
        route = WATCH[self.mode] if name == "files.watch_dir" else REQUESTS.get(name)
        if route is not None:
            statuses = self.statuses(*route)
            if not statuses or min(statuses) >= 400:
                return [f"{name}: {' '.join(route)} was answered with {statuses}"]
        if name in ANSWERS:
            method, path, _ = ANSWERS[name]
            # As often as all the steps that end there.
            steps = [n for n in self.tried if n in ANSWERS and ANSWERS[n][:2] == (method, path)]
            statuses = self.statuses(method, path)
            if len(statuses) < len(steps):
                return [f"{name}: {method} {path} was answered with {statuses}"]
        return []

    def statuses(self, method: str, template: str) -> list[int]:
        """Those of every request of this route."""
        path = self.expected(template)
        return [
            # No status: the client had left before there was one.
            request["status"] or 499
            for request in self.requests
            if (request["method"], request["path"]) == (method, path)
        ]

    def misdirected(self) -> list[str]:
        """Requests that did not go to the name of the server that they should have."""
        return [
            f"{request['scheme']}://{request['host']}{request['path']}"
            for request in self.requests
            if request["scheme"] != self.scheme or request["host"] not in self._hosts(request)
        ]

    def _hosts(self, request: Mapping[str, Any]) -> set[str]:
        path = request["path"].removeprefix("/kruise").removeprefix("/api/sandboxes")
        sandbox_id = path.split("/")[1] if "/" in path else ""
        if sandbox_id in self.others or path.endswith("/bound"):
            return {self.other}
        # Those that name no sandbox may be of any client.
        return {self.domain, self.other} if sandbox_id in _NO_SANDBOX else {self.domain}

    def paths_outside_the_prefix(self) -> list[str]:
        return [r["path"] for r in self.requests if not r["path"].startswith("/kruise/")]
