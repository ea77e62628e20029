"""What commands and code have said, as it passed through the gateway: for whoever watches.

It listens to the streams of `/process.Process/Start` and `/execute`, and keeps the last of it. What
it does not understand it leaves alone.
"""

from __future__ import annotations

import json
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from .. import code, envd

START, EXECUTE = "/process.Process/Start", "/execute"

# Characters of one entry; and bytes of a request that are read for its title.
_LONGEST = 16 * 1024
_LONGEST_REQUEST = 64 * 1024
_LONGEST_MESSAGE = 1024 * 1024
_HEADER = struct.Struct(">BI")
_COMPRESSED_OR_LAST = 0b11


@dataclass
class Entry:
    """A command, or some code, and its output: `stdout`, `stderr`, `result`, `end`."""

    title: str
    began_at: float = field(default_factory=time.time)
    parts: deque[tuple[str, str]] = field(default_factory=deque)
    _length: int = 0

    def add(self, stream: str, text: str) -> None:
        self.parts.append((stream, text))
        self._length += len(text)
        while (excess := self._length - _LONGEST) > 0:
            stream, text = self.parts.popleft()
            if len(text) > excess:
                self.parts.appendleft((stream, text[excess:]))
            self._length -= min(len(text), excess)

    def shown(self) -> dict[str, Any]:
        return {"title": self.title, "beganAt": self.began_at, "parts": list(self.parts)}


class Tap(Protocol):
    """Is told what passes by; it never keeps it from passing."""

    def sent(self, data: bytes) -> None: ...

    def received(self, data: bytes) -> None: ...


def tap(port: int, path: str, content_type: str, into: deque[Entry]) -> Tap | None:
    """What listens to a request, if there is something to hear."""
    if port == envd.PORT and path == START:
        return _Listener(into, _Command("json" in content_type))
    if port == code.PORT and path == EXECUTE:
        return _Listener(into, _Code())
    return None


class _Listener:
    """Has a form of streams read both directions, until it does not understand something."""

    def __init__(self, into: deque[Entry], form: _Form) -> None:
        self._into = into
        self._form: _Form | None = form
        self._request = b""
        self._reply = b""
        self._entry: Entry | None = None

    def sent(self, data: bytes) -> None:
        if len(self._request) < _LONGEST_REQUEST:
            self._request += data

    def received(self, data: bytes) -> None:
        if self._form is None:
            return
        try:
            self._read(self._form, data)
        except Exception:
            # Whatever it is that has been sent: it is not for us to judge, and not to be held up.
            self._form = None

    def _read(self, form: _Form, data: bytes) -> None:
        if self._entry is None:
            self._entry = Entry(form.title(self._request)[:_LONGEST])
            self._into.append(self._entry)
        messages, self._reply = form.split(self._reply + data)
        if len(self._reply) > _LONGEST_MESSAGE:
            self._form = None
        for message in messages:
            for stream, text in form.said(message):
                self._entry.add(stream, text)


class _Form(Protocol):
    def title(self, request: bytes) -> str: ...

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The whole messages in what has come, and the rest."""

    def said(self, message: bytes) -> Iterator[tuple[str, str]]: ...


class _Command:
    """Connect's envelopes, in either codec."""

    def __init__(self, in_json: bool) -> None:
        self._in_json = in_json

    def title(self, request: bytes) -> str:
        (message,) = self.split(request)[0]
        process = self._decoded(message, "process.StartRequest").process
        # The SDKs have a shell run what they are given.
        is_script = "-c" in process.args[:-1]
        return str(process.args[-1] if is_script else " ".join([process.cmd, *process.args]))

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        messages = []
        while len(data) >= _HEADER.size:
            flags, length = _HEADER.unpack_from(data)
            end = _HEADER.size + length
            if len(data) < end:
                break
            if not flags & _COMPRESSED_OR_LAST:
                messages.append(data[_HEADER.size : end])
            data = data[end:]
        return messages, data

    def said(self, message: bytes) -> Iterator[tuple[str, str]]:
        event = self._decoded(message, "process.StartResponse").event
        kind = event.WhichOneof("event")
        if kind == "data":
            output = event.data.WhichOneof("output")
            data = getattr(event.data, output)
            yield ("stdout" if output == "pty" else output), data.decode("utf-8", "replace")
        elif kind == "end":
            yield "end", event.end.status

    def _decoded(self, message: bytes, name: str) -> Any:
        # Not before there is something to decode: a start is not to wait for it.
        from google.protobuf import json_format

        from ..envd.messages import MESSAGES

        made = MESSAGES[name]()
        if self._in_json:
            return json_format.Parse(message, made, ignore_unknown_fields=True)
        made.ParseFromString(message)
        return made


class _Code:
    """JSON, one line for each message."""

    def title(self, request: bytes) -> str:
        return str(json.loads(request)["code"])

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        *lines, rest = data.split(b"\n")
        return [line for line in lines if line.strip()], rest

    def said(self, message: bytes) -> Iterator[tuple[str, str]]:
        said = json.loads(message)
        kind = said["type"]
        if kind in ("stdout", "stderr"):
            yield kind, said["text"]
        elif kind == "result":
            yield "result", f"{said.get('text') or '(no text)'}\n"
        elif kind == "error":
            yield "stderr", f"{said['name']}: {said['value']}\n"
        elif kind == "end_of_execution":
            yield "end", "done"
