"""A server for the Connect protocol: unary and streaming calls, proto and JSON codecs.

Only what envd's services need, after https://connectrpc.com/docs/protocol. A unary call is
a plain POST; a streaming call carries envelopes of one flag byte, four length bytes and a
message, and ends with an envelope whose JSON holds the error, if there was one.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Callable

from google.protobuf import json_format
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..streaming import CancellingStream

# Status of an error in a unary reply, by Connect code.
HTTP_STATUS = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}

_COMPRESSED = 0b01
_END_OF_STREAM = 0b10
_HEADER = struct.Struct(">BI")
# A message is never that long; what is has been made to fill the memory.
_MOST_INFLATED = 64 * 1024 * 1024


class ConnectError(Exception):
    """An RPC failed, with one of Connect's codes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True)
class Method:
    """One RPC: what it takes, and the coroutine or async generator that answers it.

    The handler is called with the house, the request message (an async iterator of them if the
    client streams) and the `Call`; it returns a message, or yields several if the server streams.
    """

    request_type: Any
    handler: Callable[[Any, Any, Call], Any]
    client_streams: bool = False
    server_streams: bool = False


@dataclass(frozen=True)
class Call:
    """What an RPC may want to know beside its message."""

    headers: Any
    timeout: float | None


async def serve(
    method: Method, house: Any, request: Request, check: Callable[[Any, Call], None]
) -> Response:
    """Answer one RPC, if `check` does not refuse it."""
    if request.method != "POST":
        return Response(status_code=405, headers={"Allow": "POST"})
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    streams = method.client_streams or method.server_streams
    prefix = "application/connect+" if streams else "application/"
    codec = content_type[len(prefix) :] if content_type.startswith(prefix) else ""
    if codec not in ("json", "proto"):
        return Response(status_code=415, headers={"Accept-Post": f"{prefix}json, {prefix}proto"})
    try:
        _check_version(request)
        call = Call(request.headers, _timeout(request))
        check(house, call)
        if streams:
            # The request is read before the reply begins: once it has, the reply listens for
            # the client's departure on the same channel.
            replies = await _replies(method, house, request, call, codec)
            return CancellingStream(
                _as_envelopes(replies, codec),
                headers={"Content-Type": content_type, "Connect-Accept-Encoding": "gzip"},
            )
        body = _decompress(
            await request.body(), request.headers.get("content-encoding", "identity")
        )
        reply = await method.handler(house, _decode(body, method.request_type, codec), call)
        return Response(_encode(reply, codec), media_type=content_type)
    except ConnectError as error:
        if streams:
            # A streaming call reports every error in its last envelope, with status 200.
            return CancellingStream(
                _as_envelopes(_fails(error), codec), headers={"Content-Type": content_type}
            )
        return JSONResponse(error.as_json(), status_code=HTTP_STATUS[error.code])


async def _replies(
    method: Method, house: Any, request: Request, call: Call, codec: str
) -> AsyncGenerator[Any, None]:
    messages = _messages(method, request, codec)
    try:
        if method.client_streams:
            return _one(await method.handler(house, messages, call))
        async for message in messages:
            replies: AsyncGenerator[Any, None] = method.handler(house, message, call)
            return replies
        raise ConnectError("invalid_argument", "the request holds no message")
    except ConnectError as error:
        return _fails(error)
    finally:
        await messages.aclose()


async def _one(reply: Any) -> AsyncGenerator[Any, None]:
    yield reply


async def _fails(error: ConnectError) -> AsyncGenerator[Any, None]:
    raise error
    yield  # Makes this a generator.


async def _messages(method: Method, request: Request, codec: str) -> AsyncGenerator[Any, None]:
    encoding = request.headers.get("connect-content-encoding", "identity")
    buffer = bytearray()
    async for chunk in request.stream():
        buffer += chunk
        while True:
            envelope, size = _first_envelope(buffer)
            if envelope is None:
                break
            flags, body = envelope
            del buffer[:size]
            if flags & _END_OF_STREAM:
                return
            if flags & _COMPRESSED:
                body = _decompress(body, encoding)
            yield _decode(body, method.request_type, codec)
    if buffer:
        message = "protocol error: incomplete envelope: unexpected EOF"
        raise ConnectError("invalid_argument", message)


def _first_envelope(buffer: bytearray) -> tuple[tuple[int, bytes] | None, int]:
    if len(buffer) < _HEADER.size:
        return None, 0
    flags, length = _HEADER.unpack_from(buffer)
    size = _HEADER.size + length
    if len(buffer) < size:
        return None, 0
    return (flags, bytes(buffer[_HEADER.size : size])), size


async def _as_envelopes(
    replies: AsyncGenerator[Any, None], codec: str
) -> AsyncGenerator[bytes, None]:
    end: dict[str, Any] = {}
    try:
        async for reply in replies:
            yield _envelope(0, _encode(reply, codec))
    except ConnectError as error:
        end["error"] = error.as_json()
    finally:
        await replies.aclose()
    yield _envelope(_END_OF_STREAM, json.dumps(end).encode())


def _envelope(flags: int, body: bytes) -> bytes:
    return _HEADER.pack(flags, len(body)) + body


def _encode(message: Any, codec: str) -> bytes:
    if codec == "json":
        text: str = json_format.MessageToJson(message, indent=None)
        return text.encode()
    encoded: bytes = message.SerializeToString()
    return encoded


def _decode(body: bytes, message_type: Any, codec: str) -> Any:
    message = message_type()
    try:
        if codec == "json":
            # Newer SDKs may send fields that are not defined here.
            json_format.Parse(body or b"{}", message, ignore_unknown_fields=True)
        else:
            message.ParseFromString(body)
    except Exception as error:
        name = message_type.DESCRIPTOR.full_name
        text = f"unmarshal message: unmarshal into *{name}: proto: {error}"
        raise ConnectError("invalid_argument", text) from error
    return message


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        text = f'unknown compression "{encoding}": supported encodings are gzip'
        raise ConnectError("unimplemented", text)
    inflate = zlib.decompressobj(wbits=31)
    try:
        inflated = inflate.decompress(body, _MOST_INFLATED)
    except zlib.error as error:
        raise ConnectError("invalid_argument", f"get decompressor: {error}") from error
    if inflate.unconsumed_tail:
        raise ConnectError("resource_exhausted", f"more than {_MOST_INFLATED} bytes")
    if not inflate.eof:
        raise ConnectError("invalid_argument", "get decompressor: unexpected EOF")
    return inflated


def _check_version(request: Request) -> None:
    version = request.headers.get("connect-protocol-version", "1")
    if version != "1":
        text = f'Connect-Protocol-Version must be "1": got "{version}"'
        raise ConnectError("invalid_argument", text)


def _timeout(request: Request) -> float | None:
    header = request.headers.get("connect-timeout-ms")
    if not header:
        return None
    # https://connectrpc.com/docs/protocol: at most ten digits.
    if not re.fullmatch(r"\d{1,10}", header, re.ASCII):
        text = f'parse timeout: strconv.ParseInt: parsing "{header}": invalid syntax'
        raise ConnectError("invalid_argument", text)
    return int(header) / 1000


def keepalive_interval(call: Call) -> float:
    """Seconds of quiet before a sign of life; the SDKs ask for 50, envd's default is 90."""
    header = call.headers.get("keepalive-ping-interval", "90")
    return max(1.0, float(header)) if re.fullmatch(r"\d{1,6}", header, re.ASCII) else 90.0
