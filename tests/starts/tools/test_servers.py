"""Web servers and task queues: each worker process is patched."""

from __future__ import annotations

from pathlib import Path

import pytest

from starts.tools.web_servers import eventually, get, running
from support.programs import PRIVATE, URL, output
from support.serving import free_ports

pytest.importorskip("gunicorn", reason="only in the tox environment `starts`")

# Each process that imports it leaves a file named after itself, with where its clients lead.
APPLICATION = f"""
import os, pathlib
pathlib.Path("imported-%d" % os.getpid()).write_text({URL})

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%d %s" % (os.getpid(), {URL})).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        body = ("%d %s" % (os.getpid(), {URL})).encode()
        await send({{"type": "http.response.body", "body": body}})
"""

# The command, and in how many processes it imports the application.
SERVERS = {
    "uvicorn": ("uvicorn --port PORT application:asgi", 1),
    "uvicorn, 2 workers": ("uvicorn --port PORT --workers 2 application:asgi", 2),
    "gunicorn": ("gunicorn -b 127.0.0.1:PORT -w 2 application:wsgi", 2),
    "gunicorn, preloaded": ("gunicorn -b 127.0.0.1:PORT -w 2 --preload application:wsgi", 1),
    "gunicorn, threads": ("gunicorn -b 127.0.0.1:PORT -w 1 --threads 4 application:wsgi", 1),
    "gunicorn, uvicorn's workers": (
        "gunicorn -b 127.0.0.1:PORT -w 2 -k uvicorn_worker.UvicornWorker application:asgi",
        2,
    ),
    "gunicorn, uvicorn's workers, preloaded": (
        "gunicorn -b 127.0.0.1:PORT -w 2 --preload -k uvicorn_worker.UvicornWorker"
        " application:asgi",
        1,
    ),
    "gunicorn, gevent": ("gunicorn -b 127.0.0.1:PORT -w 1 -k gevent application:wsgi", 1),
}


@pytest.mark.parametrize("server", SERVERS)
def test_each_worker_of_a_web_server_is_patched(server: str, tmp_path: Path) -> None:
    command, imports = SERVERS[server]
    (tmp_path / "application.py").write_text(APPLICATION)
    port = free_ports(1)
    arguments = command.replace("PORT", str(port)).split()
    with running("-m", *arguments, directory=tmp_path) as process:
        eventually(lambda: get(port), process)
        eventually(lambda: len(list(tmp_path.glob("imported-*"))) == imports, process)
        worker, url = get(port).split()
        imported = {path.name: path.read_text() for path in tmp_path.glob("imported-*")}
    assert url == PRIVATE
    assert set(imported.values()) == {PRIVATE}
    # Preloaded, the workers are forked from the one process that has imported the application.
    assert (f"imported-{worker}" in imported) == ("preload" not in server)


TASKS = f"""
import os
from celery import Celery
app = Celery("tasks", broker="filesystem://", backend="file://" + os.path.abspath("results"))
app.conf.broker_transport_options = {{
    "data_folder_in": "messages", "data_folder_out": "messages", "control_folder": "control",
}}
app.conf.worker_hijack_root_logger = False

@app.task
def api_url():
    return [os.getpid(), {URL}]
"""


@pytest.mark.parametrize("parent", ["", "import e2b\n"], ids=["worker imports", "parent imports"])
def test_celery_s_forked_workers_are_patched(parent: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(parent + TASKS)
    for name in ("messages", "results", "control"):
        (tmp_path / name).mkdir()
    worker = ("-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "-c", "1")
    asking = (
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "import tasks; print(*tasks.api_url.delay().get(timeout=90))"
    )
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")
    with running(*worker, *quiet, directory=tmp_path) as process:
        (line,) = output("-c", asking, variables={"PYTHONPATH": str(tmp_path)})
        assert process.poll() is None
    forked, url = line.split()
    assert url == PRIVATE
    assert int(forked) != process.pid
