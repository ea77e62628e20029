"""envd's protobuf messages, built at run time in a pool of our own.

The definitions are those of E2B's `filesystem.proto` and `process.proto`. They live in a
private descriptor pool because the SDKs up to e2b 2.34 register the same file and message
names in protobuf's default pool, where a second registration would collide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# A field reads `name:type=number`. Type prefixes: `*` repeated, `?` optional, `one/` a member
# of the oneof called `one`. A type with a capital letter is a message or an enum.
_FILESYSTEM = {
    "EntryInfo": "name:string=1 type:%FileType=2 path:string=3 size:int64=4 mode:uint32=5 "
    "permissions:string=6 owner:string=7 group:string=8 "
    "modified_time:google.protobuf.Timestamp=9 symlink_target:?string=10",
    "FilesystemEvent": "name:string=1 type:%EventType=2 entry:?EntryInfo=3",
    "StatRequest": "path:string=1",
    "StatResponse": "entry:EntryInfo=1",
    "MakeDirRequest": "path:string=1",
    "MakeDirResponse": "entry:EntryInfo=1",
    "MoveRequest": "source:string=1 destination:string=2",
    "MoveResponse": "entry:EntryInfo=1",
    "ListDirRequest": "path:string=1 depth:uint32=2",
    "ListDirResponse": "entries:*EntryInfo=1",
    "RemoveRequest": "path:string=1",
    "RemoveResponse": "",
    "WatchDirRequest": "path:string=1 recursive:bool=2 include_entry:bool=3",
    "WatchDirResponse": "start:event/WatchDirResponse.StartEvent=1 "
    "filesystem:event/FilesystemEvent=2 keepalive:event/WatchDirResponse.KeepAlive=3",
    "WatchDirResponse.StartEvent": "",
    "WatchDirResponse.KeepAlive": "",
    "CreateWatcherRequest": "path:string=1 recursive:bool=2 include_entry:bool=3",
    "CreateWatcherResponse": "watcher_id:string=1",
    "GetWatcherEventsRequest": "watcher_id:string=1",
    "GetWatcherEventsResponse": "events:*FilesystemEvent=1",
    "RemoveWatcherRequest": "watcher_id:string=1",
    "RemoveWatcherResponse": "",
}
_FILESYSTEM_ENUMS = {
    "FileType": {"FILE_TYPE_UNSPECIFIED": 0, "FILE_TYPE_FILE": 1, "FILE_TYPE_DIRECTORY": 2},
    "EventType": {
        "EVENT_TYPE_UNSPECIFIED": 0,
        "EVENT_TYPE_CREATE": 1,
        "EVENT_TYPE_WRITE": 2,
        "EVENT_TYPE_REMOVE": 3,
        "EVENT_TYPE_RENAME": 4,
        "EVENT_TYPE_CHMOD": 5,
    },
}

_PROCESS = {
    "PTY": "size:PTY.Size=1",
    "PTY.Size": "cols:uint32=1 rows:uint32=2",
    "ProcessConfig": "cmd:string=1 args:*string=2 envs:*ProcessConfig.EnvsEntry=3 cwd:?string=4",
    "ProcessConfig.EnvsEntry": "key:string=1 value:string=2",
    "ProcessInfo": "config:ProcessConfig=1 pid:uint32=2 tag:?string=3",
    "ListRequest": "",
    "ListResponse": "processes:*ProcessInfo=1",
    "StartRequest": "process:ProcessConfig=1 pty:?PTY=2 tag:?string=3 stdin:?bool=4",
    "StartResponse": "event:ProcessEvent=1",
    "ConnectRequest": "process:ProcessSelector=1",
    "ConnectResponse": "event:ProcessEvent=1",
    "UpdateRequest": "process:ProcessSelector=1 pty:?PTY=2",
    "UpdateResponse": "",
    "ProcessEvent": "start:event/ProcessEvent.StartEvent=1 data:event/ProcessEvent.DataEvent=2 "
    "end:event/ProcessEvent.EndEvent=3 keepalive:event/ProcessEvent.KeepAlive=4",
    "ProcessEvent.StartEvent": "pid:uint32=1",
    "ProcessEvent.DataEvent": "stdout:output/bytes=1 stderr:output/bytes=2 pty:output/bytes=3",
    "ProcessEvent.EndEvent": "exit_code:sint32=1 exited:bool=2 status:string=3 error:?string=4",
    "ProcessEvent.KeepAlive": "",
    "ProcessInput": "stdin:input/bytes=1 pty:input/bytes=2",
    "ProcessSelector": "pid:selector/uint32=1 tag:selector/string=2",
    "SendInputRequest": "process:ProcessSelector=1 input:ProcessInput=2",
    "SendInputResponse": "",
    "StreamInputRequest": "start:event/StreamInputRequest.StartEvent=1 "
    "data:event/StreamInputRequest.DataEvent=2 keepalive:event/StreamInputRequest.KeepAlive=3",
    "StreamInputRequest.StartEvent": "process:ProcessSelector=1",
    "StreamInputRequest.DataEvent": "input:ProcessInput=2",
    "StreamInputRequest.KeepAlive": "",
    "StreamInputResponse": "",
    "SendSignalRequest": "process:ProcessSelector=1 signal:%Signal=2",
    "SendSignalResponse": "",
}
_PROCESS_ENUMS = {
    "Signal": {"SIGNAL_UNSPECIFIED": 0, "SIGNAL_SIGTERM": 15, "SIGNAL_SIGKILL": 9},
}

_SCALARS = {
    name: getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("string", "bytes", "bool", "int64", "uint32", "sint32")
}
_FIELD = re.compile(
    r"(?P<name>\w+):(?P<mark>[*?%])?(?:(?P<oneof>\w+)/)?(?P<type>[\w.]+)=(?P<number>\d+)"
)


def _add_fields(message: DescriptorProto, fields: str, package: str) -> None:
    optional = []
    for spec in fields.split():
        found = _FIELD.fullmatch(spec)
        assert found is not None, spec
        mark, kind = found["mark"], found["type"]
        field = message.field.add(name=found["name"], number=int(found["number"]))
        field.label = (
            FieldDescriptorProto.LABEL_REPEATED
            if mark == "*"
            else FieldDescriptorProto.LABEL_OPTIONAL
        )
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type = (
                FieldDescriptorProto.TYPE_ENUM if mark == "%" else FieldDescriptorProto.TYPE_MESSAGE
            )
            field.type_name = f".{kind}" if kind.startswith("google.") else f".{package}.{kind}"
        if found["oneof"]:
            names = [oneof.name for oneof in message.oneof_decl]
            if found["oneof"] not in names:
                message.oneof_decl.add(name=found["oneof"])
                names.append(found["oneof"])
            field.oneof_index = names.index(found["oneof"])
        elif mark == "?":
            optional.append(field)
    # proto3's `optional` is a oneof of one, and such oneofs come after the real ones.
    for field in optional:
        field.proto3_optional = True
        field.oneof_index = len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{field.name}")


def _file(
    package: str, messages: dict[str, str], enums: dict[str, dict[str, int]]
) -> FileDescriptorProto:
    file = FileDescriptorProto(
        name=f"{package}/{package}.proto",
        package=package,
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    declared: dict[str, DescriptorProto] = {}
    for name, fields in messages.items():
        outer, _, inner = name.rpartition(".")
        message = (
            declared[outer].nested_type.add(name=inner)
            if outer
            else file.message_type.add(name=inner)
        )
        declared[name] = message
        _add_fields(message, fields, package)
        message.options.map_entry = inner.endswith("Entry")
    for name, values in enums.items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    return file


def _classes() -> Iterator[tuple[str, Any]]:
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for package, messages, enums in (
        ("filesystem", _FILESYSTEM, _FILESYSTEM_ENUMS),
        ("process", _PROCESS, _PROCESS_ENUMS),
    ):
        pool.AddSerializedFile(_file(package, messages, enums).SerializeToString())
        for name in messages:
            full_name = f"{package}.{name}"
            yield full_name, GetMessageClass(pool.FindMessageTypeByName(full_name))


MESSAGES: dict[str, Any] = dict(_classes())
"""Message classes by full name, e.g. `MESSAGES["process.StartRequest"]`."""

FILE_TYPE = _FILESYSTEM_ENUMS["FileType"]
EVENT_TYPE = _FILESYSTEM_ENUMS["EventType"]
