"""What keeps the server from beginning, in one line."""

from __future__ import annotations

import socket
import tempfile

import pytest

from kruise_autopatch_local import server


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"error: cannot listen on 127\.0\.0\.1:{port}: "):
            server._listen("127.0.0.1", port)


def test_no_directory_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdtemp(prefix: str) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with pytest.raises(SystemExit, match="Permission denied; set TMPDIR to one that can be writt"):
        server._make_directory()
